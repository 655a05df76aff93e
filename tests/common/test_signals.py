"""One way of ending for every signal."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from nas.common.cli import exit_code
from nas.common.signals import deferred_signals, kept_signals

WAITING = """
import sys, time
from nas.common.cli import exit_code
def main(argv):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.3)  # a second signal at once does not cut this short
        print("closed", flush=True)
sys.exit(exit_code(main))
"""


@contextmanager
def waiting_command(ignored):
    """A command that has begun, started by a shell or by nohup with a signal ignored."""
    code = f"import signal; signal.signal(signal.{ignored}, signal.SIG_IGN){WAITING}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_ends_a_command_alike(number):
    """SIGINT as a script's background job has it: ignored."""
    with waiting_command("SIGINT") as process:
        process.send_signal(number)
        time.sleep(0.1)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "closed\n", "interrupted\n")


def test_nohup_keeps_a_command_from_hanging_up():
    with waiting_command("SIGHUP") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.terminate()
        assert process.wait(20) == 130


def test_handlers_stand_again_after_a_command():
    before = signal.getsignal(signal.SIGTERM)
    assert exit_code(lambda argv: 0, []) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_while_a_library_has_its_own_handler_ends_the_command(capsys):
    def main(argv):
        with kept_signals():
            signal.signal(signal.SIGTERM, lambda *_: None)  # swallows it, as Ray's start does
            os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError

    assert exit_code(main, []) == 130

    def quiet(argv):
        with kept_signals():
            signal.signal(signal.SIGTERM, lambda *_: None)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError

    assert exit_code(quiet, []) == 130


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_deferred_signal_ends_the_command_after_the_block(name):
    done = []

    def main(argv):
        with deferred_signals():
            os.kill(os.getpid(), getattr(signal, name))
            done.append("all of the block")
        raise AssertionError

    assert exit_code(main, []) == 130
    assert done == ["all of the block"]
