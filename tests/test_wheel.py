"""The wheel: built, installed into an environment of its own, used from an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Starts an installed command in an empty folder; dependencies are this Python's."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # setuptools leaves files where it builds
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "-w", folder, source],
        check=True,
    )  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    site = sysconfig.get_path("purelib", vars={"base": str(folder / "venv")})
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps",
         "--disable-pip-version-check", wheel],
        check=True,
    )  # fmt: skip
    with open(os.path.join(site, "dependencies.pth"), "w") as file:
        file.write(sysconfig.get_path("purelib") + "\n")
    empty = folder / "empty"
    empty.mkdir()

    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    code = "import nas; print(nas.__file__)"
    where = subprocess.check_output([python, "-c", code], cwd=empty, env=environment, text=True)
    assert where.startswith(site)

    def start(*arguments):
        return subprocess.Popen(
            [folder / "venv/bin/fer-nas", *arguments], cwd=empty, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


@pytest.fixture(scope="module")
def run(installed):
    """(exit code, stdout, stderr) of a command."""

    def run(*arguments):
        with installed(*arguments) as process:
            out, complaints = process.communicate(timeout=100)
        return process.returncode, out, complaints

    return run


def test_names_list_what_there_is(run):
    assert run("--version") == (0, "fer-nas 0.1.0\n", "")
    code, _, complaints = run("search", "--space", "fre", "--dry-run")
    assert code == 2
    assert "expected one, or a name of fer, " in complaints


def test_a_search_space_by_name(run):
    code, out, complaints = run("search", "--space", "fer", "--dry-run", "--json")
    assert code == 0, complaints
    assert json.loads(out)["space"] == "fer"


def test_reference_genomes_and_recipes(run):
    references = json.loads(run("inspect", "--references", "--json")[1])
    assert "proposed" in {row["name"] for row in references}
    assert "short" in run("retrain", "--help")[1]


def test_the_model_that_ships(run):
    picture = ROOT / "experiments/fer2013/frame.png"
    code, out, complaints = run("realtime", "--source", str(picture), "--headless", "--json")
    assert code == 0, complaints
    assert json.loads(out)["faces"] > 0


def test_a_search_starts_from_the_reports_model(installed, tmp_path):
    """Outside of a checkout it started without, and said nothing."""
    command = ["search", "--space", "fer", "--workers", "1", "--run-dir", str(tmp_path / "run")]
    first, until = tmp_path / "run/initial.json", time.monotonic() + 100
    with installed(*command) as process:
        while not first.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        process.kill()
        complaints = process.communicate()[1]
    assert first.exists(), complaints
    assert len(json.loads(first.read_text())) >= 1
