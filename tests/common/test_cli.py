"""Options made of settings; safe printing; one way of ending for every signal."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Annotated

import pytest

from nas.common.cli import (
    TIME,
    Parser,
    add_options,
    changed,
    deferred_signals,
    exit_code,
    given_options,
    kept_signals,
    options_of,
    printable,
    setting,
    value,
    with_options,
)
from nas.common.errors import UserError
from nas.common.schema import Choice, Flag, Float, Int, Seconds, Text


@dataclass(frozen=True)
class Inner:
    epochs: Annotated[int, Int(1, 100)] = setting(3, "of each training", fixed=True)
    hidden: Annotated[float, Float(0, 1)] = 0.5


@dataclass(frozen=True)
class Tree:
    count: Annotated[int, Int(1, 100)] | None = setting(40, "how many, 100 % at most")
    budget: Annotated[float, Seconds(1, 1e6)] | None = setting(None, "stop after it")
    share: Annotated[float, Float(0, 1)] = setting(0.5, "of all", flag="--part")
    kind: Annotated[str, Choice(("one", "two"))] = setting("one", "of them", fixed=True)
    data: Annotated[str, Text()] = setting("synthetic", "a data set", metavar="NPZ")
    exact: Annotated[bool, Flag()] = setting(False, "the same again")
    rungs: tuple[Annotated[int, Int(1, 9)], ...] = setting((), "epochs")
    quiet: Annotated[int, Int(0, 9)] = setting(7, fixed=True)
    inner: Inner = Inner()


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_options(parser, Tree)
    return parser.parse_args(words)


def test_help_names_each_option_its_values_and_its_default():
    parser = argparse.ArgumentParser()
    add_options(parser, Tree)
    lines = " ".join(parser.format_help().split())
    for text in (
        "--count N how many, 100 % at most (default 40)",
        "--budget TIME stop after it (default none)",
        "--part X of all (default 0.5)",
        "--kind one|two of them (default one)",
        "--data NPZ a data set (default synthetic)",
        "--exact [on|off] the same again (default off)",
        "--rungs N epochs (default none)",
        "--epochs N of each training (default 3)",
    ):
        assert text in lines
    assert "hidden" not in lines
    assert "quiet" not in lines


def test_what_is_given_replaces_what_was_set():
    before = Tree(count=5, quiet=1, inner=Inner(9, 0.1))
    assert with_options(before, parsed()) == before
    args = parsed("--epochs", "4", "--budget", "2m", "--exact", "--rungs", "1,3", "--part", "1")
    after = with_options(before, args)
    assert after == Tree(5, 120.0, 1.0, exact=True, rungs=(1, 3), quiet=1, inner=Inner(4, 0.1))
    assert given_options(Tree, args) == {"inner.epochs", "budget", "exact", "rungs", "share"}
    assert with_options(after, parsed("--exact", "off", "--rungs", "none", "--budget", "none")) == (
        Tree(5, None, 1.0, quiet=1, inner=Inner(4, 0.1))
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--count", "0"), r"--count: must be in \[1, 100\], got 0"),
        (("--count", "many"), "--count: must be a number, got 'many'"),
        (("--epochs", "1.5"), "--epochs: must be an integer, got 1.5"),
        (("--part", "nan"), "--part: must be finite"),
        (("--kind", "tow"), r"--kind: .*expected one of one, two \(did you mean 'two'\?\)"),
        (("--exact", "maybe"), "--exact: must be true or false, got 'maybe'"),
        (("--rungs", "1,x"), r"--rungs\[1\]: must be a number, got 'x'"),
        (("--budget", "2 days"), "--budget: expected a time such as 90s, 30m or 2h"),
        (("--budget", "0s"), r"--budget: must be in \[1, 1e\+06\]"),
    ],
)
def test_a_value_that_does_not_fit_names_its_option(words, message):
    with pytest.raises(UserError, match=message):
        with_options(Tree(), parsed(*words))


def test_fixed_settings_that_changed():
    after = Tree(count=1, kind="two", quiet=7, inner=Inner(epochs=5, hidden=0.9))
    assert changed(Tree(), after) == {"kind": ("one", "two"), "inner.epochs": (3, 5)}


def test_two_fields_may_not_share_a_flag():
    @dataclass(frozen=True)
    class Twice:
        epochs: Annotated[int, Int(1, 9)] = setting(1, "of all")
        inner: Inner = Inner()

    Twice.__annotations__ = {"epochs": Annotated[int, Int(1, 9)], "inner": Inner}
    with pytest.raises(TypeError, match="two fields with one flag"):
        options_of(Twice)


@pytest.mark.parametrize(("text", "number"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("7", 7)])
def test_times(text, number):
    assert value(TIME)(text) == number


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--seeds", "0"],
            r"argument --seeds: must be in \[1, 9\], got 0; see python -m nas.x --help",
        ),
        (["--seeds", "two"], "argument --seeds: must be a number, got 'two'; see"),
        (["--seeds"], "argument --seeds: expected one argument; see"),
        (["--sedes", "2"], "unrecognized arguments: --sedes 2; see"),
    ],
)
def test_a_wrong_command_line_is_one_line(words, message, capsys):
    parser = Parser("nas.x", "for a test")
    parser.add_argument("--seeds", type=value(Int(1, 9)))
    assert parser.parse_args(["--seeds", "9"]).seeds == 9
    assert exit_code(lambda argv: parser.parse_args(argv) and 0, words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: {message}", line)


def test_text_from_files_does_not_steer_the_terminal():
    assert printable("\x1b[2Ja\u202eb\tc\né\x07") == "?[2Ja?b\tc\né?"


def test_one_line_for_an_error_whatever_it_says(capsys):
    def main(argv):
        raise UserError("bad\n\x1b[31m" + "x" * 5000)

    assert exit_code(main, []) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: bad ?[31mxxx")
    assert len(said) < 1100


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_ends_a_command_alike(number):
    """SIGINT as a script's background job has it: ignored."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN){WAITING}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        time.sleep(0.1)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "closed\n", "interrupted\n")


def test_nohup_keeps_a_command_from_hanging_up():
    code = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN){WAITING}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
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
