"""Stored soft labels: the student sees what the teacher saw, and files are checked."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file
from training_samples import BASE, TINY, stripes

from nas.arch.module import build
from nas.common.errors import UserError
from nas.common.pixels import normalise
from nas.training.augment import move
from nas.training.predict import Precision
from nas.training.recipe import Augment, Recipe
from nas.training.state import Training
from nas.training.teacher import (
    FORMAT,
    SoftLabels,
    stored_teacher,
    teach,
    teacher_of_a_part,
)
from nas.training.trainer import train

CLASSES = TINY.num_classes
AUGMENT = Augment(flip=0.5, probability=0.9, shift=0.1, scale=0.1, rotate=15)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(TINY).eval()


@pytest.fixture(scope="module")
def labels(network):
    return teach([network], stripes(96), variants=3, augment=AUGMENT, seed=5)


def test_a_lesson_is_the_teachers_answer_to_the_very_image():
    fit, thirds = stripes(96), torch.nn.AdaptiveAvgPool2d((1, CLASSES))
    network = torch.nn.Sequential(thirds, torch.nn.Flatten())  # it tells how an image is moved
    labels = teach([network], fit, variants=3, augment=AUGMENT, seed=5)
    lessons = labels.lessons(fit, CLASSES)
    rows = torch.tensor([3, 90, 41, 3])
    draws, probabilities = lessons.draw(rows, torch.Generator().manual_seed(0))
    seen = normalise(move(fit.images[rows].float(), labels.augment, draws))
    with torch.no_grad():
        answers = torch.softmax(network(seen), 1)
    torch.testing.assert_close(probabilities, answers, atol=0.006, rtol=0)
    unlike, _ = lessons.draw(rows, torch.Generator().manual_seed(1))
    with torch.no_grad():
        others = torch.softmax(
            network(normalise(move(fit.images[rows].float(), AUGMENT, unlike))), 1
        )
    assert float((others - answers).abs().max()) > 0.03


def test_several_teachers_are_averaged(network):
    torch.manual_seed(1)
    other, fit = build(TINY).eval(), stripes(30)
    both = teach([network, other], fit, variants=1, augment=AUGMENT).probabilities.float()
    each = [teach([m], fit, variants=1, augment=AUGMENT).probabilities.float()
            for m in (network, other)]  # fmt: skip
    assert float((both - (each[0] + each[1]) / 2).abs().max()) <= 1


def test_saved_and_loaded(labels, tmp_path):
    labels.save(tmp_path / "t.safetensors")
    found = SoftLabels.load(tmp_path / "t.safetensors")
    assert torch.equal(found.probabilities, labels.probabilities)
    assert torch.equal(found.draws, labels.draws)
    assert (found.augment, found.seed) == (AUGMENT, 5)


def test_rows_of_a_part_are_found_by_their_origin(labels):
    """Image 0 of the part is row 50 of the data set."""
    origin = torch.arange(50, 90)
    part = labels.among(origin).lessons(stripes(40), CLASSES)
    whole = labels.lessons(stripes(96), CLASSES)
    assert torch.equal(part.probabilities[:, part.position[0]], whole.probabilities[:, 50])
    with pytest.raises(UserError, match="no labels for 4 of 40"):
        labels.among(torch.arange(60, 100)).lessons(stripes(40), CLASSES)


def test_a_student_learns_from_the_teacher_alone(network, labels):
    """With the whole loss distilled, the labels do not matter, and the teacher's do."""
    fit = stripes(96)
    wrong = dataclasses.replace(fit, labels=torch.zeros_like(fit.labels))
    recipe = dataclasses.replace(BASE, epochs=2, distill=1.0)

    def loss(part, teacher, recipe=recipe):
        return Training(TINY, part, recipe, 0, Precision(), teacher=teacher).train_epoch()

    other = dataclasses.replace(labels, probabilities=labels.probabilities.flip(2))
    assert loss(fit, labels) == loss(wrong, labels) != loss(fit, other)
    erased = dataclasses.replace(recipe, augment=Augment(erase=1.0))  # the student's own
    assert loss(fit, labels, erased) != loss(fit, labels)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_the_distilled_loss_by_hand(network, share):
    """Hinton et al. 2015: the soft term is scaled by the square of the temperature."""
    fit, t, smoothing = stripes(24), 3.0, 0.2
    recipe = dataclasses.replace(
        BASE, epochs=1, batch_size=24, distill=share, temperature=t, label_smoothing=smoothing
    )
    student = dataclasses.replace(TINY, head=dataclasses.replace(TINY.head, dropout=0.0))
    loss = Training(student, fit, recipe, 0, Precision(), teacher=network).train_epoch()
    x = normalise(fit.images[fit.rows].float())
    torch.manual_seed(0)  # the student's own start
    with torch.no_grad():
        answers, taught = build(student).train()(x), network(x)
    soft = -(torch.softmax(taught / t, 1) * torch.log_softmax(answers / t, 1)).sum(1).mean()
    named = torch.nn.functional.one_hot(fit.labels[fit.rows], classes := answers.shape[1])
    named = (1 - smoothing) * named + smoothing / classes
    hard = -(named * torch.log_softmax(answers, 1)).sum(1).mean()
    assert loss == pytest.approx(float(share * t**2 * soft + (1 - share) * hard), rel=1e-4)


def test_taught_well_the_answers_come_nearer(labels):
    fit = stripes(96)
    recipe = dataclasses.replace(BASE, epochs=8, distill=1.0, temperature=1.0, mixup_alpha=0.2)
    history = train(TINY, fit, stripes(30, 1), recipe, seed=0, teacher=labels).history
    assert history[-1]["train_loss"] < history[0]["train_loss"]


GOOD = {"probabilities": torch.ones(2, 4, 3, dtype=torch.uint8), "rows": torch.arange(4)}


@pytest.mark.parametrize(
    ("tensors", "about", "message"),
    [
        ({"rows": torch.arange(4)}, {}, "expected 'fer-nas soft labels 1'"),
        ({**GOOD, "probabilities": torch.ones(2, 4, 3)}, {}, "uint8"),
        ({**GOOD, "probabilities": 0 * GOOD["probabilities"]}, {}, "all zero"),
        ({**GOOD, "rows": -torch.arange(4)}, {}, "rows int64"),
        (GOOD, {"augment": {"shift": 7}}, "augment.shift"),
        (GOOD, {"seed": "x"}, "seed"),
        (GOOD, {"seed": 10**30}, "about: seed: must be"),
        (GOOD, {"seed": True}, "about: seed"),
        (GOOD, {"origin": []}, "origin: expected a mapping"),
        (GOOD, {"origin": {"data": "x" * 2**20}}, "about has 1048"),
        (GOOD, {"augment": {"shift": float("nan")}}, "augment.shift"),
        ({"probabilities": torch.ones(256, 500_000, 1, dtype=torch.uint8),
          "rows": torch.arange(500_000)}, {}, "expected probabilities"),
        ({"probabilities": torch.ones(2, 0, 3, dtype=torch.uint8),
          "rows": torch.arange(0)}, {}, "expected probabilities"),
        ({**GOOD, "probabilities": torch.ones(2, 4, 0, dtype=torch.uint8)}, {}, "all zero"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(tensors, about, message, tmp_path):
    path = tmp_path / "t.safetensors"
    about = {"augment": dataclasses.asdict(AUGMENT), "seed": 0, "origin": {}, **about}
    save_file(tensors, path, {"format": FORMAT, "about": json.dumps(about)})
    with pytest.raises(UserError, match=message):
        SoftLabels.load(path)


def test_a_recipe_that_does_not_listen_is_refused(tmp_path):
    with pytest.raises(UserError, match="distill is 0"):
        stored_teacher(Recipe(teacher="t.safetensors"))
    with pytest.raises(UserError, match=r"recipe: teacher: no file /.*/t.safetensors; a relative"):
        stored_teacher(Recipe(teacher=str(tmp_path / "t.safetensors"), distill=0.5))
    assert stored_teacher(Recipe()) is None


def test_rows_beyond_every_data_set_take_no_memory(labels):
    """A file may name any rows; only those of the data set are looked up."""
    far = dataclasses.replace(labels, rows=labels.rows + 2**62)
    with pytest.raises(UserError, match="no labels for 40 of 40"):
        far.among(torch.arange(40)).lessons(stripes(40), CLASSES)


def test_a_teacher_of_other_classes_or_data_is_refused(labels, tmp_path):
    with pytest.raises(UserError, match=f"knows {CLASSES} classes; the network has 5"):
        labels.lessons(stripes(96), 5)
    path = tmp_path / "t.safetensors"
    dataclasses.replace(labels, origin={"data": "other", "fingerprint": "aa"}).save(path)
    recipe = Recipe(teacher=str(path), distill=0.5)
    assert stored_teacher(recipe, "aa") is not None
    assert stored_teacher(recipe) is not None
    with pytest.raises(UserError, match="made of data set 'other'"):
        stored_teacher(recipe, "bb")


@pytest.mark.parametrize(("part", "warnings"), [("train", 1), ("fit", 0)])
def test_a_teacher_that_saw_what_is_held_out_is_told(labels, tmp_path, caplog, part, warnings):
    path = tmp_path / "t.safetensors"
    dataclasses.replace(labels, origin={"fingerprint": "aa", "part": part}).save(path)
    found = teacher_of_a_part(Recipe(teacher=str(path), distill=0.5), "aa")
    assert torch.equal(found.probabilities, labels.probabilities)
    assert caplog.text.count("may know the images that are held out here") == warnings
    assert teacher_of_a_part(Recipe(), "aa") is None
