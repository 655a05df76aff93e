"""Every command: listed, quick to answer, and without what it does not need."""

import json
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from nas.__main__ import COMMANDS, main, module_of
from nas.common.cli import exit_code

HEAVY = {"torch", "ray", "deap", "sklearn", "onnxruntime", "matplotlib", "optuna", "cv2", "scipy",
         "pandas"}  # fmt: skip
WITHOUT_GENOMES = {"bench", "data", "doctor", "realtime"}  # of a user's own blocks


def python(code, *arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True, text=True, cwd=cwd,
    )  # fmt: skip


def loaded(command, *arguments, cwd=ROOT, before=""):
    """The libraries that a command has loaded when it ends, and its seconds of processor time.

    before: code that runs first.
    """
    found = python(
        f"import json, runpy, sys, time\n{before}\n"
        "try:\n"
        "    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "names = sorted({name.split('.')[0] for name in sys.modules})\n"
        "print(json.dumps([names, time.process_time()]), file=sys.stderr)\n".replace(
            "sys.argv[0]", f"'nas.{command}'"
        ),
        *arguments,
        cwd=cwd,
    )
    assert found.returncode == 0, found.stderr
    names, seconds = json.loads(found.stderr.splitlines()[-1])
    return set(names), seconds, found.stdout


def test_the_table_of_commands_is_whole():
    files = {path.stem for path in (ROOT / "nas").glob("*.py") if not path.stem.startswith("_")}
    packages = {path.parent.name for path in (ROOT / "nas").glob("*/__main__.py")}
    assert (files | packages) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_quick_and_imports_nothing_heavy(command):
    names, seconds, said = loaded(command, "--help")
    assert f"usage: python -m nas.{command}" in said
    assert names & HEAVY == set()
    assert seconds < 1
    assert ("--plugin" in said) == (command not in WITHOUT_GENOMES)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    shutil.copytree(ROOT / "experiments/fer2013/search", path)
    return path


@pytest.mark.slow
def test_inspecting_a_run_needs_no_learning_libraries(run):
    names, _, said = loaded("inspect", str(run))
    assert "accuracy %" in said
    assert names & HEAVY == {"matplotlib", "onnxruntime", "scipy"}


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--csv"], ["--max", "params=100000"], ["--serve", "0"]])
def test_what_draws_no_picture_loads_no_matplotlib(run, options):
    """Of a page that is served, one visit."""
    visited = "import nas.common.web as web; web.serve = lambda server: server.served.get('/')"
    names, _, _ = loaded("inspect", str(run), *options, before=visited)
    assert names & HEAVY == {"onnxruntime", "scipy"}


@pytest.mark.slow
def test_several_runs_are_compared_without_matplotlib(run, tmp_path):
    shutil.copytree(run, tmp_path / "again")
    page = ["--out", str(tmp_path / "page.html")]
    names, _, _ = loaded("inspect", str(run), str(tmp_path / "again"), *page)
    assert names & HEAVY == {"onnxruntime", "scipy"}


@pytest.mark.slow
def test_the_demo_needs_no_learning_libraries(tmp_path):
    picture = ROOT / "experiments/fer2013/frame.png"
    names, _, _ = loaded("realtime", "--source", str(picture), "--headless", "--json", cwd=tmp_path)
    assert names & HEAVY == {"cv2", "onnxruntime", "scipy"}


def test_the_list_of_commands(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, line in COMMANDS.items():
        assert f"  {name:8}  {line}" in lines
    assert exit_code(main, ["--version"]) == 0
    assert capsys.readouterr().out == "fer-nas 0.1.0\n"


def test_a_command_is_run_with_its_arguments(capsys):
    assert main(["search", "--space", "quick", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["space"] == "quick"
    assert exit_code(main, ["serach"]) == 2
    assert "unknown command 'serach'; expected one of data, plan" in capsys.readouterr().err


def test_module_of():
    assert module_of("search") == "nas.search.__main__"
    assert module_of("retrain") == "nas.retrain"
