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
import sys
import tempfile
from pathlib import Path
from typing import Any

from nas.common.errors import UserError, first_line
from nas.common.signals import kept_signals

# Ray's sockets are `<folder>/session_<time>_<pid>/sockets/plasma_store`, and the system allows a
# socket's name 107 bytes (103 on macOS).
LONGEST_FOLDER = 38
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
        self._folder: Path | None = None
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
        if self.ours:
            self.ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start(self, cpus: int) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a notice
        self._folder = private_folder()
        # Without "local" Ray would join any cluster that happens to run on this machine.
        try:
            self.ray.init(
                address="local", num_cpus=cpus, include_dashboard=False,
                _temp_dir=str(self._folder / "r"), **QUIET,
            )  # fmt: skip
        except Exception as error:  # Ray raises that very class where its processes are too slow
            raise UserError(
                f"Ray does not start here: {first_line(error)}; --workers 1 does without it"
            ) from None

    def _join(self, address: str) -> None:
        check_address(address)
        try:
            self.ray.init(address=address, **QUIET)
        except (ConnectionError, RuntimeError, ValueError, self.ray.exceptions.RayError) as error:
            raise UserError(f"address {address}: no Ray cluster: {first_line(error)}") from None


def private_folder() -> Path:
    """A new folder of mode 0700, under a name short enough for sockets in it."""
    found = Path(tempfile.mkdtemp(prefix="nas-"))
    if len(os.fsencode(found)) > LONGEST_FOLDER and os.path.isdir("/tmp"):
        found.rmdir()
        log.info(
            "%s is too long a name for Ray's sockets (TMPDIR): its folder is under /tmp instead",
            found.parent,
        )
        found = Path(tempfile.mkdtemp(prefix="nas-", dir="/tmp"))
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
