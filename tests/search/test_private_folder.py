"""Ray's private folder: nobody else's, gone at the end, and after a kill with the next start."""

import gc
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

from nas.common.errors import UserError
from nas.search import cluster
from nas.search.cluster import RaySession, private_folder, remove_left_behind


@pytest.fixture
def owner(short):
    """A process that holds a private folder with something in it until it is killed."""
    code = (
        "import time\n"
        "from nas.search.cluster import private_folder\n"
        "with private_folder() as folder:\n"
        "    (folder / 'r').mkdir()\n"
        "    (folder / 'r' / 'file').touch()\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "TMPDIR": str(short)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_what_a_killed_process_left_goes_with_the_next_start(owner, short):
    process, left = owner
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    with private_folder() as mine:
        assert (left / "r/file").exists()  # its process lives
        process.send_signal(signal.SIGKILL)
        process.wait()
        with private_folder() as another:
            assert {mine, another} == set(short.iterdir())
    assert not any(short.iterdir())


def test_what_outlives_a_killed_process_is_ended_and_makes_no_folder(owner, short):
    """Ray's processes notice seconds later that their search is gone, and write logs until then."""
    process, left = owner
    code = (
        "import os, sys, time\n"
        "while True:\n"
        "    os.makedirs(sys.argv[1], exist_ok=True)\n"
        "    time.sleep(0.01)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(left / "r/session")]) as writer:
        try:
            process.kill()
            process.wait()
            with private_folder() as mine:
                assert writer.poll() is not None  # `private_folder` has waited for its end
                time.sleep(0.1)
                assert {mine} == set(short.iterdir())
        finally:
            writer.kill()


def test_what_may_be_somebody_elses_stays(owner, short):
    """Another user's, one that others may enter, a link, one that is being made, one of a name."""
    process, left = owner
    process.send_signal(signal.SIGKILL)
    process.wait()
    (short / "elsewhere").mkdir(mode=0o700)
    (short / "elsewhere/lock.owner").touch()
    (short / "nas-link").symlink_to(short / "elsewhere")
    (short / "nas-made").mkdir(mode=0o700)
    left.chmod(0o755)
    remove_left_behind()
    assert {p.name for p in short.iterdir()} == {"elsewhere", "nas-link", "nas-made", left.name}
    left.chmod(0o700)
    if os.getuid() == 0:
        os.chown(left, 12345, -1)
        remove_left_behind()
        assert left.exists()
        os.chown(left, 0, -1)
    remove_left_behind()
    assert {p.name for p in short.iterdir()} == {"elsewhere", "nas-link", "nas-made"}


def test_ray_may_take_longer_than_its_own_limit(monkeypatch):
    """Its question for the node is asked again until there is an answer, or ours is up."""
    from ray._private import services

    asked = []

    def busy(*question):
        asked.append(question)
        if len(asked) < 4:
            raise RuntimeError("no such node")
        return "node"

    monkeypatch.setattr(services, "get_node", busy)
    with cluster.patience(services):
        assert services.get_node("gcs", "id") == "node"
    assert asked == [("gcs", "id")] * 4
    assert services.get_node is busy
    asked.clear()
    monkeypatch.setattr(cluster, "START_SECONDS", 0.0)
    with cluster.patience(services), pytest.raises(RuntimeError, match="no such node"):
        services.get_node("gcs", "id")


@pytest.mark.ray
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("how", ["fails", "is interrupted"])
def test_a_start_that_is_broken_off_leaves_no_process(short, monkeypatch, how):
    from ray._private import services

    def broken(*question):
        if how == "fails":
            raise ValueError("broken")
        raise KeyboardInterrupt

    monkeypatch.setattr(services, "get_node", broken)
    begin_ray(UserError if how == "fails" else KeyboardInterrupt)
    gc.collect()  # Python warns of the processes that Ray forgot, here and not in a later test
    assert not any(short.iterdir())
    until = time.monotonic() + 20
    while rays := [p for p in psutil.Process().children(recursive=True) if _of(p, short)]:
        assert time.monotonic() < until, rays
        time.sleep(0.1)


def begin_ray(expected):
    with pytest.raises(expected):
        RaySession(None, 1)


def _of(process, folder):
    try:
        running = process.status() != psutil.STATUS_ZOMBIE
        return running and any(str(folder) in word for word in process.cmdline())
    except psutil.Error:
        return False
