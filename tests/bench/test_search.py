"""The benchmark of optimizers, on a small table made by hand."""

import itertools
import json
import math
import random

import numpy as np
import optuna
import pandas as pd
import pytest
from conftest import ROOT

from nas.arch.genome import Genome
from nas.bench import scale
from nas.bench.__main__ import NAMES, main
from nas.bench.baselines import STRATEGIES
from nas.bench.scale import Simulated
from nas.bench.search import compare, score, summary
from nas.bench.table import Table, TableGenome
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.search.archive import Archive, Evaluation
from nas.training.task import Fidelity, Task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frame():
    """Four genes of four choices; accuracy and cost rise with each, at different prices."""
    rng = np.random.default_rng(0)
    rows = []
    for genes in itertools.product(range(4), repeat=4):
        if genes == (3, 3, 3, 3):
            continue  # infeasible
        accuracy = 60 + 3 * genes[0] + 2 * genes[1] + genes[2] + rng.normal(0, 0.5)
        cost = 100 + 50 * genes[0] + 10 * genes[1] + 5 * genes[2] + 20 * genes[3]
        rows.append([*(f"op{g}" for g in genes), accuracy, accuracy + rng.normal(0, 0.3), cost])
    names = [f"gene:g{i}" for i in range(4)]
    return pd.DataFrame(rows, columns=[*names, "val_accuracy", "test_accuracy", "cost:params"])


@pytest.fixture(scope="module")
def table(frame):
    return Table("hand", frame)


def test_volume_by_hand():
    frame = pd.DataFrame({
        "gene:a": ["x", "y", "z", "w"], "val_accuracy": [50.0, 70.0, 80.0, 60.0],
        "test_accuracy": [50.0] * 4, "cost:c": [1.0, 2.0, 4.0, 5.0],
    })  # fmt: skip
    table = Table("hand", frame)
    assert table.reference == (65.0, pytest.approx(4.4))
    full = (4 - 2) * 5 + (4.4 - 4) * 15  # y up to z's cost, then z
    assert table.full_volume == pytest.approx(full)
    assert table.hypervolume(np.array([1])) == pytest.approx((4.4 - 2) * 5 / full)
    assert table.hypervolume(np.array([0, 3])) == 0.0
    assert sorted(table.front.tolist()) == [0, 1, 2]


def test_a_front_is_scored_from_the_median_of_the_test_column():
    frame = pd.DataFrame({
        "gene:a": ["x", "y", "z", "w"], "val_accuracy": [50.0, 70.0, 80.0, 60.0],
        "test_accuracy": [40.0, 60.0, 50.0, 30.0], "cost:c": [1.0, 2.0, 4.0, 5.0],
    })  # fmt: skip
    table = Table("hand", frame)  # of its front y alone is above 45 and not dominated
    assert table.test_hypervolume(table.front) == 1
    assert table.test_hypervolume(np.array([2])) == pytest.approx(0.4 * 5 / (2.4 * 15))
    assert table.test_hypervolume(np.array([0, 3])) == 0


def test_a_table_is_a_search_space(table):
    rng = np.random.default_rng(0)
    for _ in range(300):
        a, b = table.sample(rng), table.sample(rng)
        child, mutant = table.crossover(a, b, rng), table.mutate(a, rng)
        assert table.row(child) is not None
        assert all(c in (x, y) for c, x, y in zip(child.genes, a.genes, b.genes, strict=True))
        assert table.row(mutant) is not None
        assert 1 <= sum(x != y for x, y in zip(a.genes, mutant.genes, strict=True)) <= 2
    assert table.row(TableGenome((3, 3, 3, 3))) is None


@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_spends_its_budget_on_different_networks(table, name):
    rows = STRATEGIES[name].run(table, 60, 1)
    assert len(rows) == len(set(rows))
    assert len(rows) == 60 or (name.startswith("optuna") and 30 <= len(rows) <= 60)
    assert rows == STRATEGIES[name].run(table, 60, 1)
    assert rows != STRATEGIES[name].run(table, 60, 2)


@pytest.mark.parametrize("name", NAMES)
def test_the_callers_log_and_random_numbers_stay_theirs(table, name, capfd):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    STRATEGIES[name].run(table, 30, 1)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    assert random.random() == expected
    assert capfd.readouterr().err == ""


def test_a_search_is_told_nothing_of_the_test_column(frame, table):
    for row in (0, 7):
        accuracy, cost = frame.loc[row, ["val_accuracy", "cost:params"]]
        assert table.metrics(row) == {"accuracy": pytest.approx(accuracy / 100), "cost": cost}
        assert table.static_metrics(table.genome(row)) == {"cost": cost}


def test_what_learns_beats_random_search(table):
    def scored(name):
        return [score(table, STRATEGIES[name].run(table, 60, seed)) for seed in range(10)]

    chance = scored("random")
    for name, figure, sign in (
        ("nsga2", "hypervolume", 1), ("deap-nsga2", "hypervolume", 1),
        ("regularized-evolution", "regret", -1),
    ):  # fmt: skip
        ours, theirs = (np.mean([row[figure] for row in rows]) for rows in (scored(name), chance))
        assert sign * ours > sign * theirs, name


def test_scores(table):
    order = np.argsort(table.accuracy)
    found = score(table, order[-40:])  # rises to the best
    assert found["regret"] == 0
    assert found["evaluations_to_best"] == 40
    best = table.accuracy.max()
    for points in (0.1, 0.5):
        close = int((table.accuracy < best - points).sum()) - (len(table) - 40)
        assert found[f"evaluations_to_{points}"] == close + 1
    falling = score(table, order[::-1][:40])
    assert (falling["regret"], falling["evaluations_to_best"]) == (0, 1)
    worst = score(table, order[:5])
    assert worst["regret"] > 5
    assert math.isinf(worst["evaluations_to_best"])
    everything = score(table, np.arange(len(table)))
    assert everything["hypervolume"] == pytest.approx(1)
    assert everything["front_found"] == 1


def test_a_smaller_budget_is_the_beginning(table):
    optimizers = {"random": STRATEGIES["random"]}
    scores, curves = compare(table, optimizers, [20, 80], 3)
    rows = {row["budget"]: row for row in summary(scores)}
    assert rows[20]["hypervolume"] < rows[80]["hypervolume"]
    assert rows[20]["hypervolume_q1"] <= rows[20]["hypervolume"] <= rows[20]["hypervolume_q3"]
    expected = np.median([
        table.hypervolume(np.array(STRATEGIES["random"].run(table, 80, s)[:20])) for s in range(3)
    ])  # fmt: skip
    assert rows[20]["hypervolume"] == pytest.approx(expected)
    assert curves["evaluations"].max() == 80


def test_command_line(frame, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "hand.csv.gz"
    frame.to_csv(path, index=False)
    argv = ["search", "--table", str(path), "--budget", "20", "40", "--seeds", "2"]
    chosen = ["--optimizers", "random", "nsga2"]
    assert main([*argv, *chosen, "--out", str(tmp_path / "out")]) == 0
    assert "nsga2" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "hand.png", "hand_scores.csv", "hand_curves.csv",
    }  # fmt: skip
    assert main([*argv, *chosen, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 4
    assert {"optimizer", "budget", "hypervolume", "regret", "evaluations_to_best"} <= set(found[0])


def test_the_noise_free_table_has_a_front_of_its_own(frame):
    other = Table("hand", frame).noise_free()
    swapped = frame.assign(val_accuracy=frame["test_accuracy"])
    assert other.front.tolist() == Table("hand", swapped).front.tolist()
    assert other.front.tolist() != Table("hand", frame).front.tolist()
    assert other.hypervolume(other.front) == pytest.approx(1)


def test_single_objective_mode_counts_networks_until_the_best(frame, tmp_path, capsys):
    path = tmp_path / "hand.csv"
    frame.to_csv(path, index=False)
    argv = ["search", "--table", str(path), "--single", "--seeds", "5", "--budget", "200"]
    assert main([*argv, "--optimizers", "random", "ga+gp", "--json"]) == 0
    random, ours = json.loads(capsys.readouterr().out)
    assert ours["regret"] == 0  # in test_accuracy, which is what was searched
    assert ours["evaluations_to_best"] == ours["evaluated"] < 200
    assert ours["evaluations_to_best"] < (random["evaluations_to_best"] or 200)
    assert exit_code(main, [*argv, "--optimizers", "deap-nsga2"]) == 2
    assert "--optimizers: unknown optimizer 'deap-nsga2'" in capsys.readouterr().err


def test_mistakes(frame, tmp_path, capsys):
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    cases = [
        (["--table", str(tmp_path / "no.csv")], "cannot read"),
        (["--table", str(path), "--cost", "flops"], "unknown cost 'flops'"),
        (["--table", str(path), "--optimizers", "nsga3"], "did you mean 'nsga2'"),
        (["--table", str(path), "--seeds", "0"], "--seeds: must be in"),
    ]
    for argv, message in cases:
        assert exit_code(main, ["search", *argv]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(UserError, match="not a finite number"):
        Table("bad", frame.assign(val_accuracy="high"))
    with pytest.raises(UserError, match="expected costs above 0"):
        Table("bad", frame.assign(**{"cost:params": 0}))
    with pytest.raises(UserError, match="half of the networks or more are the best"):
        Table("bad", frame.assign(val_accuracy=50.0))
    with pytest.raises(UserError, match="more than one row"):
        Table("bad", pd.concat([frame, frame]))
    with pytest.raises(UserError, match="no column 'test_accuracy'"):
        Table("bad", frame.drop(columns="test_accuracy"))


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_gene_is_refused_by_its_place(frame, tmp_path, capsys, empty):
    for column in ("gene:g2", "gene:depth"):
        given = frame.assign(**{"gene:depth": np.arange(len(frame)) % 2}).astype(object)
        given.loc[5, column] = empty
        path = tmp_path / "hand.csv"
        given.to_csv(path, index=False)
        assert exit_code(main, ["search", "--table", str(path)]) == 2
        said = capsys.readouterr().err
        assert said == f"error: {path}: {column}: row 7: empty; expected a number or a word\n"


def test_words_for_nothing_are_choices_too(frame, tmp_path):
    given = frame.assign(**{"gene:g0": frame["gene:g0"].replace({"op0": "None", "op1": "NA"})})
    given.to_csv(tmp_path / "hand.csv", index=False)
    assert Table.load(tmp_path / "hand.csv").choices[0] == ["NA", "None", "op2", "op3"]


def test_a_number_among_words_is_one_choice_however_long_the_table(tmp_path):
    n = 500_000  # pandas reads so many rows in parts
    rows = "".join(f"{i},{'skip' if i == n - 1 else 3},{i % 7 + 1},5,2\n" for i in range(n))
    path = tmp_path / "long.csv"
    path.write_text(f"gene:a,gene:b,val_accuracy,test_accuracy,cost:c\n{rows}")
    assert Table.load(path).choices[1] == ["3", "skip"]


def test_scale_measures_the_driver(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scale, "STEPS", 20)
    monkeypatch.setattr(scale, "LEAST", 40)
    times = tmp_path / "evaluations.jsonl"
    genome = Genome.load(ROOT / "search_spaces/references/proposed.json")
    archive = Archive(times)
    for index, seconds in enumerate((5.0, 7.0)):
        metrics = {"accuracy": 0.5, "params": 1.0, "fps": 1.0}
        archive.append(Evaluation(index, genome, Fidelity(), 0, "ok", metrics, seconds=seconds))
    archive.close()
    out = tmp_path / "scale.json"
    argv = ["scale", "--space", str(ROOT / "search_spaces/quick.yaml"), "--sizes", "50"]
    assert main([*argv, "--workers", "3", "--times", str(times), "--out", str(out)]) == 0
    assert "utilisation" in capsys.readouterr().out
    found = json.loads(out.read_text())
    (driver,), (workers,) = found["driver"], found["workers"]
    parts = sum(driver[f"{part}_ms"] for part in ("ask", "tell", "append", "front"))
    assert 0 < parts <= driver["driver_ms"]
    assert driver["front"] > 0
    assert 0.5 < workers["utilisation"] <= 1
    # Three workers that take six seconds each do at most half a task a second.
    assert 0 < workers["evaluations_per_hour"] <= 1.2 * 1800


def test_simulated_workers_by_hand(quick):
    """Two workers of two seconds: the clock stands at 2, 2, 4 when the third task ends."""
    simulated = Simulated(2, [2.0])
    tasks = [
        Task(i, quick.sample(np.random.default_rng(i)).genome, Fidelity(), 0) for i in range(3)
    ]
    for task in tasks[:2]:
        simulated.submit(task)
    ends = []
    for task in tasks[2:]:
        assert simulated.next().index == 0
        ends.append(simulated.now)
        simulated.submit(task)
    for _ in range(2):
        simulated.next()
        ends.append(simulated.now)
    assert ends == pytest.approx([2, 2, 4], abs=0.5)
    assert simulated.utilisation() == pytest.approx(1, abs=0.05)


def test_a_run_is_replayed_as_a_table(capsys):
    path = ROOT / "experiments/fer2013/search/evaluations.jsonl"
    table = Table.load(path, "params")
    assert len(table) > 100
    measured = [e.metrics for e in Archive(path) if e.ok]
    assert table.accuracy.max() == pytest.approx(100 * max(m["accuracy"] for m in measured))
    milliseconds = Table.load(path, "ms").cost
    assert milliseconds.max() == pytest.approx(1000 / min(m["fps"] for m in measured))
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = table.sample(rng), table.sample(rng)
        child, mutant = table.crossover(a, b, rng), table.mutate(a, rng)
        assert table.genome(table.row(child)) == child
        assert table.genome(table.row(mutant)) == mutant != a
    everything = STRATEGIES["nsga2"].run(table, 1000, 0)
    assert len(table) - 5 <= len(everything) == len(set(everything))
    arguments = ["search", "--table", str(path), "--seeds", "2", "--budget", "30", "--json"]
    assert main([*arguments, "--optimizers", "random", "nsga2+gp", "deap-nsga2"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["evaluated"] for r in rows] == [30, 30, 30]
    assert all(0 < r["hypervolume"] <= 1 for r in rows)


def test_a_table_with_few_of_its_combinations_means_the_nearest_row(frame, tmp_path):
    genes = {f"gene:g{i}": ["a", "b"] for i in range(8)}  # 256 combinations, two rows
    two = pd.DataFrame({**genes, "val_accuracy": [50.0, 70.0], "test_accuracy": [50.0, 70.0],
                        "cost:params": [1, 2]})  # fmt: skip
    for name, rows in (("two", two), ("hand", frame)):
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    few, full = Table.load(tmp_path / "two.csv"), Table.load(tmp_path / "hand.csv")
    assert few.row(TableGenome((1, 1, 1, 1, 1, 1, 0, 0))) == 1
    assert few.row(TableGenome((0, 0, 0, 0, 0, 1, 1, 0))) == 0
    assert full.row(TableGenome((3, 3, 3, 3))) is None


def test_an_archive_without_its_space_is_refused(tmp_path):
    (tmp_path / "evaluations.jsonl").write_text("")
    with pytest.raises(UserError, match=r"space\.yaml"):
        Table.load(tmp_path / "evaluations.jsonl")


def test_a_file_of_times_that_is_not_there_is_named(tmp_path, capsys):
    """Elsewhere than in the repository the default is not there; it was said to hold no times."""
    assert exit_code(main, ["scale", "--times", str(tmp_path / "no.jsonl")]) == 2
    assert capsys.readouterr().err.startswith(f"error: --times: {tmp_path / 'no.jsonl'}: no such")
