"""Genes set back, trained for real on a few synthetic faces."""

import json

import numpy as np
import pytest
from conftest import ROOT

from nas.ablate import main
from nas.arch.lowering import cost
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.search.ablation import WINNER, plan, summarise
from nas.space.ablation import variants
from nas.space.projection import project

MEASURE = {"name": "accuracy", "maximize": True, "share": True}
QUICK = ROOT / "search_spaces/quick.yaml"


@pytest.fixture
def pair(quick):
    """Two networks that differ in two genes."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        network = quick.sample(rng)
        other = quick.mutate(network, rng)
        if len(variants(network, other, quick)) == 2:
            return network.genome, other.genome
    raise AssertionError("no such pair")


@pytest.fixture
def files(pair, tmp_path):
    paths = [tmp_path / "network.json", tmp_path / "other.json"]
    for path, genome in zip(paths, pair, strict=True):
        path.write_text(genome.to_json(name=path.stem))
    return [str(path) for path in paths]


@pytest.mark.slow
def test_equal_training_for_all_and_on_from_where_it_stopped(files, faces_file, tmp_path, capsys):
    out = tmp_path / "ablation"
    argv = ["--genome", files[0], "--against", files[1], "--space", str(QUICK), "--epochs", "1",
            "--data", str(faces_file), "--seeds", "2", "--workers", "1", "--out", str(out),
            "--json"]  # fmt: skip
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in found["rows"]}
    assert len(rows) == 4
    assert found["against"] == rows["the other network"]["id"]
    assert all(row["value"]["count"] == 2 for row in rows.values())
    stored = (out / "evaluations.jsonl").read_text().splitlines()
    assert len(stored) == 8
    assert len({json.dumps(json.loads(line)["fidelity"]) for line in stored}) == 1
    # One training is lost: it alone is made again, and comes out the same.
    (out / "evaluations.jsonl").write_text("\n".join(stored[:-1]) + "\n")
    assert main(argv) == 0
    again = json.loads(capsys.readouterr().out)
    assert len((out / "evaluations.jsonl").read_text().splitlines()) == 8
    assert [r["id"] for r in again["rows"]] == [r["id"] for r in found["rows"]]
    assert (out / "ablation.png").stat().st_size > 5000
    # Another training in the same folder would not compare.
    assert exit_code(main, [*argv, "--epochs", "2"]) == 2
    assert "holds an ablation of other fidelity" in capsys.readouterr().err


def test_gains_are_paired_by_seed(pair, quick):
    from fakes import evaluation

    compared = plan(*pair, quick)
    base, variant = compared[0].genome, compared[2].genome
    accuracies = ((base, 0, 0.50), (base, 1, 0.60), (variant, 0, 0.45), (variant, 1, 0.57))
    found = [evaluation(g, i, a, seed=s) for i, (g, s, a) in enumerate(accuracies)]
    rows = summarise(compared, [0, 1], found, MEASURE)["rows"]
    assert rows[0]["name"] == WINNER
    assert rows[0]["gain"] is None
    assert rows[2]["gain"]["mean"] == pytest.approx(0.04)
    assert rows[2]["gain"]["count"] == 2
    # Of an error, less is better: the variant's is lower, so that the own value loses.
    rows = summarise(compared, [0, 1], found, MEASURE | {"maximize": False})["rows"]
    assert rows[2]["gain"]["mean"] == pytest.approx(-0.04)


def energy(genome, seed):
    """What a network takes, which is no training: 1 uJ a thousand parameters, and 1 for a seed."""
    return {"energy_uj": cost(genome).params / 1000 + seed}


def fails_once(genome, seed):
    if cost(genome).params == FAILING["params"] and seed == 1:
        raise RuntimeError("no such device")
    return energy(genome, seed)


FAILING = {"params": -1}


@pytest.fixture
def own_run(quick, tmp_path):
    """A run whose measure is an evaluator's own, to be minimized."""
    import nas

    return nas.search(
        quick, evaluator=energy, evaluations=6, run_dir=tmp_path / "run", seed_genomes=[],
        objectives=[{"name": "energy_uj"}, {"name": "macs"}], progress=False,
    )  # fmt: skip


def test_an_evaluator_of_the_run_measures_the_variants(own_run, pair, monkeypatch):
    import nas

    best = own_run.path / "best.json"
    with pytest.raises(nas.UserError, match=r"--evaluator [a-z_.]*test_ablation:energy"):
        nas.ablate(best)
    found = nas.ablate(best, evaluator=energy, seeds=[1, 2, 3])
    assert found["measure"]["name"] == "energy_uj"
    assert found["against"] == "proposed"
    own, *others = found["rows"]
    assert own["value"]["mean"] == pytest.approx(own["params"] / 1000 + 2)
    assert len(others) > 2
    for row in others:  # less energy is better, and no seed spreads what is paired by it
        gain = (row["params"] - own["params"]) / 1000
        assert [row["gain"][key] for key in ("mean", "low", "high")] == pytest.approx([gain] * 3)
    folder = own_run.path / f"ablation-{own_run.best.id}"
    assert json.loads((folder / "ablation.json").read_text())["rows"] == found["rows"]
    # Again, with a seed more: what was measured is not measured again.
    stored = (folder / "evaluations.jsonl").read_text()
    again = nas.ablate(best, evaluator=energy, seeds=[1, 2, 3, 4])
    assert again["rows"][0]["value"]["count"] == 4
    assert (folder / "evaluations.jsonl").read_text().startswith(stored)
    with pytest.raises(nas.UserError, match="holds an ablation of other evaluator"):
        nas.ablate(best, evaluator=fails_once)


def test_what_fails_is_told_and_not_tried_for_ever(own_run, monkeypatch):
    import nas

    monkeypatch.setitem(FAILING, "params", cost(own_run.best).params)
    given = {"evaluator": fails_once, "seeds": 2, "out": own_run.path.parent / "ablation"}
    for _ in range(2):
        found = nas.ablate(own_run.path / "best.json", **given)
        assert {(f["seed"], f["error"]) for f in found["failures"]} >= {
            (1, "RuntimeError: no such device")
        }
        assert found["rows"][0]["value"]["count"] == 1
        assert found["rows"][2]["gain"]["count"] == 1


def test_an_ablation_in_which_all_failed_says_of_what(own_run, tmp_path, capsys, monkeypatch):
    (tmp_path / "broken.py").write_text("def gauge(genome): raise OSError('no board\\nport 3')")
    monkeypatch.chdir(tmp_path)
    argv = ["--genome", str(own_run.path / "best.json"), "--seeds", "1", "--out", "ablation",
            "--evaluator", "broken:gauge"]  # fmt: skip
    assert exit_code(main, argv) == 1
    out, err = capsys.readouterr()
    count = out.count("failed: ")
    assert count == len((tmp_path / "ablation/evaluations.jsonl").read_text().splitlines()) > 2
    assert err.splitlines()[-1] == (
        f"every training failed, {count} of {count} with OSError: no board; all are in "
        "ablation/evaluations.jsonl"
    )


@pytest.mark.slow
def test_the_command_measures_by_an_evaluator_on_two_workers(
    own_run, tmp_path, capsys, monkeypatch
):
    (tmp_path / "gauges.py").write_text(
        "def energy(genome):\n    return {'energy_uj': float(len(genome.stages))}\n"
    )
    monkeypatch.chdir(tmp_path)
    argv = ["--genome", str(own_run.path / "best.json"), "--seeds", "2", "--workers", "2", "--json",
            "--evaluator", "gauges:energy", "--out", str(tmp_path / "ablation")]  # fmt: skip
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    stages = len(own_run.best.stages)
    assert found["rows"][0]["value"] == {"count": 2, "mean": stages, "low": stages, "high": stages}
    assert (tmp_path / "ablation/ablation.png").stat().st_size > 5000
    assert exit_code(main, [*argv, "--data", "synthetic"]) == 2
    assert "--data, --evaluator: both" in capsys.readouterr().err


@pytest.mark.slow
def test_mistakes_are_one_line(files, capsys):
    assert exit_code(main, ["--genome", files[0]]) == 2
    assert exit_code(main, ["--genome", files[0], "--against", files[0], "--space", "quick"]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert "--space: missing" in errors[0]
    assert "differs from" in errors[-1]


def test_a_network_is_not_ablated_against_what_it_is_the_relative_of(quick, proposed):
    relative = project(proposed, quick)
    with pytest.raises(UserError, match="is itself the relative of"):
        plan(relative.genome, proposed, quick)
