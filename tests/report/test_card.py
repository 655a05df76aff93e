"""A model card says of a model's data what is true of them, and nothing of other data."""

import copy
import json

import pytest
from conftest import ROOT

from nas.report.card import model_card

REPORT = ROOT / "experiments/fer2013/retrain/found/report.json"
OF_FACES = ("FER2013", "disgust", "expression", "face", "emotion", "skin tone", "nas.realtime")


@pytest.fixture
def fer2013():
    return json.loads(REPORT.read_text())


@pytest.fixture
def fruit(fer2013):
    """A report of colour pictures of fruit; there is no pear in the test split."""
    report = copy.deepcopy(fer2013)
    data, rows = report["data"], iter(report["test"]["per_class"].values())
    report["test"]["per_class"] = {name: next(rows) for name in ("apple", "plum", "pear")}
    report["test"]["per_class"]["pear"] = {
        "precision": 0.0,
        "recall": None,
        "f1": None,
        "support": 0,
    }
    data["name"], data["provenance"] = "fruit", {"source": "fruit", "synthetic": False}
    data["counts"] = {split: {"apple": 9, "plum": 9, "pear": 9} for split in data["counts"]}
    report["input"] = {"channels": 3, "height": 24, "width": 32, "resize": 0}
    return report


def test_fer2013_has_its_known_bias_under_any_name(fer2013):
    for name in ("fer2013", "my_copy"):
        fer2013["data"]["name"] = name
        card = model_card(fer2013)
        assert "`disgust` has 1.5 % of its images" in card
        assert "It maps one face crop to the probabilities of angry" in card  # 0.1 had no input
        assert "python -m nas.realtime --model model.onnx --source 0" in card


def test_other_faces_do_not(fer2013):
    fer2013["data"]["provenance"] = {"source": "mine", "synthetic": False}
    for name in ("fer2013", "mine"):  # a name proves nothing
        fer2013["data"]["name"] = name
        card = model_card(fer2013)
        assert "1.5 %" not in card
        assert "The age, gender and skin tone mix of the training data was not measured" in card


def test_pictures_of_other_things_are_no_faces(fruit):
    card = model_card(fruit)
    assert [word for word in OF_FACES if word in card] == []
    assert "It maps one colour picture of 24x32 pixels to the probabilities of apple, plum" in card
    assert "`python -m nas.evaluate --model model.onnx --data FOLDER`" in card


def test_a_class_without_test_images_has_no_figures(fruit):
    card = model_card(fruit)
    assert "| pear | - | - | - | 0 |" in card
    assert "Not tested, without a test image: pear." in card
    assert "Weakest class: pear" not in card


def test_the_seed_that_ships_is_named_with_the_figures_that_chose_it(fruit):
    fruit["seed"], fruit["seeds"]["list"] = 3, [0, 3]
    fruit["seeds"]["test"]["accuracy"] = {"mean": 0.5, "std": 0.1}
    views = {
        "accuracy": 0.625,
        "accuracy_interval": [0.5, 0.7],
        "macro_f1": 0.6,
        "weighted_f1": 0.6,
    }
    fruit["validation_with_views"] = {"views": "flip", **views}
    card = model_card(fruit)
    assert "those of seed 3, which ships: chosen on validation." in card
    assert f"| validation, flip views | {fruit['validation']['n']:,} | 62.50 |" in card


def test_the_int8_file_has_its_own_figures(fruit):
    files = [
        {"file": "model.onnx", "bytes": 9000, "accuracy": 0.7, "same_labels": 1.0, "fps": 1500.0},
        {"file": "model.int8.onnx", "bytes": 3000, "accuracy": 0.69, "same_labels": 0.96,
         "fps": 2500.0},
    ]  # fmt: skip
    card = model_card(fruit, {"files": files, "calibration_images": 512})
    assert (
        "- `model.int8.onnx`: int8, 3,000 bytes instead of 9,000; calibrated on 512 training "
        "images. Validation accuracy 69.00 % (float32 70.00 %), 96.0% of labels as torch gives "
        "them; 2,500 frames a second (float32 1,500) on the machine that exported it.\n"
    ) in card


def test_the_weakest_class_is_the_one_that_is_missed_most(fruit):
    for name, precision, recall in (("apple", 0.2, 0.9), ("plum", 0.8, 0.3)):
        fruit["test"]["per_class"][name] |= {"precision": precision, "recall": recall}
    assert "Weakest class: plum, recall 30.0 % on the test split." in model_card(fruit)
