"""The training loop: schedules, optimizers, checkpoints, divergence."""

import dataclasses
import pickle
import zipfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import balanced_accuracy_score, f1_score
from training_samples import BASE, TINY, stripes

from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.arch.module import build
from nas.common.errors import UserError
from nas.training.optim import learning_rate
from nas.training.predict import DivergedError, Precision, logits, score, views_of
from nas.training.recipe import OPTIMIZERS, SCHEDULES, Augment, Recipe
from nas.training.state import Training
from nas.training.trainer import train

pytestmark = pytest.mark.slow


def weights(result):
    return torch.cat([v.flatten().double() for v in result.model.state_dict().values()])


@pytest.fixture(scope="module")
def data():
    return stripes(96), stripes(60, 1)


def noisy(subset):
    """Labels that have nothing to do with the images: accuracy cannot keep rising."""
    labels = torch.tensor(np.random.default_rng(0).integers(0, 3, len(subset.labels)))
    return dataclasses.replace(subset, labels=labels)


def test_learns_what_can_be_learned(data):
    recipe = dataclasses.replace(BASE, epochs=10, augment=Augment(flip=0.5))
    result = train(TINY, *data, recipe, seed=0)
    losses = [row["train_loss"] for row in result.history]
    assert result.history[-1]["validation_accuracy"] > 0.9
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_lowers_the_loss(data, optimizer):
    lr = {"adadelta": 1.0, "adagrad": 0.02, "adam": 0.005, "amsgrad": 0.005, "adamw": 0.005}
    recipe = dataclasses.replace(
        BASE, epochs=6, optimizer=optimizer, lr=lr.get(optimizer, 0.05), schedule="constant"
    )
    history = train(TINY, *data, recipe, seed=0).history
    assert history[-1]["train_loss"] < 0.9 * history[0]["train_loss"]


def test_schedules_by_hand():
    def rate(schedule, done, **more):
        return learning_rate(Recipe(epochs=100, lr=1.0, schedule=schedule, **more), done)

    assert rate("constant", 70) == rate("plateau", 70) == 1.0
    assert [rate("cosine", e) for e in (0, 50, 100)] == pytest.approx([1, 0.5, 0])
    restarts = [rate("cosine_restarts", e, restart_epochs=10) for e in (0, 5, 9.999, 10, 15)]
    assert restarts == pytest.approx([1, 0.5, 0, 1, 0.5], abs=1e-5)
    assert [rate("one_cycle", e) for e in (0, 25, 100)] == pytest.approx([0.1, 1, 0.001])
    assert max(rate("one_cycle", e) for e in range(101)) <= 1.0
    steps = [rate("step", e, step_epochs=30, step_factor=0.1) for e in (0, 29.9, 30, 60, 99)]
    assert steps == pytest.approx([1, 1, 0.1, 0.01, 0.001])
    tested = {"constant", "plateau", "cosine", "cosine_restarts", "one_cycle", "step"}
    assert tested == set(SCHEDULES)


def test_plateau_lowers_the_rate_after_its_patience(data):
    fit, noise = data[0], noisy(data[1])
    recipe = dataclasses.replace(
        BASE, epochs=12, lr=0.01, schedule="plateau", plateau_patience=0, plateau_factor=0.5
    )
    history = train(TINY, fit, noise, recipe, seed=0).history
    best, expected = -1.0, 0.01
    for row in history:
        assert row["lr"] == pytest.approx(expected)
        if row["validation_accuracy"] > best:
            best = row["validation_accuracy"]
        else:
            expected /= 2
    assert history[-1]["lr"] < 0.01


def test_early_stopping_ends_and_keeps_the_best(data):
    fit, noise = data[0], noisy(data[1])
    recipe = dataclasses.replace(BASE, epochs=60, early_stopping=3)
    result = train(TINY, fit, noise, recipe, seed=0, keep_best=True)
    accuracies = [row["validation_accuracy"] for row in result.history]
    assert result.stopped == "no progress"
    assert len(accuracies) == result.best_epoch + 3 < 60
    assert result.best_epoch == 1 + int(np.argmax(accuracies))
    kept = score(result.model, TINY, noise, Precision())["accuracy"]
    assert kept == pytest.approx(max(accuracies))


def test_plateau_waits_as_torchs_does(data):
    recipe = dataclasses.replace(BASE, schedule="plateau", plateau_patience=2, plateau_factor=0.5)
    run = Training(TINY, data[0], recipe, 0, Precision())
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        sgd, "max", factor=0.5, patience=2, threshold=0.0
    )
    rng, factors = np.random.default_rng(0), []
    for accuracy in rng.integers(0, 8, 40) / 8:
        run.epoch += 1
        run.note(accuracy, keep=False)
        torchs.step(accuracy)
        factors.append((run.plateau_factor, sgd.param_groups[0]["lr"]))
    assert all(ours == theirs for ours, theirs in factors)
    assert len(set(factors)) > 5


@pytest.mark.parametrize("schedule", ["one_cycle", "plateau"])
def test_interrupted_and_resumed_is_uninterrupted(data, tmp_path, schedule):
    recipe = dataclasses.replace(
        BASE, epochs=5, schedule=schedule, ema_decay=0.9, mixup_alpha=0.3, plateau_patience=0,
        optimizer="adamw", lr=0.003, augment=Augment(erase=0.5),
    )  # fmt: skip
    whole = train(TINY, *data, recipe, seed=3, keep_best=True)
    checkpoint = tmp_path / "checkpoint.pt"

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TINY, *data, recipe, seed=3, keep_best=True, checkpoint=checkpoint, on_epoch=stop)
    torch.manual_seed(99)  # a new process has another global state
    epochs = []
    resumed = train(
        TINY, *data, recipe, seed=3, keep_best=True, checkpoint=checkpoint,
        on_epoch=lambda row: epochs.append(row["epoch"]),
    )  # fmt: skip
    assert epochs == [3, 4, 5]
    assert torch.equal(weights(resumed), weights(whole))
    assert [r["train_loss"] for r in resumed.history] == [r["train_loss"] for r in whole.history]
    assert resumed.best_epoch == whole.best_epoch


def test_another_seed_is_another_network(data):
    recipe = dataclasses.replace(BASE, epochs=1)
    first, second, again = (weights(train(TINY, *data, recipe, seed=s)) for s in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_bad_checkpoints_are_refused_and_never_executed(data, tmp_path):
    recipe = dataclasses.replace(BASE, epochs=1)
    path, mark = tmp_path / "checkpoint.pt", tmp_path / "executed"
    train(TINY, *data, recipe, seed=0, checkpoint=path)
    other = dataclasses.replace(TINY, head=Head("max"))
    with pytest.raises(UserError, match="another genome"):
        train(other, *data, recipe, seed=0, checkpoint=path)
    with pytest.raises(UserError, match="another recipe"):
        train(TINY, *data, dataclasses.replace(recipe, lr=0.01), seed=0, checkpoint=path)
    fit, held_out = data
    elsewhere = dataclasses.replace(fit, images=fit.images + 1)
    with pytest.raises(UserError, match="another start"):
        train(TINY, elsewhere, held_out, recipe, seed=0, checkpoint=path)
    for more in ({"initial": build(TINY).state_dict()}, {"teacher": build(TINY)}, {"seed": 1}):
        with pytest.raises(UserError, match="another start"):
            train(TINY, *data, recipe, checkpoint=path, **{"seed": 0, **more})
    with zipfile.ZipFile(path) as plain, zipfile.ZipFile(tmp_path / "packed", "w", 8) as packed:
        for part in plain.namelist():
            packed.writestr(part, plain.read(part))
    with pytest.raises(UserError, match="its parts are compressed"):
        train(TINY, *data, recipe, seed=0, checkpoint=tmp_path / "packed")
    for content in (b"", b"not a checkpoint", path.read_bytes()[:500]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a readable checkpoint"):
            train(TINY, *data, recipe, seed=0, checkpoint=path)
    path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(UserError, match="not a readable checkpoint"):
        train(TINY, *data, recipe, seed=0, checkpoint=path)
    torch.save({"version": 1, "x": Payload(mark)}, path)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        train(TINY, *data, recipe, seed=0, checkpoint=path)
    assert not mark.exists()


def test_a_diverging_training_is_noticed(data):
    recipe = dataclasses.replace(BASE, optimizer="sgd", lr=10.0, clip_grad_norm=0.0, epochs=8)
    deep = Genome(Input(1, 12, 12), 3, (Stage((Conv(8, 3, norm="none"),) * 6),), Head("flatten"))
    with pytest.raises(DivergedError, match=r"not finite|loss is"):
        train(deep, *data, recipe, seed=0)


def test_averaged_sgd_gives_the_mean_of_its_weights_after_the_first_epoch(data):
    recipe = dataclasses.replace(BASE, optimizer="asgd", schedule="constant")
    run = Training(TINY, data[0], recipe, 0, Precision())
    name = next(n for n, p in run.model.named_parameters() if p.ndim > 1)
    run.train_epoch()
    assert torch.equal(run.averaged.state_dict()[name], run.model.state_dict()[name])
    seen = []
    step = run.optimizer.step

    def watched():
        step()
        seen.append(run.model.state_dict()[name].clone())

    run.optimizer.step = watched
    run.train_epoch()
    run.train_epoch()
    mean = torch.stack(seen).mean(0)
    torch.testing.assert_close(run.averaged.state_dict()[name], mean, atol=1e-6, rtol=1e-4)
    assert not torch.allclose(mean, run.model.state_dict()[name], atol=1e-4)


def test_what_is_scored_is_what_is_returned(data):
    """The averaged weights."""
    recipe = dataclasses.replace(BASE, epochs=2, ema_decay=0.99)
    result = train(TINY, *data, recipe, seed=0)
    found = score(result.model, TINY, data[1], Precision())
    read = {f"validation_{name}": value for name, value in found.items()}
    assert read.items() <= result.history[-1].items()
    assert 0.1 < result.history[0]["train_loss"] < 1.5 * np.log(3)  # a mean over images


def test_average_of_weights_by_hand(data):
    fit, held_out = data
    one = dataclasses.replace(fit, rows=fit.rows[:16])  # one step an epoch
    recipe = dataclasses.replace(BASE, epochs=1, ema_decay=0.999)
    results = [
        train(TINY, one, held_out, dataclasses.replace(recipe, **more), seed=0)
        for more in ({}, {"ema_decay": 0.0}, {"lr": 1e-7})
    ]
    averaged, trained, start = map(weights, results)
    floating = torch.cat([torch.full((v.numel(),), v.is_floating_point())
                          for v in results[0].model.state_dict().values()])  # fmt: skip
    decay = 2 / 11  # (1 + step) / (10 + step), less than 0.999
    # Batch norm's statistics move at any rate, so only what the optimizer moves is compared.
    moved = floating & ((trained - start).abs() > 1e-4)
    share = (averaged - start)[moved] / (trained - start)[moved]
    assert float(share.median()) == pytest.approx(1 - decay, abs=0.02)


def test_flip_averages_with_the_mirrored(data):
    _, held_out = data
    model = train(TINY, *data, dataclasses.replace(BASE, epochs=1), seed=0).model
    mirrored = dataclasses.replace(held_out, images=held_out.images.flip(3))
    expected = (logits(model, TINY, held_out) + logits(model, TINY, mirrored)) / 2
    torch.testing.assert_close(logits(model, TINY, held_out, views="flip"), expected)


def test_ten_crops_by_hand():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    found = views_of(x, 3, 3, "ten_crop")
    corners = [int(v[0, 0, 0, 0]) for v in found[:5]]
    assert corners == [0, 1, 4, 5, 0]
    assert [int(v[0, 0, 0, 0]) for v in found[5:]] == [2, 3, 6, 7, 2]  # mirrored
    assert all(v.shape == (1, 1, 3, 3) for v in found)


def test_ten_crops_of_images_of_the_inputs_size_are_scaled_back():
    x = torch.arange(48.0).repeat(2, 1, 48, 1)
    found = views_of(x, 48, 48, "ten_crop")
    assert len(found) == 10
    assert all(v.shape == (2, 1, 48, 48) for v in found)
    means = [float(v.mean()) for v in found[:5]]  # 40 columns from 0, from 8, from 4
    assert means == pytest.approx([19.5, 27.5, 19.5, 27.5, 23.5], abs=0.1)


def test_images_smaller_than_the_input_are_refused():
    with pytest.raises(UserError, match=r"12x12 are smaller than the input 16x16: .* --size 16$"):
        views_of(torch.zeros(1, 1, 12, 12), 16, 16, "flip")


def test_training_on_ten_crops(data):
    fit, held_out = stripes(48, side=16), stripes(30, 1, side=16)
    recipe = dataclasses.replace(
        BASE, epochs=6, train_views="ten_crop", views="ten_crop", augment=Augment(erase=0.5)
    )
    history = train(TINY, fit, held_out, recipe, seed=0).history
    assert history[-1]["validation_accuracy"] > 0.8


def test_soft_labels_are_what_is_learned(data):
    fit, held_out = data
    # The labels say one thing, the votes another: the votes must win.
    turned = torch.nn.functional.one_hot((fit.labels + 1) % 3, 3).float()
    recipe = dataclasses.replace(BASE, epochs=10)
    model = train(TINY, dataclasses.replace(fit, targets=turned), held_out, recipe, seed=0).model
    said = logits(model, TINY, held_out).argmax(1)
    assert float((said == (held_out.labels + 1) % 3).float().mean()) > 0.8


def test_a_student_learns_from_its_teacher_alone(data):
    fit, held_out = data
    recipe = dataclasses.replace(BASE, epochs=10)
    teacher = train(TINY, fit, held_out, recipe, seed=0).model.eval()
    wrong = dataclasses.replace(fit, labels=torch.zeros_like(fit.labels))
    taught = dataclasses.replace(recipe, distill=1.0)
    model = train(TINY, wrong, held_out, taught, seed=1, teacher=teacher).model
    assert score(model, TINY, held_out, Precision())["accuracy"] > 0.8
    alone = train(TINY, wrong, held_out, recipe, seed=1).model
    assert score(alone, TINY, held_out, Precision())["accuracy"] < 0.5


def test_fine_tuning_starts_where_it_was(data):
    first = train(TINY, *data, dataclasses.replace(BASE, epochs=10), seed=0)
    gentle = dataclasses.replace(BASE, epochs=1, lr=1e-6)
    tuned = train(TINY, *data, gentle, seed=5, initial=first.model.state_dict())
    assert tuned.history[0]["train_loss"] < 0.6
    accuracy = first.history[-1]["validation_accuracy"]
    assert tuned.history[0]["validation_accuracy"] == pytest.approx(accuracy, abs=0.1)


def test_larger_images_are_cropped_at_the_centre(data):
    model = train(TINY, *data, dataclasses.replace(BASE, epochs=1), seed=0).model
    large = stripes(9, side=16)
    centre = dataclasses.replace(large, images=large.images[:, :, 2:14, 2:14])
    torch.testing.assert_close(logits(model, TINY, large), logits(model, TINY, centre))
    train(TINY, stripes(32, side=16), stripes(9, side=16), BASE, seed=0)


@pytest.mark.parametrize("scale", [1e30, 3e38])
def test_a_loss_that_no_file_holds_is_cut_and_the_accuracy_stays(data, scale):
    """Finite outputs, whose cross entropy is huge or infinite."""
    _, held_out = data

    class Sure(torch.nn.Module):
        def forward(self, x):
            answers = x.new_full((len(x), TINY.num_classes), -scale)
            answers[:, 0] = scale
            return answers

    found = score(Sure(), TINY, held_out, Precision())
    assert found["loss"] == 2.0**63
    labels = held_out.labels[held_out.rows]
    assert found["accuracy"] == pytest.approx(float((labels == 0).float().mean()))


def test_score_is_accuracy_and_cross_entropy(data):
    _, held_out = data
    model = train(TINY, *data, dataclasses.replace(BASE, epochs=1), seed=0).model
    y = logits(model, TINY, held_out)
    found = score(model, TINY, held_out, Precision())
    right = float((y.argmax(1) == held_out.labels[held_out.rows]).float().mean())
    assert found["accuracy"] == pytest.approx(right)
    assert found["loss"] == pytest.approx(float(F.cross_entropy(y, held_out.labels)))
    names, predicted = held_out.labels[held_out.rows].numpy(), y.argmax(1).numpy()
    assert found["macro_f1"] == pytest.approx(f1_score(names, predicted, average="macro"))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(names, predicted))


def test_modes_agree_within_bfloat16(data):
    recipe = dataclasses.replace(BASE, epochs=8)
    full = train(TINY, *data, recipe, seed=0, precision=Precision(False, False))
    fast = train(TINY, *data, recipe, seed=0, precision=Precision(True, True))
    for a, b in zip(full.history[:2], fast.history[:2], strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=0.05)
    assert fast.history[-1]["validation_accuracy"] > 0.8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", "2"), ("epoch", -1), ("step", 1.5), ("lr", None),
        ("plateau_factor", float("nan")),
        ("best_accuracy", 7.0), ("best_epoch", [1]), ("history", {"epoch": 1}), ("history", [3]),
        ("history", [{"epoch": "1", "train_loss": 1.0, "seconds": 1.0}]),
        ("best_state", {"x": torch.ones(3)}), ("generator", torch.ones(3)), ("model", []),
        ("optimizer", None), ("averaged", 4),
    ],
)  # fmt: skip
def test_a_checkpoint_with_a_wrong_value_is_refused(data, tmp_path, name, value):
    path, recipe = tmp_path / "checkpoint.pt", dataclasses.replace(BASE, epochs=1)
    train(TINY, *data, recipe, seed=0, checkpoint=path, keep_best=True)
    state = torch.load(path, weights_only=True)
    torch.save({**state, name: value}, path)
    with pytest.raises(UserError, match=r"checkpoint\.pt: "):
        train(TINY, *data, dataclasses.replace(recipe), seed=0, checkpoint=path, keep_best=True)


def test_a_checkpoint_of_another_precision_is_refused(data, tmp_path):
    path, recipe = tmp_path / "checkpoint.pt", dataclasses.replace(BASE, epochs=1)
    train(TINY, *data, recipe, seed=0, checkpoint=path, precision=Precision(False, True))
    with pytest.raises(UserError, match="another precision"):
        train(TINY, *data, recipe, seed=0, checkpoint=path, precision=Precision(False, False))
