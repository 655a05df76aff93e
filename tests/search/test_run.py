"""A search from Python: an evaluator, objectives and constraints of one's own, and what is left."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import nas
from nas.arch.footprint import peak_memory
from nas.arch.lowering import cost
from nas.common.cli import exit_code
from nas.common.deadline import OutOfTime
from nas.common.errors import UserError
from nas.inspect import main as inspect
from nas.search import run as running
from nas.search.__main__ import main
from nas.search.driver import Callback, Search

OBJECTIVES = [{"name": "score", "direction": "maximize"}, {"name": "joules"}]


def measure(genome, budget, seed):
    """A user's function: of budget and seed it takes what it names."""
    return {"score": np.float32(int(genome.id, 16) / 16**12), "joules": budget.epochs + seed}


def begin(path, evaluator=measure, **options):
    wanted = {"objectives": OBJECTIVES, "evaluations": 8, "seed_genomes": [], "algorithm": "random"}
    return nas.search("quick", evaluator=evaluator, run_dir=path, **{**wanted, **options})


def test_a_function_of_the_users_is_searched(tmp_path):
    run = begin(tmp_path / "run", seed=3, fidelity={"epochs": 7})
    assert run.outcome.stopped == "finished"
    assert len(run.evaluations) == 8
    assert set(run.evaluations["joules"]) == {10}  # 7 epochs and seed 3
    scores = {e.id: e.metrics["score"] for e in run.archive}
    assert run.best.id == max(scores, key=scores.get)
    assert list(run.front.index) == [run.best.id]  # all take the same joules
    assert not (run.path / "machine.json").exists()  # nobody asked for fps
    again = nas.Run.open(run.path)
    assert again.best == run.best
    assert again.settings.evaluator == f"{__name__}:measure"


@pytest.mark.slow
def test_genes_and_costs_are_metrics_too(tmp_path):
    """params and macs need no measurement; a constraint keeps what breaks it off the front."""
    run = begin(
        tmp_path / "run", evaluations=20, objectives=[OBJECTIVES[0], {"name": "params"}],
        constraints=[{"name": "macs", "at_most": 1_000_000}], algorithm="nsga2+gp",
    )  # fmt: skip
    assert (run.evaluations["macs"] <= 1_000_000).all()  # known before, so never asked for
    front = sorted(run.results, key=lambda member: member.metrics["params"])
    believed = [member.metrics["score"] for member in front]
    assert believed == sorted(believed)  # no larger network is there without a better score
    bred = [e for e in run.archive if e.parents]
    assert bred
    ids = {e.id for e in run.archive}
    assert all(set(e.parents) <= ids and e.changes for e in bred)
    assert all(change.keys() == {"operator", "gene", "old", "new"} for change in bred[0].changes)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("much", "TypeError: the evaluator returned str; expected a dict of numbers"),
        (None, "TypeError: the evaluator returned NoneType; expected a dict of numbers"),
        ({"score": "high", "joules": 1}, "TypeError: the evaluator's metric score is str"),
        ({"score": True, "joules": 1}, "TypeError: the evaluator's metric score is bool"),
        ({"score": float("nan"), "joules": 1}, "ValueError: metric score is nan"),
        (
            {"score": 1, "joules": 1, "accuracy": 63.1},
            "ValueError: metric accuracy is 63.1; expected a share, 0 to 1",
        ),
        (
            {"score": 1, "joules": 1, "macro_f1": -0.1},
            "ValueError: metric macro_f1 is -0.1; expected a share, 0 to 1",
        ),
        ({"score": 1, "joules": 1, "fps": 0}, "ValueError: metric fps is 0; expected more than 0"),
        (
            {"score": 1, "joules": np.ones(2)},
            "TypeError: the evaluator's metric joules has several",
        ),
        ({"score": 1, "joules": torch.ones(2)}, "TypeError: the evaluator's metric joules has sev"),
        (ZeroDivisionError("no current"), "ZeroDivisionError: no current"),
        (ZeroDivisionError(), "ZeroDivisionError\nTraceback"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_what_it_should_not_return_is_a_failed_evaluation(tmp_path, answer, reason):
    def evaluator(genome):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    run = begin(tmp_path / "run", evaluator, evaluations=2)
    assert [e.status for e in run.archive] == ["failed"] * 2
    assert all(e.error.startswith(reason) for e in run.archive)
    with pytest.raises(UserError, match="no front: every evaluation failed"):
        _ = run.best


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: {}, "too many positional arguments"),
        (lambda genome, other: {}, "missing a required argument: 'other'"),
        (dict, "no signature found"),
    ],
)
def test_a_function_that_takes_no_genome_is_refused_before_a_folder_is_made(
    tmp_path, function, reason
):
    with pytest.raises(UserError, match=f"evaluator: .*{reason}.*expected a function of a genome"):
        begin(tmp_path / "run", function)
    assert not (tmp_path / "run").exists()


def test_limits_that_nothing_keeps_are_told(tmp_path):
    """One of them; of which alone, test_command.py."""
    limits = [{"name": "params", "at_least": 1}, {"name": "joules", "at_most": 1.5}]
    run = begin(tmp_path / "run", constraints=limits, evaluations=3, fidelity={"epochs": 3})
    why = "none of 3 networks keeps joules of at most 1.5; they have 3 to 3"
    with pytest.raises(UserError, match=f"no front: {why}"):
        _ = run.best


def test_a_misspelt_metric_is_told_what_there_is(tmp_path):
    """Once, at the first network that is measured; and no empty run is left."""
    calls = []

    def evaluator(genome):
        calls.append(genome.id)
        if len(calls) == 1:
            raise RuntimeError("no current yet")
        return {"scores": 1.0, "joules": 1.5}

    run = tmp_path / "run"
    with pytest.raises(UserError) as told:
        begin(run, evaluator)
    assert str(told.value) == (
        f"{calls[1]}: the evaluator gave no score, which the search needs; it gave scores 1, "
        "joules 1.5 (did you mean 'scores'?)"
    )
    assert [e.error for e in nas.Run.open(run).archive] == ["RuntimeError: no current yet"]
    with pytest.raises(UserError, match="gave no score"):
        begin(tmp_path / "other", lambda genome: {"scores": 1.0, "joules": 1.5})
    assert not (tmp_path / "other").exists()


def test_a_metric_that_one_network_lacks_is_its_failure(tmp_path):
    calls = []

    def evaluator(genome):
        calls.append(genome.id)
        return {"score": 1.0} | ({"joules": 1.0} if len(calls) != 2 else {})

    run = begin(tmp_path / "run", evaluator, evaluations=3)
    assert [e.status for e in run.archive] == ["ok", "failed", "ok"]
    assert "the evaluator gave no joules, which the search needs; it gave score 1" in (
        run.archive.evaluations[1].error
    )


def test_a_ga_needs_what_its_fitness_is_of(tmp_path):
    fitness = {"metric": "scroe", "penalties": []}
    with pytest.raises(UserError, match=r"gave no scroe, .* \(did you mean 'score'\?\)"):
        begin(tmp_path / "run", algorithm="ga", fitness=fitness)
    assert not (tmp_path / "run").exists()


def test_a_metric_that_the_search_knows_is_not_the_evaluators(tmp_path, caplog):
    def evaluator(genome):
        return {"score": 1.0, "joules": 1.0, "params": 7}

    run = begin(tmp_path / "run", evaluator, evaluations=2)
    assert (run.evaluations.params > 7).all()
    assert [r.message for r in caplog.records if "params" in r.message] == [
        "the evaluator's params: not used, since the search knows it before a measurement; give "
        "your own another name"
    ]


def test_numbers_of_numpy_and_torch_are_taken(tmp_path):
    def evaluator(genome):
        return {"score": torch.tensor(0.5), "joules": np.int64(3)}

    run = begin(tmp_path / "run", evaluator, evaluations=1)
    assert run.archive.evaluations[0].metrics["score"] == 0.5


def interrupted_at(call):
    """An evaluator that is interrupted once, and the genomes that it was called with."""
    calls = []

    def evaluator(genome):
        calls.append(genome.id)
        if len(calls) == call:
            raise KeyboardInterrupt
        return {"score": 1.0 * len(calls), "joules": 1}

    return evaluator, calls


def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path):
    evaluator, calls = interrupted_at(4)
    run = begin(tmp_path / "run", evaluator)
    assert run.outcome.stopped == "interrupted"
    assert len(run.archive) == 3
    assert json.loads((run.path / "summary.json").read_text())["stopped"] == "interrupted"
    for enough in (2, 3):  # nothing is wanted, though one had begun
        fewer = nas.search(resume=run.path, evaluator=evaluator, evaluations=enough)
        assert (len(fewer.archive), len(calls)) == (3, 4)
    again = nas.search(resume=run.path, evaluator=evaluator)
    assert again.outcome.stopped == "finished"
    assert sorted(again.archive.by_index) == list(range(8))
    assert calls[3] == calls[4]  # what was broken off comes first
    with pytest.raises(UserError, match="--resume: seed: the run has 0, and its networks do not"):
        nas.search(resume=run.path, evaluator=evaluator, seed=1)


def test_a_further_time_alone_decides_how_far_a_run_goes_on(tmp_path):
    """It ended at once, as finished: its old number of evaluations went on to count."""
    evaluator, _ = interrupted_at(6)
    run = begin(tmp_path / "run", evaluator, evaluations=3)
    longer = nas.search(resume=run, evaluator=evaluator, time_budget="1h")
    assert (longer.outcome.stopped, len(longer.archive)) == ("interrupted", 5)
    both = nas.search(resume=run, evaluator=evaluator, time_budget="1h", evaluations=7)
    assert (both.outcome.stopped, len(both.archive)) == ("finished", 7)


def test_killed_before_the_results_were_written_they_are_on_resume(tmp_path, monkeypatch):
    write = Search.write_results

    def killed(self, final=False):
        if final:
            raise KeyboardInterrupt
        write(self, final)

    def evaluator(genome):
        return {"score": np.log(cost(genome).params), "joules": cost(genome).macs}

    def front():
        return json.loads((tmp_path / "run/front.json").read_text())

    monkeypatch.setattr(Search, "write_results", killed)
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "run", evaluator, evaluations=20)
    stored = (tmp_path / "run/evaluations.jsonl").read_bytes()
    assert not any(row["interval"] for row in front())
    monkeypatch.setattr(Search, "write_results", write)
    run = nas.search(resume=tmp_path / "run", evaluator=evaluator)
    assert run.outcome.stopped == "finished"
    assert (run.path / "evaluations.jsonl").read_bytes() == stored
    assert json.loads((run.path / "summary.json").read_text())["evaluations"] == 20
    assert all(row["interval"] for row in front())  # what is believed
    assert nas.search(resume=run, evaluator=evaluator).outcome.seconds == 0  # finished already


def test_time_that_is_up_before_there_is_a_worker_adds_to_what_ran_before(tmp_path, monkeypatch):
    def late(*arguments):
        raise OutOfTime

    run = begin(tmp_path / "run", evaluations=3)
    monkeypatch.setattr(running, "start_workers", late)
    again = nas.search(resume=run, evaluator=measure, evaluations=5).outcome
    assert again.stopped == "time is up"
    assert again.total.loop_seconds >= run.outcome.total.loop_seconds > 0
    assert again.total.seconds > run.outcome.total.seconds


def test_an_emptied_config_is_told_before_other_data_are_looked_for(tmp_path):
    """Its settings would be the defaults: other data, whose classes may not fit the space."""
    run = begin(tmp_path / "run", lambda genome: {"score": 1.0, "joules": 1}, evaluations=1)
    (run.path / "config.yaml").write_text("")
    with pytest.raises(UserError, match=r"config\.yaml: .*: the run has .*, not "):
        nas.search(resume=run.path, evaluator=lambda genome: {"score": 1.0, "joules": 1})


MARK = """
from pathlib import Path
Path("imported").touch()
def measure(genome):
    return {"score": 1.0, "joules": 1}
"""


def test_what_a_file_names_is_neither_imported_nor_joined(tmp_path, monkeypatch, capsys):
    """A run of a stranger's, and a module of theirs in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stranger.py").write_text(MARK)
    run = begin(tmp_path / "run", lambda genome: {"score": 1.0, "joules": 1})
    for name in ("config.yaml", "fingerprints.json"):
        text = (run.path / name).read_text()
        (run.path / name).write_text(
            re.sub(r"[\w.]+:\w+\.<locals>\.<lambda>", "stranger:measure", text)
        )
    for argv in (
        ["--resume", str(run.path), "--evaluations", "9"],
        ["--space", "quick", "--config", str(run.path / "config.yaml"), "--run-dir", "new"],
        ["--space", "quick", "--set", "evaluator=stranger:measure", "--run-dir", "new"],
    ):
        assert exit_code(main, argv) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert "evaluator stranger:measure: named by a file" in error
        assert "say so: --evaluator stranger:measure" in error
    with pytest.raises(UserError, match="named by a file"):
        nas.search(resume=run.path, evaluations=9)
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "new").exists()
    argv = ["--resume", str(run.path), "--evaluations", "9", "--evaluator", "stranger:measure"]
    assert main(argv) == 0
    assert (tmp_path / "imported").exists()
    again = nas.search(resume=run.path, evaluator="stranger:measure", evaluations=10)
    assert len(again.archive) == 10
    said = capsys.readouterr().out
    assert "nas.search --resume" not in said  # it is finished
    text = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text(text.replace("address: null", "address: 192.0.2.1:6379"))
    assert exit_code(main, argv) == 2
    assert "address 192.0.2.1:6379: named by a file" in capsys.readouterr().err
    with pytest.raises(UserError, match="no file has us join a cluster"):
        nas.search(resume=run.path, evaluator="stranger:measure")
    assert main([*argv, "--evaluations", "11", "--address", "none"]) == 0


def test_callbacks_hear_of_everything(tmp_path):
    class Listener(Callback):
        heard = ()

        def on_start(self, search):
            self.heard += ("start", len(search.archive))

        def on_evaluation(self, search, evaluation):
            self.heard += (evaluation.index,)

        def on_end(self, search, outcome):
            self.heard += (outcome.stopped,)

    listener = Listener()
    begin(tmp_path / "run", evaluations=3, callbacks=[listener])
    assert listener.heard == ("start", 0, 0, 1, 2, "finished")


def test_mistakes_leave_no_folder(tmp_path):
    for options in ({"objectives": OBJECTIVES[:1]}, {"population": 1}, {"nonsense": 1}):
        with pytest.raises(UserError):
            begin(tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()
    known = [{"name": "accuracy"}, {"name": "params"}]
    for where, found in (
        ("objectives", {"objectives": [*known, {"name": "acuracy"}]}),
        ("constraints", {"constraints": [{"name": "acuracy", "at_least": 0.1}]}),
        ("fitness", {"fitness": {"metric": "acuracy"}}),
    ):
        with pytest.raises(UserError, match=f"{where}: unknown metric 'acuracy'.*mean 'accuracy'"):
            nas.search("quick", run_dir=tmp_path / "run", **found)
    with pytest.raises(UserError, match=r"0 of 1000 samples satisfy constraints.params \[0, 10\]"):
        begin(tmp_path / "run", constraints=[{"name": "params", "at_most": 10}])
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="either a space, or a run to resume"):
        nas.search()


def test_latest_is_the_newest_search_that_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refused(*arguments, **options):
        raise UserError("no room for a worker")

    latest = Path("experiments/latest")
    with pytest.raises(UserError, match="gave no score"):
        begin(None, lambda genome: {"scores": 1.0, "joules": 1.5})
    assert not list(latest.parent.iterdir())
    first = begin(None, evaluations=2)
    assert latest.resolve() == first.path.resolve()
    with monkeypatch.context() as patched:
        patched.setattr(running, "start_workers", refused)
        with pytest.raises(UserError, match="no room"):
            begin(None, evaluations=2)
    assert set(latest.parent.iterdir()) == {latest, first.path}  # nothing is left of the other
    assert latest.resolve() == first.path.resolve()
    with pytest.raises(UserError, match="gave no score"):  # it has started
        begin(None, lambda genome: {"scores": 1.0, "joules": 1.5})
    assert set(latest.parent.iterdir()) == {latest, first.path}
    assert latest.resolve() == first.path.resolve()
    seen = []

    class Watch:
        def on_start(self, search):
            seen.append(latest.resolve())

    second = begin(None, evaluations=2, callbacks=[Watch()])
    assert seen == [second.path.resolve()] == [latest.resolve()]


def test_a_page_made_through_a_link_names_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = begin(None, evaluations=3)
    assert exit_code(inspect, ["experiments/latest"]) == 0
    page = (run.path / "report.html").read_text()
    assert str(run.path) in page
    assert "experiments/latest" not in page


def test_a_space_made_in_python(tmp_path, quick):
    space = dataclasses.replace(quick, name="mine")
    run = nas.search(
        space, evaluator=measure, objectives=OBJECTIVES, evaluations=2, seed_genomes=[],
        run_dir=tmp_path / "run",
    )  # fmt: skip
    assert run.space.name == "mine"
    assert all(space.contains(genome) for genome in run.evaluations["genome"])


def test_wrong_types_are_one_line(tmp_path):
    with pytest.raises(UserError, match="evaluator: found int; expected a function"):
        nas.search("quick", evaluator=3, run_dir=tmp_path / "run")
    with pytest.raises(UserError, match="expected plain values"):
        nas.search("quick", objectives=object(), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_prediction_is_noted_before_the_measurement(tmp_path):
    """Of two searches that differ in their last measurement alone, the predictions are the same."""

    def noisy(last):
        made = []

        def evaluator(genome):
            made.append(genome.id)
            score = 0.2 + 0.6 * int(genome.id, 16) / 16**12
            return {"score": 0.99 if len(made) == 14 and last else score}

        return evaluator

    objectives = [OBJECTIVES[0], {"name": "params"}]
    options = {"evaluations": 14, "objectives": objectives, "algorithm": "nsga2+gp", "seed": 2}
    one, other = (
        begin(tmp_path / name, noisy(last), **options).archive.evaluations
        for name, last in (("one", False), ("other", True))
    )
    assert one[-1].metrics["score"] != other[-1].metrics["score"] == 0.99
    assert [e.predicted for e in one] == [e.predicted for e in other]
    assert all(not e.predicted for e in one[:8])  # before the surrogate is trusted
    foretold = [e.predicted["score"] for e in one[8:] if e.predicted]
    assert len(foretold) >= 4  # but for what was drawn at random
    assert all(low < mean < high for mean, low, high in foretold)


def test_a_limit_that_the_space_knows_is_repaired(tmp_path):
    """And kept: every network has it, though few random ones do."""
    limits = [
        {"name": "params", "at_most": 3000}, {"name": "int8_size", "at_most": 4000},
        {"name": "peak_memory", "at_most": 30_000}, {"name": "joules", "at_most": 10},
    ]  # fmt: skip
    run = begin(tmp_path / "run", constraints=limits)
    assert len(run.evaluations) == 8
    assert (run.evaluations[["params", "int8_size", "peak_memory"]] <= [3000, 4000, 30_000]).all(
        axis=None
    )
    assert run.space.constraints.params == (0, 3000)
    with pytest.raises(UserError, match="params: nothing is within"):
        begin(tmp_path / "no", constraints=[{"name": "params", "at_least": 5, "at_most": 4.5}])


def test_what_a_device_needs_is_a_metric_only_where_it_is_wanted(tmp_path):
    """As objective, and as a term of the fitness; the surrogate learns from no more than that."""
    fitness = {"metric": "score", "penalties": [{"name": "int8_size", "at_most": 3000}]}
    run = begin(
        tmp_path / "run", fitness=fitness, algorithm="nsga2+gp", evaluations=12,
        objectives=[OBJECTIVES[0], {"name": "peak_memory"}],
    )  # fmt: skip
    assert {"peak_memory", "int8_size"} <= set(run.evaluations.columns)
    genome = run.best
    assert run.front.peak_memory[genome.id] == peak_memory(genome)
    assert "int8_size" not in begin(tmp_path / "plain").evaluations.columns
