"""Options made of settings."""

import argparse
from dataclasses import dataclass
from typing import Annotated

import pytest

from nas.common.cli import TIME
from nas.common.errors import UserError
from nas.common.options import (
    add_options,
    changed,
    given_options,
    options_of,
    setting,
    value,
    with_key,
    with_options,
)
from nas.common.schema import Choice, Flag, Float, Int, Seconds, Text


@dataclass(frozen=True)
class Inner:
    epochs: Annotated[int, Int(1, 100)] = setting(3, "of each training", fixed=True)
    hidden: Annotated[float, Float(0, 1)] = 0.5


@dataclass(frozen=True)
class Tree:
    count: Annotated[int, Int(1, 100)] | None = setting(40, "how many, 100 % at most")
    budget: Annotated[float, Seconds(1, 1e6)] | None = setting(None, "stop after it")
    share: Annotated[float, Float(0, 1)] = setting(0.5, "of all")
    kind: Annotated[str, Choice(("one", "two"))] = setting("one", "of them", fixed=True)
    data: Annotated[str, Text()] = setting("synthetic", "a data set", metavar="NPZ")
    table: Annotated[str, Text()] = setting("", "a row for each", metavar="CSV")
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
        "--share X of all (default 0.5)",
        "--kind one|two of them (default one)",
        "--data NPZ a data set (default synthetic)",
        "--table CSV a row for each --exact",  # an empty default is none
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
    args = parsed("--epochs", "4", "--budget", "2m", "--exact", "--rungs", "1,3", "--share", "1")
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
        (("--share", "nan"), "--share: must be finite"),
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


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("inner.epoch", r"unknown key 'epoch'; .* \(did you mean 'epochs'\?\)"),
        ("iner.epochs", r"iner.epochs: no such setting; .* \(did you mean 'inner.epochs'\?\)"),
        ("inner.epochs.x", r"no such setting; .* \(did you mean 'inner.epochs'\?\)"),
        ("epoch", r"unknown key 'epoch'; .* \(did you mean 'inner.epochs'\?\)"),
        ("nothing.like.it", r"no such setting; expected names as in the YAML$"),
    ],
)
def test_a_setting_that_there_is_not_is_told_its_nearest(key, message):
    assert with_key(Tree(), "inner.epochs=5") == with_key(Tree(), "epochs=5")
    with pytest.raises(UserError, match=message):
        with_key(Tree(), f"{key}=5")


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
