"""Spaces, genomes, recipes and the model are found by name from any folder."""

import pytest
from conftest import ROOT

from nas.common.errors import UserError
from nas.common.resources import PROPOSED, RECIPES, REFERENCES, SEARCH_SPACES, SHIPPED_MODEL


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
