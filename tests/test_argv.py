"""Odd command lines: whatever stands there, exit code 0, 1, 2 or 130 and no traceback."""

import argparse
import importlib
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from nas.__main__ import COMMANDS, module_of
from nas.common.cli import exit_code

pytestmark = pytest.mark.slow

# What a command needs; the rest is drawn from its own options. No path exists.
NEEDED = {
    "search": ["--space", "no.yaml"], "inspect": ["no/run"], "retrain": ["--genome", "no.json"],
    "tune": ["--genome", "no.json"], "evaluate": ["--model", "no"],
    "explain": ["--model", "no", "--out", "out"], "export": ["--model", "no"],
    "plan": ["--space", "no.yaml"], "realtime": ["--model", "no.onnx", "--headless"],
    "data": ["prepare", "mine", "--from", "no"], "bench": ["search", "--table", "no.csv"],
    "teach": ["--models", "no", "--data", "no"], "ablate": ["--genome", "no.json"],
    "fps": ["--run", "no"], "doctor": ["--compare", "no", "no"],
}  # fmt: skip
NUMBERS = ("-1", "0", "3", "nan", "inf", "1e999", "9" * 400)
ODD = (
    *NUMBERS, "", "no/such", "\udcff", "é", "--", "-", "=", "x" * 5000, "[]", "%s", "a,b", "1,2",
    "10x", "none",
)  # fmt: skip


def words(module, first):
    """An option of the command, read off its own parser, with as many odd values as it takes."""
    found = []

    def stop(self, *_, **__):
        parsers = [self]
        for parser in parsers:
            for action in parser._actions:
                if isinstance(action, argparse._SubParsersAction):
                    parsers.append(action.choices[first[0]])
                elif not {"-h", "--help", "--web", "--download"} & set(action.option_strings):
                    found.append(action)
        raise SystemExit(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(SystemExit):
            module.main([])
    return st.one_of(
        st.tuples(
            *(st.just(flag) for flag in action.option_strings[:1]),
            *[st.sampled_from(NUMBERS if action.type in (int, float) else ODD)]
            * (0 if action.nargs == 0 else action.nargs if isinstance(action.nargs, int) else 1),
        )
        for action in found
        if action.option_strings
    )


def test_every_command_is_tried():
    assert set(NEEDED) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_odd_command_lines(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sys.stderr.reconfigure(errors="backslashreplace")  # as the real one
    module, first = importlib.import_module(module_of(name)), NEEDED[name]
    understood = 0

    @settings(
        max_examples=40, deadline=None, derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    @given(st.lists(words(module, first), max_size=3))
    def run(extra):
        nonlocal understood
        try:
            code = exit_code(module.main, [*first, *(word for option in extra for word in option)])
        except SystemExit as end:  # a help that was asked for
            code = end.code
        assert code in (0, 1, 2, 130)
        understood += " --help" not in capsys.readouterr().err

    run()
    assert understood >= 10  # not all stop at the parser, which names its --help
