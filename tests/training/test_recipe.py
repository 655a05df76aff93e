import dataclasses

import pytest
import yaml
from conftest import ROOT

from nas.common.errors import UserError
from nas.training.recipe import Augment, Recipe

FILES = sorted((ROOT / "experiments/recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_recipe_loads_and_round_trips(path, tmp_path):
    recipe = Recipe.load(path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(yaml.safe_dump(recipe.to_dict()))
    assert Recipe.load(copy) == recipe


def test_the_report_as_it_was_trained():
    recipe = Recipe.load(ROOT / "experiments/recipes/report.yaml")
    assert (recipe.optimizer, recipe.lr, recipe.batch_size, recipe.epochs) == ("sgd", 0.01, 64, 158)


def test_khaireddin_as_published():
    recipe = Recipe.load(ROOT / "experiments/recipes/khaireddin.yaml")
    assert (recipe.optimizer, recipe.lr, recipe.momentum) == ("nesterov", 0.01, 0.9)
    assert (recipe.weight_decay, recipe.epochs, recipe.schedule) == (1e-4, 300, "plateau")
    assert (recipe.plateau_factor, recipe.plateau_patience) == (0.75, 5)
    assert recipe.train_views == recipe.views == "ten_crop"


def test_a_missing_key_keeps_its_default(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("lr: 0.5\naugment: {rotate: 3}\n")
    expected = dataclasses.replace(Recipe(), lr=0.5, augment=Augment(rotate=3.0))
    assert Recipe.load(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimzer: sgd", "did you mean 'optimizer'"),
        ("optimizer: sdg", "optimizer.*'sdg'.*did you mean 'sgd'"),
        ("epochs: 0", r"epochs: must be in \[1, 10000\], got 0"),
        ("lr: .nan", "lr"),
        ("batch: 1.5", "batch"),
        ("views: three", "unknown views"),
        ("augment: {flip: 1.5}", "augment.flip"),
        ("- 1", "mapping"),
        ("", "empty"),
        ("lr: [", "YAML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        Recipe.load(path)
    assert str(path) in str(error.value)


def test_a_teacher_is_looked_for_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "recipes" / "r.yaml"
    path.write_text("teacher: labels.safetensors\ndistill: 0.5\n")
    (tmp_path / "recipes" / "labels.safetensors").touch()  # beside the recipe is not there
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        Recipe.load(path)
    looked = tmp_path / "labels.safetensors"
    assert str(error.value).startswith(f"{path}: teacher: no file {looked}; a relative path starts")
    looked.touch()
    assert Recipe.load(path).teacher == "labels.safetensors"


def test_a_recipe_that_comes_with_us_has_a_name():
    assert Recipe.load("modern") == Recipe.load(ROOT / "experiments/recipes/modern.yaml")
    with pytest.raises(UserError, match=r"no recipe 'modren'.*did you mean 'modern'"):
        Recipe.load("modren")


@pytest.mark.parametrize(("value", "said"), [(0, False), (0.5, True)])
def test_what_augmented_in_version_0_1_and_is_gone(tmp_path, caplog, value, said):
    path = tmp_path / "r.yaml"
    path.write_text(f"augment: {{vertical_flip: {value}, noise: 0, rotate: 3}}\n")
    assert Recipe.load(path).augment == Augment(rotate=3.0)
    lines = [record.getMessage() for record in caplog.records]
    expected = ["vertical_flip: an option of version 0.1 that is gone; ignored"]
    assert lines == (expected if said else [])
