"""Genes set back, trained for real on a few synthetic faces."""

import json

import numpy as np
import pytest
from conftest import ROOT

from nas.ablate import main
from nas.common.cli import exit_code
from nas.search.ablation import WINNER, plan, summarise
from nas.space.ablation import variants

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
    assert all(row["accuracy"]["count"] == 2 for row in rows.values())
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

    chosen = plan(*pair, quick, [0, 1])
    base, variant = chosen.genomes[0], chosen.genomes[2]
    accuracies = ((base, 0, 0.50), (base, 1, 0.60), (variant, 0, 0.45), (variant, 1, 0.57))
    found = [evaluation(g, i, a, seed=s) for i, (g, s, a) in enumerate(accuracies)]
    rows = summarise(chosen, found)["rows"]
    assert rows[0]["name"] == WINNER
    assert rows[0]["gain"] is None
    assert rows[2]["gain"]["mean"] == pytest.approx(0.04)
    assert rows[2]["gain"]["count"] == 2


@pytest.mark.slow
def test_mistakes_are_one_line(files, capsys):
    assert exit_code(main, ["--genome", files[0]]) == 2
    assert exit_code(main, ["--genome", files[0], "--against", files[0], "--space", "quick"]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert "--space: missing" in errors[0]
    assert "differs from" in errors[-1]
