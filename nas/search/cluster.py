"""Ray: started for this process alone, where no other user can enter, or joined elsewhere.

With workers.py the only file that knows Ray.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from nas.common.errors import UserError, first_line
from nas.common.files import is_left_behind, locked
from nas.common.signals import kept_signals

# Ray's sockets are `<folder>/session_<time>_<pid>/sockets/plasma_store`, and the system allows a
# socket's name 107 bytes (103 on macOS).
LONGEST_FOLDER = 38
PREFIX = "nas-"
START_SECONDS = 120.0  # for Ray's own processes, on a machine that does much else
ENDING_SECONDS = 5.0  # for a killed process to be gone
QUIET: dict[str, Any] = {
    "log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False,
}  # fmt: skip
# Memory that a training step frees stays with its process: without them a step of a small network
# takes 800 page faults (measured: 1.08 to 1.2 times the speed).
TUNABLES = (
    "glibc.malloc.mmap_threshold=4294967296",
    "glibc.malloc.trim_threshold=4294967296",
    "glibc.malloc.top_pad=67108864",
)
HUGE_PAGES = "glibc.malloc.hugetlb=1"  # of glibc 2.35

log = logging.getLogger(__name__)


class RaySession:
    """A connection to Ray; `ray` is the module.

    address: of a running cluster (`auto` or host:port). Without one, a Ray of `cpus` workers is
    started for this process alone: Ray makes its folder writable for everybody, so that another
    user could replace a socket in it; it lies in a folder of ours that nobody else may enter, and
    `close` removes it.
    """

    def __init__(self, address: str | None, cpus: int) -> None:
        self.ray = import_ray(alone=address is None)
        self._cleaning = ExitStack()
        # uv or a notebook may have started Ray already; what we did not start, we do not stop.
        self.ours = not self.ray.is_initialized()
        if not self.ours:
            return
        try:
            with kept_signals():  # Ray puts a SIGTERM handler of its own in place
                if address is None:
                    self._start(cpus)
                else:
                    self._join(address)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._cleaning.close()

    def _start(self, cpus: int) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a notice
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", f"{START_SECONDS:.0f}")
        folder = self._cleaning.enter_context(private_folder())
        self._cleaning.callback(_end_processes, folder)
        self._cleaning.callback(self.ray.shutdown)
        # Without "local" Ray would join any cluster that happens to run on this machine.
        try:
            with patience(self.ray._private.services):
                self.ray.init(
                    address="local", num_cpus=cpus, include_dashboard=False,
                    _temp_dir=str(folder / "r"), **QUIET,
                )  # fmt: skip
        except Exception as error:  # Ray raises that very class where its processes are too slow
            raise UserError(
                f"Ray does not start here: {first_line(error)}; --workers 1 does without it"
            ) from None

    def _join(self, address: str) -> None:
        check_address(address)
        self._cleaning.callback(self.ray.shutdown)
        try:
            self.ray.init(address=address, **QUIET)
        except (ConnectionError, RuntimeError, ValueError, self.ray.exceptions.RayError) as error:
            raise UserError(f"address {address}: no Ray cluster: {first_line(error)}") from None


@contextmanager
def patience(services: Any) -> Iterator[None]:
    """Let Ray's processes take START_SECONDS to start: it gives them 30 s, by a number in its code.

    It asks for its node until then; here each of its questions waits for the answer.
    """
    ask = services.get_node

    def wait(*question: Any) -> Any:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                return ask(*question)
            except RuntimeError:  # not yet
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    services.get_node = wait
    try:
        yield
    finally:
        services.get_node = ask


def _end_processes(folder: Path) -> None:
    """Ray's processes in a folder of ours: it forgot them when a start was broken off, or they
    outlive a killed search for seconds, and would make the folder anew.
    """
    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(f"{folder}{os.sep}" in word for word in process.cmdline()):
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=ENDING_SECONDS)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder of mode 0700, under a name short enough for sockets in it; gone at the end.

    It is locked meanwhile: what a killed process left behind is told by that, and removed.
    """
    if sys.platform != "win32":  # where folders have no modes, and Ray keeps files of them open
        remove_left_behind()
    folder = _new_folder()
    try:
        with locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_behind() -> None:
    """Remove this user's private folders whose process is gone; never a link, or another's."""
    for parent in {tempfile.gettempdir(), "/tmp"}:
        for folder in Path(parent).glob(f"{PREFIX}*"):
            with suppress(OSError, UserError):
                about = folder.lstat()
                ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
                # The owner is written once the lock is held: a folder without one is being made.
                if ours and stat.S_IMODE(about.st_mode) == 0o700 and is_left_behind(folder):
                    _end_processes(folder)
                    shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    found = Path(tempfile.mkdtemp(prefix=PREFIX))
    if len(os.fsencode(found)) > LONGEST_FOLDER and os.path.isdir("/tmp"):
        found.rmdir()
        log.info(
            "%s is too long a name for Ray's sockets (TMPDIR): its folder is under /tmp instead",
            found.parent,
        )
        found = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    return found


def worker_environment() -> dict[str, str]:
    """Variables of worker processes: how glibc, where it is the C library, keeps freed memory."""
    library, version = platform.libc_ver()
    if sys.platform != "linux" or library != "glibc" or "GLIBC_TUNABLES" in os.environ:
        return {}
    numbers = tuple(int(part) for part in version.split(".")[:2])
    tunables = (*TUNABLES, HUGE_PAGES) if numbers >= (2, 35) else TUNABLES
    return {"GLIBC_TUNABLES": ":".join(tunables)}


def check_address(address: str) -> None:
    """UserError unless something listens there; Ray itself takes minutes to find out."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"address {address}: no Ray cluster there: {first_line(error)}; expected auto, or "
            "host:port as printed by: ray start --head"
        ) from None


def import_ray(alone: bool) -> Any:
    """The module. alone: it is to run on this machine, for this process.

    Ray listens on every interface and unpickles what it is sent: a token keeps others out. It is
    read once, at the import; where somebody else imported Ray before, their choice stands.
    """
    if alone and "ray" not in sys.modules:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # silences a notice
    import ray

    return ray
