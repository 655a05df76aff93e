"""Spaces, genomes, recipes and the model are found by name from any folder."""

from pathlib import Path

import pytest
from conftest import ROOT

from nas.common.errors import UserError
from nas.common.resources import (
    MODELS,
    ONNX,
    PROPOSED,
    RECIPES,
    REFERENCES,
    SEARCH_SPACES,
    SHIPPED_MODEL,
    WEIGHTS,
    find_model,
)


@pytest.mark.parametrize(
    ("kind", "folder", "name"),
    [
        (SEARCH_SPACES, "search_spaces", "fer"),
        (REFERENCES, "search_spaces/references", "proposed"),
        (RECIPES, "experiments/recipes", "short"),
    ],
)
def test_by_name_from_any_folder(kind, folder, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (original,) = (ROOT / folder).glob(f"{name}.*")
    assert kind.find(name).samefile(original)
    assert len(kind.names()) == len(list((ROOT / folder).glob(f"*{original.suffix}")))


def test_by_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("")
    assert SEARCH_SPACES.find("mine.yaml").samefile(tmp_path / "mine.yaml")
    (tmp_path / "fer").mkdir()  # a folder does not hide the space of that name
    assert SEARCH_SPACES.find("fer").samefile(ROOT / "search_spaces/fer.yaml")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UserError) as error:
        SEARCH_SPACES.find("fre", "--space")
    there = ", ".join(sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml")))
    assert str(error.value) == (
        "--space: no search space 'fre': no such file; expected one, or a name of "
        f"{there} (did you mean 'fer'?)"
    )


def test_the_files_that_have_names_of_their_own():
    assert PROPOSED.samefile(ROOT / "search_spaces/references/proposed.json")
    assert SHIPPED_MODEL.samefile(ROOT / "experiments/models/model.onnx")


@pytest.fixture
def run(tmp_path):
    """A run's folder, with one retrained network in it."""
    retrained = tmp_path / "run/retrain/abc"
    retrained.mkdir(parents=True)
    for path in (tmp_path / "run/best.json", tmp_path / "run/space.yaml", retrained / "genome.json",
                 retrained / "model.onnx", retrained / "model.safetensors"):  # fmt: skip
        path.write_text("")
    return tmp_path / "run"


def test_a_folder_stands_for_the_file_in_it(run):
    assert REFERENCES.find(run) == run / "best.json"
    assert REFERENCES.find(f"{run}/retrain/abc") == run / "retrain/abc/genome.json"
    assert SEARCH_SPACES.find(run) == run / "space.yaml"


def test_a_folder_without_one_says_which_below_it_have(run):
    with pytest.raises(UserError) as error:
        REFERENCES.find(run / "retrain", "--genome")
    assert str(error.value) == (
        f"--genome: {run}/retrain: no genome in this folder; expected best.json or genome.json; "
        f"there is {run}/retrain/abc"
    )
    (run / "retrain/abc/genome.json").unlink()
    with pytest.raises(UserError, match=r"expected best.json or genome.json$"):
        REFERENCES.find(run / "retrain")


def test_a_trained_network_by_name_folder_or_file(run):
    folder = run / "retrain/abc"
    onnx, weights = folder / "model.onnx", folder / "model.safetensors"
    assert find_model("model", "--model", ONNX) == SHIPPED_MODEL
    assert find_model("model", "--model", WEIGHTS, ONNX) == SHIPPED_MODEL
    for given in (folder, str(folder), onnx):
        assert find_model(given, "--model", ONNX) == onnx
    for given in (folder, weights):
        assert find_model(given, "--model", WEIGHTS, ONNX) == weights
    weights.unlink()
    assert find_model(folder, "--model", WEIGHTS, ONNX) == onnx


def test_the_other_form_says_what_is_needed_and_where_it_lies(run):
    folder = run / "retrain/abc"
    onnx, weights = folder / "model.onnx", folder / "model.safetensors"
    with pytest.raises(UserError) as error:
        find_model(onnx, "--model", WEIGHTS)
    assert str(error.value) == (
        f"--model: {onnx}: found .onnx; expected model.safetensors, which nas.retrain writes; "
        f"it is {weights}"
    )
    int8 = folder / "model.int8.onnx"
    int8.write_text("")
    with pytest.raises(UserError, match=f"it is {weights}$"):
        find_model(int8, "--model", WEIGHTS)
    with pytest.raises(UserError, match=f"nas.export write; it is {onnx}$"):
        find_model(weights, "--model", ONNX)
    with pytest.raises(UserError, match=f"there is none in {MODELS.folder}$"):
        find_model("best", "--model", WEIGHTS)


def test_a_run_given_as_a_network_lists_its_networks(run):
    with pytest.raises(UserError) as error:
        find_model(run, "--model", ONNX)
    assert str(error.value) == (
        f"--model: {run}: no model in this folder; expected model.onnx; there is {run}/retrain/abc"
    )


def test_names_are_offered_where_what_ships_would_do():
    with pytest.raises(UserError, match=r"no model 'bets': .*; expected one, or a name of best,"):
        find_model("bets", "--model", WEIGHTS, ONNX)
    with pytest.raises(UserError, match=r"no model 'bets': no such file; expected one$"):
        find_model("bets", "--model", WEIGHTS)


def test_a_path_with_a_dot_is_no_name(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    for folder, file in (("best", "model.onnx"), ("proposed", "best.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("")
    assert find_model("./best", "--model", ONNX) == Path("best/model.onnx")
    assert REFERENCES.find("./proposed") == Path("proposed/best.json")
    assert not caplog.messages
    assert find_model("best", "--model", ONNX) == MODELS.path("best")
    with pytest.raises(UserError, match=r"^no recipe './modern': .*did you mean 'modern'"):
        RECIPES.find("./modern")
    assert caplog.messages == ["--model: best: the model that ships; what lies here is ./best"]
