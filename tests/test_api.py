"""The public Python API: lazy, and callable whichever way its modules were imported."""

import base64
import dataclasses
import json
import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import ROOT

import nas
from nas.arch.genome import Conv, Head, Input, Stage
from nas.common.errors import UserError

DOORS = {
    "search": "nas.search.run",
    "retrain": "nas.search.retrain",
    "export": "nas.deploy.export",
}


def says(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize(
    "first",
    ["import nas", "import nas.{name}", "import {home}", "from nas import {name}",
     "import nas, {home}; import nas.{name}"],
)  # fmt: skip
def test_a_command_is_a_function_too_in_any_order_of_imports(name, first):
    """The function complains of what is missing: it was reached."""
    code = f"""
{first.format(name=name, home=DOORS[name])}
import nas, nas.common.errors, types
assert isinstance(nas.{name}, types.ModuleType)
try:
    nas.{name}()
except (TypeError, nas.common.errors.UserError) as error:
    print(str(error).split("(")[0].split(":")[0])
import {DOORS[name]}
assert nas.{name} is __import__("sys").modules["nas.{name}"]
"""
    assert says(code) == [name]


def test_what_is_given_arrives(monkeypatch):
    monkeypatch.setattr("nas.search.retrain.retrain", lambda *given, **named: (given, named))
    assert nas.retrain(1, out=2) == ((1,), {"out": 2})


def test_classes_come_from_their_rooms():
    assert {name: getattr(nas, name).__module__ for name in nas.__all__ if name[0].isupper()} == {
        "Constraint": "nas.evolution.objectives",
        "Genome": "nas.arch.genome",
        "Objective": "nas.evolution.objectives",
        "Optimizer": "nas.evolution.optimizer",
        "Recipe": "nas.training.recipe",
        "Recognizer": "nas.realtime.recognizer",
        "Run": "nas.search.results",
        "SearchSpace": "nas.space.space",
        "UserError": "nas.common.errors",
    }
    assert set(nas.__all__) <= set(dir(nas))
    with pytest.raises(AttributeError, match="module 'nas' has no attribute 'Serach'"):
        nas.Serach  # noqa: B018


def test_importing_nas_loads_none_of_it():
    heavy = "{'torch', 'ray', 'cv2', 'numpy', 'onnxruntime', 'yaml'}"
    assert says(f"import nas, sys; print(len({heavy} & set(sys.modules)))") == ["0"]


def test_a_search_from_python_to_a_model(tmp_path):
    """A run shows itself; its network is retrained by names and by objects, and exported."""
    run = nas.search(
        "quick", evaluations=3, seed_genomes=[], run_dir=tmp_path / "run",
        evaluator=lambda genome: {"accuracy": 0.5 + int(genome.id[0], 16) / 100},
        objectives=[{"name": "accuracy"}, {"name": "params"}],
    )  # fmt: skip
    (axes,) = run.plot().axes
    assert axes.get_xlabel() == "parameters"
    drawn = {c.get_label(): len(c.get_offsets()) for c in axes.collections}
    front = len(run.front)
    assert drawn == {"Pareto front": front} | ({"evaluated": 3 - front} if front < 3 else {})
    page = run._repr_html_()
    picture = base64.b64decode(page.partition("base64,")[2].partition('"')[0])
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).std() > 5
    assert page.endswith(f": 3 evaluations, {front} on the front</p>")


def test_a_run_before_its_first_evaluation_shows_itself(tmp_path):
    def evaluator(genome):
        raise ValueError("no")

    run = nas.search("quick", evaluations=1, seed_genomes=[], run_dir=tmp_path, evaluator=evaluator,
                     objectives=[{"name": "a"}, {"name": "b"}])  # fmt: skip
    assert "1 evaluations, 0 on the front" in run._repr_html_()


def test_a_genome_shows_its_blocks():
    page = nas.Genome.load("proposed")._repr_html_()
    assert page.startswith("<svg")
    assert page.count("<rect") == 15  # the ground, the image and 13 units
    assert page.count("<tr>") > 5
    assert "784,263" in page  # parameters, of the report


@pytest.mark.slow
def test_names_and_objects_are_the_same(tmp_path, monkeypatch, faces, faces_file):
    monkeypatch.chdir(tmp_path)
    genome = nas.Genome(Input(), 7, (Stage((Conv(6, 5, 4),)),), Head())
    recipe = dataclasses.replace(nas.Recipe.load("short"), epochs=1)
    Path("short.yaml").write_text(yaml.safe_dump(recipe.to_dict()))
    ours = nas.retrain(genome, faces, recipe, seeds=[1], progress=False)
    assert ours["genome"] == genome.id
    folder = Path(f"experiments/retrain-{genome.id}")  # the default
    same = nas.retrain(genome, str(faces_file), "short.yaml", "same", seeds=2)
    assert same["seeds"]["list"] == [0, 1]
    assert same["recipe"] == ours["recipe"]
    assert same["seeds"]["test"]["accuracy_flip"]["std"] is not None
    found = nas.export(folder, faces)
    assert json.loads((folder / "export.json").read_text()) == found
    assert (folder / "model.int8.onnx").is_file()
    assert "int8" in (folder / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("seeds", [0, [], [1, 1], True])
def test_seeds_are_a_number_or_different_ones(seeds, tmp_path):
    with pytest.raises(UserError, match="seeds: found"):
        nas.retrain(nas.Genome.load("proposed"), out=tmp_path, seeds=seeds)


@pytest.mark.parametrize("progress", [True, False])
def test_python_keeps_its_own_logging(progress, tmp_path, monkeypatch, faces, capsys):
    """What a training logs is shown while it runs, where nobody else listens, and no longer."""
    log = logging.getLogger("nas")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's
    monkeypatch.setattr("nas.search.retrain.retrain_on", lambda *_, **__: log.info("training"))
    genome = nas.Genome(Input(), 7, (Stage((Conv(6, 5, 4),)),), Head())
    nas.retrain(genome, faces, "short", tmp_path / "out", progress=progress)
    assert ("training\n" in capsys.readouterr().err) == progress
    assert (log.level, log.handlers) == (logging.NOTSET, [])
