"""The command line of the search, on real parts: a small space, a small data set."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from conftest import ROOT
from fakes import lines_in, wait_for

import nas.search.machine
import nas.search.run
from nas import fps, inspect
from nas.arch.genome import Genome
from nas.common.cli import exit_code
from nas.data import Dataset, save
from nas.search.__main__ import STARTED, main
from nas.search.archive import Archive
from nas.search.machine import measure_front
from nas.search.run import Run
from nas.space.projection import project

pytestmark = pytest.mark.slow

QUICK = str(ROOT / "search_spaces/quick.yaml")


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    """The seed genome is found from the repository's root; signal handlers are put back."""
    monkeypatch.chdir(ROOT)
    kept = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Fewer networks to calibrate on, less training: the loop is the same."""
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    plain = {"calibration_genomes": 10, "population": 4, "fidelity": {"epochs": 1, "fraction": 0.5}}
    path.write_text(yaml.safe_dump(plain))
    return str(path)


@pytest.fixture(scope="module")
def arguments(config, faces_file):
    return ["--space", QUICK, "--data", str(faces_file), "--config", config, "--workers", "1"]


@pytest.fixture(scope="module")
def made(arguments, tmp_path_factory):
    """One run of five evaluations, what it printed as JSON, and the seconds that it took."""
    path, started = tmp_path_factory.mktemp("runs") / "run", time.monotonic()
    found = subprocess.run(
        [sys.executable, "-m", "nas.search", *arguments, "--evaluations", "5", "--json",
         "--run-dir", str(path)],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return path, json.loads(found.stdout), time.monotonic() - started


@pytest.fixture(scope="module")
def path(made):
    return made[0]


def test_a_run_leaves_everything(made, proposed, quick):
    path, printed, _ = made
    names = {p.name for p in path.iterdir()}
    assert names >= {
        "config.yaml", "space.yaml", "environment.json", "initial.json", "machine.json",
        "evaluations.jsonl", "pending.jsonl", "front.json", "best.json", "measured_fps.json",
        "summary.json",
    }  # fmt: skip
    archive = Archive(path / "evaluations.jsonl")
    assert len(archive) == 5 == printed["evaluations"]
    # The report's model is eight times the space's limit: its nearest relative is the first member.
    relative = project(proposed, quick).genome
    assert archive.evaluations[0].id == relative.id
    assert proposed.id not in {e.id for e in archive}
    assert all(e.ok for e in archive)
    best = Genome.load(path / "best.json")
    assert best.id == printed["best"] in {row["id"] for row in printed["front"]}
    assert all(row["fps_measured"] > 0 for row in printed["front"])
    assert (path / "space.yaml").read_text() == quick.for_data(7, 1, 48, 48).to_yaml()
    machine = json.loads((path / "machine.json").read_text())
    assert 0 <= machine["calibration"]["held_out_error"] < 2


def test_the_front_is_not_dominated(path):
    rows = json.loads((path / "front.json").read_text())
    points = {(-row["accuracy"], row["params"], -row["fps"]) for row in rows}
    assert len(points) == len(rows)
    for a in points:
        for b in points - {a}:
            assert any(x < y for x, y in zip(a, b, strict=True))


def test_resume_goes_on_without_repeating(path, capsys):
    before = [e.id for e in Archive(path / "evaluations.jsonl")]
    assert main(["--resume", str(path), "--evaluations", "8"]) == 0
    after = [e.id for e in Archive(path / "evaluations.jsonl")]
    assert after[: len(before)] == before
    assert len(after) == 8 == len(set(after))
    printed = capsys.readouterr().out
    for command in ("inspect", "retrain --genome"):
        assert f"python -m nas.{command} {path}" in printed


@pytest.mark.parametrize(
    "option", [["--epochs", "9"], ["--fraction", "0.3"], ["--seed", "9"], ["--algorithm", "nsga2"]]
)
def test_what_would_mix_runs_cannot_be_resumed_with(path, option, capsys):
    before = (path / "config.yaml").read_text()
    assert exit_code(main, ["--resume", str(path), "--evaluations", "99", *option]) == 2
    assert "do not compare" in capsys.readouterr().err
    assert (path / "config.yaml").read_text() == before


def test_a_finished_run_stays_as_it_is(path, capsys):
    before = {p.name: p.read_bytes() for p in path.iterdir() if p.is_file()}
    assert main(["--resume", str(path)]) == 0
    assert {p.name: p.read_bytes() for p in path.iterdir() if p.is_file()} == before
    done = before["evaluations.jsonl"].count(b"\n")  # other tests go on with this run
    assert f"finished: {done} evaluations" in capsys.readouterr().out


def test_a_time_budget_binds_from_the_first_second(arguments, made, tmp_path):
    """The training that runs is stopped; its last reading is the result, and says so.

    The budget is twice what the same command took here for five trainings of an epoch, should the
    machine be busier now; in a process of its own as well, from whose start it counts.
    """
    run, budget = tmp_path / "run", 2 * made[2]
    started = time.monotonic()
    found = subprocess.run(
        [sys.executable, "-m", "nas.search", *arguments, "--seed-genomes", "none",
         "--epochs", "10000", "--run-dir", str(run), "--time-budget", f"{budget}s"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert time.monotonic() - started < 1.5 * budget
    (row,) = json.loads((run / "front.json").read_text())
    assert row["status"] == "stopped"
    assert 1 <= row["fidelity"]["epochs"] < 10_000
    assert Genome.load(run / "best.json").id == row["id"]
    assert "time is up: 1 evaluations" in found.stdout


@pytest.mark.parametrize("stage", ["measure_machine", "start_workers"])
def test_ctrl_c_before_the_first_network_says_how_it_goes_on(
    arguments, tmp_path, capsys, monkeypatch, stage
):
    """Ray takes its time to start; the run's folder is there already, and was not named."""

    def interrupted(*args, **more):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(nas.search.run, stage, interrupted)
    assert exit_code(main, [*arguments, "--run-dir", str(tmp_path / "run")]) == 130
    command = f"python -m nas.search --resume {tmp_path / 'run'}"
    assert capsys.readouterr().err.endswith(f"interrupted; {command} goes on\n")
    monkeypatch.undo()
    assert exit_code(main, ["--resume", str(tmp_path / "run"), "--evaluations", "1"]) == 0


HOURS = 36_000.0


@pytest.fixture
def time_is_up(monkeypatch):
    """Makes a function of a module the moment at which the timer of the budget fires."""
    timers = []

    def put(module, name):
        def fire(*args, **more):
            timers.append(signal.getitimer(signal.ITIMER_REAL)[0])
            assert timers[-1] > 0, "no timer is set"
            signal.raise_signal(signal.SIGALRM)
            raise AssertionError("not stopped")

        monkeypatch.setattr(module, name, fire)
        return timers

    return put


@pytest.mark.parametrize("stage", ["measure_machine", "start_workers"])
def test_a_budget_binds_while_the_machine_is_measured_and_workers_start(
    arguments, tmp_path, capsys, time_is_up, stage
):
    run, started = tmp_path / "run", time.monotonic()
    timers = time_is_up(nas.search.run, stage)
    argv = [*arguments, "--seed-genomes", "none", "--run-dir", str(run)]
    assert main([*argv, "--time-budget", f"{HOURS}s"]) == 1  # nothing was measured
    (left,) = timers
    # The last 30 s are the front's; the budget began with this process.
    assert HOURS - 30 - (time.monotonic() - STARTED) < left < HOURS - 30 - (started - STARTED)
    said = capsys.readouterr().out
    assert "no front and no best.json: no evaluation has ended" in said
    assert f"python -m nas.search --resume {run}" in said


def test_a_budget_binds_while_data_are_prepared(arguments, tmp_path, capsys, time_is_up):
    timers = time_is_up(nas.search.run, "open_dataset")
    argv = [*arguments, "--time-budget", f"{HOURS}s", "--run-dir", str(tmp_path / "run")]
    assert exit_code(main, argv) == 2
    assert 0 < timers[0] < HOURS
    error = capsys.readouterr().err.splitlines()[-1]
    assert "time budget: 36000 s were over while the data set was prepared" in error
    assert not (tmp_path / "run").exists()


def test_a_budget_binds_while_the_program_is_loaded(arguments, tmp_path, capsys):
    argv = [*arguments, "--time-budget", "1s", "--run-dir", str(tmp_path / "run")]
    assert exit_code(main, argv) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "time budget: 1 s were over while the program was loaded; nothing was begun" in error
    assert not (tmp_path / "run").exists()


def test_a_budget_binds_while_the_front_is_measured(path, time_is_up, caplog):
    timers = time_is_up(nas.search.machine, "measure_fps")
    run = Run.open(path)
    front = [member.measured for member in run.results]
    before = (path / "measured_fps.json").read_bytes()
    with caplog.at_level("INFO"):
        assert measure_front(run.directory, front, time.monotonic() + HOURS) == {}
    assert HOURS - 60 < timers[0] <= HOURS
    assert "no time left to measure the front's frame rates; measure them with: " in caplog.text
    assert (path / "measured_fps.json").read_bytes() == before


def test_without_seed_genomes(arguments, tmp_path, proposed):
    run = tmp_path / "run"
    options = ["--seed-genomes", "none", "--evaluations", "2", "--run-dir", str(run)]
    assert main([*arguments, *options, "--algorithm", "ga", "--time-budget", "10m"]) == 0
    assert proposed.id not in {e.id for e in Archive(run / "evaluations.jsonl")}


def test_a_network_of_another_input_seeds_by_its_relative(arguments, tmp_path, quick, capsys):
    run = tmp_path / "run"
    vggnet = ROOT / "search_spaces/references/vggnet.json"  # 40x40 pixels; the space has 48x48
    options = ["--seed-genomes", str(vggnet), "--evaluations", "1", "--run-dir", str(run)]
    assert exit_code(main, [*arguments, *options]) == 0
    relative = project(Genome.load(vggnet), quick).genome
    assert [e.id for e in Archive(run / "evaluations.jsonl")] == [relative.id]
    said = capsys.readouterr().err
    why = "it is for 7 classes of grey 40x40 pixels; the space for 7 classes of grey 48x48 pixels"
    assert f"network vggnet lies outside of space quick: {why}; the search begins with" in said
    assert f"nearest to it, {relative.id}; vggnet itself is not trained" in said


@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGINT, "2"), (signal.SIGTERM, "1"), (signal.SIGTERM, "2"), (signal.SIGHUP, "1")],
)
def test_interrupted_with_a_front_and_a_best(arguments, tmp_path, number, workers):
    run = tmp_path / "run"
    log = open(tmp_path / "log", "w")  # noqa: SIM115 - closed below
    process = subprocess.Popen(
        [sys.executable, "-m", "nas.search", *arguments, "--workers", workers, "--evaluations",
         "100000", "--run-dir", str(run)],
        stdout=log, stderr=log, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )  # fmt: skip
    try:
        archive = run / "evaluations.jsonl"
        wait_for(lambda: lines_in(archive) >= 3, lambda: process.poll() is None)
        if number == signal.SIGINT:  # as a terminal sends it: to the whole group
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(60) == 130
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()
    text = (tmp_path / "log").read_text()
    assert "Traceback" not in text
    assert "interrupted" in text
    assert f"nas.search --resume {run}" in text
    assert Genome.load(run / "best.json").id in {
        row["id"] for row in json.loads((run / "front.json").read_text())
    }
    assert json.loads((run / "summary.json").read_text())["stopped"] == "interrupted"


def test_dry_run(tmp_path, monkeypatch, capsys):
    assert main(["--space", QUICK, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "genomes before constraints" in printed
    assert "classifier" in printed
    assert main(["--space", QUICK, "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["genomes"] > 1
    assert found["cost"]["params"] > 0
    assert 0 <= found["feasible_share"] <= 1


def test_a_dry_run_is_of_the_space_that_would_be_searched(tmp_path, capsys):
    images = np.zeros((6, 3, 64, 64), np.uint8)
    labels = np.arange(6, dtype=np.uint8) % 3
    shapes = Dataset("shapes", images, labels, labels * 0, ("round", "square", "star"), {})
    save(shapes, tmp_path / "shapes.npz")
    argv = ["--space", QUICK, "--data", str(tmp_path / "shapes.npz"), "--dry-run"]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert ": 3x64x64\n" in printed
    assert re.search(r"classifier +3x1x1", printed)
    limit = ["--set", "constraints=[{name: params, at_most: 10}]"]
    for command in ([*argv, *limit], ["--space", QUICK, *limit, "--dry-run"]):
        assert exit_code(main, command) == 2
        assert "quick: 0 of 1000 samples satisfy" in capsys.readouterr().err
    assert exit_code(main, ["--space", QUICK, "--evaluator", "json:nothing", "--dry-run"]) == 2
    assert "evaluator: json:nothing: Attribute" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [["--fps-model", "nofile.json"], ["--fps-model", "README.md"], ["--machine", "nofile.json"],
     ["--machine", "search_spaces/references/vggnet.json"], ["--seed-genomes", "nofile"],
     ["--seed-genomes", "vggnet", "README.md"]],
)  # fmt: skip
def test_a_dry_run_refuses_the_files_that_a_search_would(wrong, faces_file, tmp_path, capsys):
    argv = ["--space", QUICK, "--data", str(faces_file), "--run-dir", str(tmp_path / "run"), *wrong]
    said = []
    for more in ([], ["--dry-run"]):
        assert exit_code(main, [*argv, *more]) == 2
        said.append(capsys.readouterr().err.splitlines()[-1])
    assert said[0] == said[1]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_loads_no_torch():
    code = (
        "import sys; from nas.search.__main__ import main; "
        f"main(['--space', {QUICK!r}, '--dry-run']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--space: missing"),
        (["--space", "nowhere.yaml"], "no search space 'nowhere.yaml': no such file"),
        (["--space", "README.md"], "README.md"),
        (["--space", QUICK, "--data", "nothing", "--run-dir", "NEW"], "nothing"),
        (["--space", QUICK, "--evaluations", "-1"], "--evaluations: must be in"),
        (["--space", QUICK, "--evaluations", "0"], "--evaluations: must be in"),
        (["--space", QUICK, "--time-budget", "soon"], "--time-budget: expected a time"),
        (["--space", QUICK, "--set", "candidate_time=soon"], "candidate_time: expected a time"),
        (["--space", QUICK, "--set", "candidate_memory=-1"], "candidate_memory: must be in"),
        (["--space", QUICK, "--set", "candidate_memory"], "--set: expected KEY=VALUE"),
        (["--space", QUICK, "--set", "fitnes.a=1"], "--set: fitnes.a: no such setting"),
        (["--space", QUICK, "--set", "recipe.bacth_size=1"], "did you mean 'batch_size'"),
        (["--space", QUICK, "--evaluator", "json:nothing", "--run-dir", "NEW"],
         "evaluator: json:nothing: Attribute"),
        (["--space", QUICK, "--evaluator", "nothing"], "expected package.module:function"),
        (["--space", QUICK, "--address", "auto"], "--workers: missing; with an address"),
        (["--space", QUICK, "--data", "FACES", "--run-dir", "NEW", "--address", "127.0.0.1:1",
          "--workers", "2"], "address 127.0.0.1:1: no Ray cluster there"),
        (["--space", QUICK, "--algorithm", "nsga"], "did you mean 'nsga2'"),
        (["--space", QUICK, "--epochs", "0"], "--epochs: must be in"),
        (["--space", QUICK, "--fraction", "2"], "--fraction: must be in"),
        (["--space", QUICK, "--seed-genomes", "none.json"], "no genome 'none.json'"),
        (["--space", QUICK, "--data", "FACES", "--run-dir", "nas"], "nas: exists and is not empty"),
        (["--space", QUICK, "--set", "recipe.early_stopping=1"],
         "recipe: early_stopping and schedule plateau"),
        (["--space", QUICK, "--set", "recipe.soft_labels=true"],
         "recipe: soft_labels and train_on are for nas.retrain"),
        (["--space", QUICK, "--set", "recipe.epochs=10"],
         "in a search fidelity.epochs decides (3)"),
        (["--space", QUICK, "--machine", "m", "--fps-model", "f"], "give one of them"),
        (["--space", QUICK, "--dry-run", "--seed", "-1"], "--seed: must be in"),
        (["--space", QUICK, "--dry-run", "--data", "nothing"], "data 'nothing': no prepared"),
        (["--resume", "nowhere", "--dry-run"], "--resume: not with --dry-run"),
        (["--resume", "nowhere"], "nowhere: not a run directory"),
        (["--resume", "nowhere", "--space", QUICK], "--resume: takes space"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_exit_code_2(argv, message, faces_file, tmp_path, capsys):
    paths = {"FACES": str(faces_file), "NEW": str(tmp_path / "new")}
    argv = [paths.get(a, a) for a in argv]
    assert exit_code(main, argv) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert not (tmp_path / "new").exists()


def test_space_and_data_must_fit(tmp_path, faces_file, capsys):
    space = tmp_path / "other.yaml"
    space.write_text((ROOT / "search_spaces/quick.yaml").read_text() + "num_classes: 5\n")
    argv = ["--space", str(space), "--data", str(faces_file), "--run-dir", str(tmp_path / "run")]
    assert exit_code(main, argv) == 2
    assert "num_classes: 5 is stated, the data has 7" in capsys.readouterr().err


def test_rare_classes_count(arguments, tmp_path, capsys):
    """Macro F1 searched and mean recall bounded: two uncertain metrics, a process for each."""
    run = tmp_path / "run"
    wanted = ["objectives=[{name: macro_f1}, {name: int8_size}]",
              "constraints=[{name: balanced_accuracy, at_least: 0.1}]",
              "fitness={metric: macro_f1, penalties: []}"]  # fmt: skip
    command = [*arguments, "--run-dir", str(run), "--evaluations", "10", "--seed-genomes", "none",
               "--set", *wanted]  # fmt: skip
    assert exit_code(main, command) == 0
    out, err = capsys.readouterr()
    head = next(line for line in out.splitlines() if "macro F1 %" in line)
    assert head.index("macro F1 %") < head.index("believed %") < head.index("int8 kB")
    assert "best " in err
    assert re.search(r"best \w+ macro_f1 \d+\.\d%", err)
    found = Run.open(run)
    assert (found.front["balanced_accuracy"] >= 0.1).all()
    assert found.best.id == found.front["believed"].idxmax()
    assert {"accuracy", "macro_f1", "balanced_accuracy", "fps"} <= set(found.evaluations.columns)


def test_a_limit_that_nothing_keeps_is_told_with_what_was_found(tmp_path, monkeypatch, capsys):
    (tmp_path / "gauge.py").write_text("def measure(genome): return {'score': 1, 'joules': 3}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    wanted = ["objectives=[{name: score}, {name: joules}]",
              "constraints=[{name: joules, at_most: 2}]"]  # fmt: skip
    argv = ["--space", "quick", "--evaluator", "gauge:measure", "--evaluations", "2"]
    assert exit_code(main, [*argv, "--run-dir", "run", "--set", *wanted]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-2:] == [
        "no front and no best.json: none of 2 networks keeps joules of at most 2; they have 3 to "
        "3; go on with:",
        "  python -m nas.search --resume run --evaluator gauge:measure --evaluations 4",
    ]


def test_a_search_whose_networks_all_failed_says_of_what(tmp_path, monkeypatch, capsys):
    (tmp_path / "boards.py").write_text(
        "calls = []\n"
        "def gauge(genome):\n"
        "    calls.append(genome)\n"
        "    raise KeyError('x') if len(calls) == 2 else OSError('no board\\nport 3')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    argv = ["--space", "quick", "--evaluator", "boards:gauge", "--evaluations", "3",
            "--run-dir", "run", "--set", "objectives=[{name: score}, {name: joules}]"]  # fmt: skip
    said = (
        "no front: every evaluation failed, 2 of 3 with OSError: no board; all are in "
        "run/evaluations.jsonl"
    )
    assert exit_code(main, [*argv, "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["evaluations"] == 3
    assert err.splitlines()[-1] == said
    assert exit_code(main, ["--resume", "run", "--evaluator", "boards:gauge"]) == 1
    assert said.replace("no front", "no front and no best.json") in capsys.readouterr().out
    assert lines_in(tmp_path / "run/evaluations.jsonl") == 3


def test_a_network_from_outside_of_the_space_is_no_front(tmp_path, monkeypatch, capsys):
    (tmp_path / "gauge.py").write_text("def measure(genome): return {'score': 1, 'joules': 3}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    argv = ["--space", "fer_tiny", "--evaluator", "gauge:measure", "--evaluations", "1"]
    wanted = ["--seed-genomes", "proposed", "--set", "objectives=[{name: score}, {name: joules}]"]
    assert exit_code(main, [*argv, "--run-dir", "run", *wanted]) == 0
    why = "networks that were measured: 1, all from outside of the space"
    assert f"no front and no best.json: {why}; go on" in capsys.readouterr().out
    for command in (inspect.main, fps.main):
        assert exit_code(command, ["run"] if command is inspect.main else ["--run", "run"]) == 2
        assert f"run: no front: {why}" in capsys.readouterr().err
