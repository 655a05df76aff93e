"""A command line that is wrong is one line; what is printed does not steer the terminal."""

import logging
import re
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
from conftest import ROOT

from nas.common.cli import Parser, exit_code, log_to_stderr, printable, resumable
from nas.common.errors import UserError
from nas.common.schema import Int


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--seeds", "0"],
            r"argument --seeds: must be in \[1, 9\], got 0; see python -m nas.x --help",
        ),
        (["--seeds", "two"], "argument --seeds: must be a number, got 'two'; see"),
        (["--seeds"], "argument --seeds: expected one argument; see"),
        (["--sedes", "2"], r"unrecognized arguments: --sedes 2 \(did you mean '--seeds'\?\); see"),
        (["--sedes=2"], r"unrecognized arguments: --sedes=2 \(did you mean '--seeds'\?\); see"),
        (["face.jpg"], "unrecognized arguments: face.jpg; see"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, message, capsys):
    parser = Parser("nas.x", "for a test")
    parser.add_value("--seeds", Int(1, 9), "of it", 2)
    assert "--seeds N of it (default 2)" in " ".join(parser.format_help().split())
    assert parser.parse_args(["--seeds", "9"]).seeds == 9
    assert exit_code(lambda argv: parser.parse_args(argv) and 0, words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: {message}", line)


def test_text_from_files_does_not_steer_the_terminal():
    assert printable("\x1b[2Ja\u202eb\tc\né\x07") == "?[2Ja?b\tc\né?"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("words", [["proposed"], ["experiments/equal_time/random-0", "--csv"]])
def test_a_full_disk_behind_stdout_is_named(words):
    with open("/dev/full", "wb", buffering=0) as full:
        found = subprocess.run(
            [sys.executable, "-m", "nas.inspect", *words], cwd=ROOT, stdout=full,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr == "error: [Errno 28] No space left on device: '<stdout>'\n"


@pytest.mark.parametrize(
    ("so", "told"), [(None, ""), (" from x", "; the same command goes on from x")]
)
def test_an_interruption_says_how_it_goes_on(capsys, so, told):
    def main(argv):
        with nullcontext() if so is None else resumable(so):
            raise KeyboardInterrupt

    assert exit_code(main, []) == 130
    assert capsys.readouterr().err == f"interrupted{told}\n"


def test_one_line_for_an_error_whatever_it_says(capsys):
    def main(argv):
        raise UserError("bad\n\x1b[31m" + "x" * 5000)

    assert exit_code(main, []) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: bad ?[31mxxx")
    assert len(said) < 1100


def test_a_librarys_thread_that_the_disk_ends_is_one_line(capsys):
    """TensorBoard writes in a thread of its own: without its folder, a traceback."""

    def main(argv):
        thread = threading.Thread(target=open, args=("/nowhere/events", "a"))
        thread.start()
        thread.join()
        return 0

    assert exit_code(main, []) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "[Errno 2] No such file or directory: '/nowhere/events'"


@pytest.mark.parametrize("before", [logging.NOTSET, logging.ERROR])
def test_what_a_command_logs_by_ends_with_it(before, capsys):
    """Python that calls one command keeps its own level, and hears the next one as often."""
    log = logging.getLogger("nas")
    log.setLevel(before)
    try:
        for _ in range(2):
            assert exit_code(lambda argv: log.info("working") or 0, []) == 0
            with log_to_stderr():
                log.info("calling")
            log.info("between")
            assert capsys.readouterr().err == "working\ncalling\n"
            assert (log.level, log.handlers) == (before, [])
    finally:
        log.setLevel(logging.NOTSET)
