"""Odd command lines: whatever stands there, exit code 0, 1, 2 or 130 and no traceback."""

import argparse
import importlib
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from nas.common.cli import exit_code

# What comes first; the rest is drawn from the command's own options. No path exists.
COMMANDS = {
    "search": [], "inspect": ["no/run"], "retrain": ["--genome", "no.json"],
    "tune": ["--genome", "no.json"], "evaluate": ["--model", "no"],
    "explain": ["--model", "no", "--out", "out"], "export": ["no"], "plan": [],
    "realtime.__main__": ["--model", "no.onnx", "--headless"],
    "data.__main__": ["prepare", "mine", "--from", "no"],
    "bench.__main__": ["search", "--table", "no.csv"],
}  # fmt: skip
ODD = st.sampled_from([
    "", "-1", "0", "3", "nan", "inf", "1e999", "9" * 400, "no/such", "\udcff", "é", "--", "-", "=",
    "x" * 5000, "[]", "%s", "a,b", "1,2", "10x", "none",
])  # fmt: skip


def options(module, first):
    """The options of a command, read off its own parser."""
    found = []

    def stop(self, *_, **__):
        parsers = [self]
        for parser in parsers:
            for action in parser._actions:
                found.extend(action.option_strings)
                if isinstance(action, argparse._SubParsersAction):
                    parsers.append(action.choices[first[0]])
        raise SystemExit(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(SystemExit):
            module.main([])
    return sorted(set(found) - {"-h", "--help", "--web", "--download"})


@pytest.mark.parametrize("name", COMMANDS)
def test_odd_command_lines(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    sys.stderr.reconfigure(errors="backslashreplace")  # as the real one
    module, first = importlib.import_module(f"nas.{name}"), COMMANDS[name]
    words = st.one_of(st.sampled_from(options(module, first)), ODD)

    @settings(
        max_examples=60, deadline=None, derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    @given(st.lists(words, max_size=6))
    def run(extra):
        try:
            code = exit_code(module.main, [*first, *extra])
        except SystemExit as end:  # argparse's own
            code = end.code
        assert code in (0, 1, 2, 130)
        capsys.readouterr()

    run()
