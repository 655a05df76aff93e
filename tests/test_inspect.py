import csv
import io
import itertools
import json
import re
import shutil
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import REFERENCES, ROOT
from fakes import evaluation

from nas.arch.lowering import cost
from nas.common.cli import exit_code
from nas.evolution.pareto import pareto_front
from nas.inspect import main
from nas.search.archive import Archive
from nas.search.settings import Settings
from nas.search.store import RunDirectory


@pytest.fixture
def run(tmp_path, quick, proposed, monkeypatch):
    """A run of made-up accuracies; the reference network is outside the space."""
    monkeypatch.chdir(ROOT)
    directory = RunDirectory.create(tmp_path / "run", Settings(), quick, [], ["test"])
    archive = Archive(directory.file("evaluations.jsonl"))
    rng = np.random.default_rng(0)
    for i, genome in enumerate([proposed, *(quick.sample(rng).genome for _ in range(20))]):
        found = cost(genome)
        metrics = {"accuracy": float(rng.uniform(0.2, 0.6)), "fps": 1e10 / found.macs}
        archive.append(evaluation(genome, i, metrics=metrics | vars(found)))
    archive.close()
    return directory


def test_the_front_as_a_table(run, capsys):
    assert main([str(run.path)]) == 0
    printed = capsys.readouterr().out
    front = pareto_front(list(run.archive())[1:])
    for e in front:
        assert e.id in printed
        assert f"{e.metrics['params']:,}" in printed
    assert printed.count("*") == 2  # the best one's mark, and its explanation
    picture = cv2.imread(str(run.file("pareto.png")))
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 10


@pytest.mark.slow
def test_pictures_of_the_same_run_are_the_same_files(run, capsys):
    """A run that is under version control stays as it is, also with another matplotlib's name."""
    found = []
    for _ in range(2):
        assert main([str(run.path), "--paper"]) == 0
        files = [run.file("pareto.png"), *sorted(run.file("paper").iterdir())]
        found.append([file.read_bytes() for file in files])
        time.sleep(1.1)  # dates have seconds
    assert found[0] == found[1]
    assert len(found[0]) == 8
    assert b"Matplotlib version" not in found[0][0]


def test_a_comparison_is_beside_the_first_run_or_where_it_is_asked_for(run, tmp_path, capsys):
    other = shutil.copytree(run.path, tmp_path / "other")
    both = [str(run.path), str(other)]
    assert main([*both, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == str(run.path.parent / "compare.html")
    assert main([*both, "--out", str(tmp_path / "x.html")]) == 0
    printed = capsys.readouterr().out
    assert all(printed.count(path) == 1 for path in both)
    assert f"page: {tmp_path}/x.html" in printed
    assert "<html" in (tmp_path / "x.html").read_text()


def test_the_front_as_json(run, capsys):
    assert main([str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in found["front"]] == [
        e.id for e in pareto_front(list(run.archive())[1:])
    ]
    assert found["best"] in {row["id"] for row in found["front"]}


@pytest.mark.slow
def test_the_majority_baseline_is_told_where_it_is_known(run, capsys):
    file = run.file("summary.json")
    for text, told in (('{"majority_baseline": 0.251}', True), ("[1]", False), ("{}", False)):
        file.write_text(text)
        assert main([str(run.path)]) == 0
        line = "always naming the most frequent class: 25.1% of the same images"
        assert (line in capsys.readouterr().out) == told
        page = run.file("report.html").read_text()
        assert ('"majority_baseline":0.251' in page.replace(" ", "")) == told


def test_the_best_network_under_so_many_parameters(run, quick, capsys):
    """Of all networks of the space, by what is believed of them; JSON has the same."""
    assert main([str(run.path), "--max", "params=20000", "--max", "macs=1e6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["front"]
    assert all(row["params"] <= 20_000 and row["macs"] <= 1e6 for row in found["front"])
    believed = {row["id"]: row["believed"] for row in found["front"]}
    assert found["best"] == max(believed, key=believed.get)
    inside = [e for e in run.archive(quick.contains).inside if e.metrics["params"] <= 20_000]
    smallest = min(inside, key=lambda e: e.metrics["params"])
    assert main([str(run.path), "--max", f"params={smallest.metrics['params']}"]) == 0
    printed = capsys.readouterr().out
    assert f"* is the best with params of at most {smallest.metrics['params']}; its" in printed
    assert f"--genome {smallest.id} --json > {smallest.id}.json" in printed


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("params=3", r"no such network: none of 20 networks keeps params of at most 3; they have"),
        ("parms=3", r"--max: unknown metric 'parms'.*did you mean 'params'"),
        ("params", r"--max params: found ''; expected params=N, a number"),
        ("params=nan", r"--max params\.at_most: must be finite"),
    ],
)
def test_a_limit_that_nothing_keeps_or_that_is_none(run, capsys, given, told):
    assert exit_code(main, [str(run.path), "--max", given]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_a_limit_on_what_older_versions_did_not_measure(run, quick, capsys):
    """Of those that have it."""
    archive = run.archive(quick.contains)
    genomes = [quick.sample(np.random.default_rng(i)).genome for i in (100, 101)]
    for i, genome in enumerate(genomes):
        known = evaluation(genome, 21 + i, metrics=archive.evaluations[-1].metrics)
        archive.append(replace(known, metrics={**known.metrics, "loss": 1.5 + i}))
    archive.close()
    assert exit_code(main, [str(run.path), "--max", "loss=1"]) == 2
    told = "none of 2 networks keeps loss of at most 1; they have 1.5 to 2.5"
    assert told in capsys.readouterr().err
    assert main([str(run.path), "--max", "loss=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"] == genomes[0].id


def test_a_genome_as_text(run, proposed, capsys):
    assert main([str(run.path), "--genome", proposed.id[:6]]) == 0
    printed = capsys.readouterr().out
    assert "784,263" in printed
    assert "dw3x3" in printed
    assert main([str(run.path), "--genome", proposed.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == proposed.id
    assert exit_code(main, [str(run.path), "--genome", ""]) == 2  # which every id begins with
    assert "no genome with id ''" in capsys.readouterr().err


def test_a_beginning_of_several_ids_is_told(run, capsys):
    """One of them would be taken for the genome that is meant."""
    ids = sorted(e.id for e in run.archive())  # 21 of 16 first digits
    first = next(a[0] for a, b in itertools.pairwise(ids) if a[0] == b[0])
    named = ", ".join(name for name in ids if name[0] == first)
    assert exit_code(main, [str(run.path), "--genome", first]) == 2
    assert f"--genome {first}: begins the ids {named}; expected one" in capsys.readouterr().err


def test_the_references(proposed, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["--references", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(found) == {p.stem for p in REFERENCES}
    total = cost(proposed)
    assert (found["proposed"]["params"], found["proposed"]["macs"]) == (784_263, total.macs)
    assert main(["--references"]) == 0
    printed = capsys.readouterr().out
    assert "29,890,759" in printed
    (line,) = (line for line in printed.splitlines() if line.startswith("proposed "))
    assert line.split()[3] == f"{total.macs / 1e6:,.1f}"  # under MMACs


def test_a_genome_file(capsys):
    path = str(ROOT / "search_spaces/references/proposed.json")
    assert main([path]) == 0
    assert "784,263" in capsys.readouterr().out
    assert main([path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["params"] == 784_263


def test_mistakes(run, tmp_path, capsys):
    assert exit_code(main, []) == 2
    assert exit_code(main, [str(tmp_path)]) == 2
    assert exit_code(main, [str(run.path), "--genome", "zzz"]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 3
    assert "RUN: missing" in errors[0]
    assert "not a run directory" in errors[1]
    assert "no genome with id 'zzz' among 21" in errors[2]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--csv --json", "--json: not with --csv, which takes nothing else"),
        ("--csv --genome ab", "--csv: not with --genome, which takes --json"),
        ("--max params=9 --paper", "--paper: not with --max, which takes --json"),
        ("--optuna --baseline b", "--baseline: not with --optuna"),
        ("--serve 0 --paper", "--paper: not with --serve, which takes --baseline"),
        ("--out page.html", "--out: not with one run"),
        ("--references", "RUN: not with --references"),
        ("RUN --paper", "--paper: not with several runs, which takes --out, --json"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(run, capsys, given, told):
    argv = [str(run.path), *given.replace("RUN", str(run.path)).split()]
    assert exit_code(main, argv) == 2
    assert told in capsys.readouterr().err
    assert exit_code(main, ["proposed", "--csv"]) == 2
    assert "--csv: not with a genome" in capsys.readouterr().err


def test_every_evaluation_as_csv(run, capsys):
    assert main([str(run.path), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 21
    first = next(iter(run.archive()))
    assert rows[0]["id"] == first.id
    assert float(rows[0]["accuracy"]) == first.metrics["accuracy"]
    assert json.loads(rows[0]["genome"]) == json.loads(json.dumps(first.genome.to_dict()))


@pytest.mark.slow
def test_a_page_beside_the_run(run, capsys):
    assert main([str(run.path), "--baseline", str(run.path)]) == 0
    assert "report.html" in capsys.readouterr().out
    page = run.file("report.html").read_text()
    assert all(e.id in page for e in run.archive())


@pytest.mark.slow
def test_figures_for_a_paper(run, capsys):
    assert main([str(run.path), "--paper"]) == 0
    names = {path.name for path in run.file("paper").iterdir()}
    assert names == {f"{name}.{kind}" for name in ("front", "front_published", "course")
                     for kind in ("pdf", "svg")} | {"front.tex"}  # fmt: skip
    text = run.file("paper/front.tex").read_text()
    assert r"\toprule" in text
    assert "proposed" in text  # it was trained in this run
