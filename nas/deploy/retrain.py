"""Train a genome fully, then report, once, on the private test split; export what a demo needs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.common.environment import environment
from nas.common.errors import UserError
from nas.common.files import locked, make_folder, replace_file
from nas.data import Dataset, duplicate_report, rows_without_copies
from nas.deploy.checkpoint import save_weights
from nas.deploy.export import Parity, export_onnx
from nas.deploy.latency import measure_fps
from nas.deploy.private_test import key_of, read_once
from nas.deploy.setup import Setup, precision_of, set_up
from nas.report.card import model_card
from nas.report.metrics import classification_report, summarise, summarise_seeds, wilson_interval
from nas.report.plots import confusion_figure, curves_png, write_figure
from nas.training.history import write_history
from nas.training.predict import DivergedError, Precision, Subset, logits
from nas.training.recipe import Recipe
from nas.training.trainer import TrainingResult, train

REPORT = "report.json"
WITH_VIEWS = ("accuracy", "accuracy_interval", "macro_f1", "weighted_f1")
log = logging.getLogger(__name__)


@dataclass
class _Trained:
    seed: int
    result: TrainingResult

    @property
    def logged_accuracy(self) -> float:
        """On the validation split, of the recipe's views, at the epoch whose weights are kept."""
        rows = {int(row["epoch"]): row for row in self.result.history}
        return float(rows[self.result.best_epoch]["validation_accuracy"])


def retrain_on(
    genome: Genome,
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    seeds: Sequence[int],
    initial: Path | None = None,
    teachers: Sequence[Path] = (),
    device: str = "auto",
    command: Sequence[str] = (),
) -> dict[str, Any]:
    """Train once for each seed and write everything into `out`; returns the report.

    initial: weights (safetensors) to start from instead of random ones. teachers: weights of
    networks whose averaged logits are distilled by the recipe's `distill`.

    Checkpoints are chosen on the validation split (PublicTest for FER2013). The test split
    (PrivateTest) is read here, after the last training, and never again: a folder that holds a
    report is refused. An interrupted call goes on from its checkpoints when repeated, and from
    the test's figures where it has them.
    """
    _check_unread(out)
    setup = set_up(genome, dataset, recipe, initial, teachers, device)
    log.info("retraining %s on %s, into %s", genome.id, dataset.name, out)
    make_folder(out)
    with locked(out):
        _check_unread(out)  # another process may have just read it
        report = _retrain(genome, dataset, recipe, out, seeds, setup, [*command])
        # Last: its presence says that the test split has been read.
        replace_file(out / REPORT, json.dumps(report, indent=1))
    return report


def _check_unread(out: Path) -> None:
    if (out / REPORT).exists():
        raise UserError(
            f"{out / REPORT}: exists, and the test split is read once; expected a new --out"
        )


def _retrain(
    genome: Genome, dataset: Dataset, recipe: Recipe, out: Path, seeds: Sequence[int],
    setup: Setup,
    command: list[str],
) -> dict[str, Any]:  # fmt: skip
    subsets = setup.subsets
    precision = precision_of(genome, subsets["train"], recipe.batch_size, out)
    trained = [
        _train_seed(genome, dataset, setup, recipe, out / f"seed{seed}", seed, precision)
        for seed in seeds
    ]
    chosen = trained[0]  # where validation images were trained on, they cannot choose
    if recipe.train_on != "train+validation":
        chosen = max(trained, key=lambda t: (t.logged_accuracy, -t.seed))
    if len(seeds) > 1:
        accuracy = 100 * chosen.logged_accuracy
        log.info("seed %d ships: validation %.2f %% in the log", chosen.seed, accuracy)
    figures = partial(_figures, genome, dataset, subsets, recipe.views)
    validation = [figures(t, "validation") for t in trained]
    asked = {"seeds": [*seeds], "data": dataset.fingerprint, "views": recipe.views}
    key = key_of([t.result.model.state_dict() for t in trained], asked)
    test, reads = read_once(out, key, lambda: [figures(t, "test") for t in trained])
    splits = {"validation": validation, "test": test}
    ours = {split: found[trained.index(chosen)] for split, found in splits.items()}
    parity = _export(genome, chosen.result, dataset, subsets["validation"], out)
    report = _report(genome, dataset, recipe, precision, chosen, ours, parity)
    report |= setup.origin
    report["command"] = command
    report["environment"] = environment(command)
    report["test_reads"] = reads
    report["views_and_copies"] = {split: found["views_and_copies"] for split, found in ours.items()}
    report["seeds"] = {"list": [*seeds], "shipped": chosen.seed}
    for split, found in splits.items():
        flipped = [each["views_and_copies"]["flip"]["all"]["accuracy"] for each in found]
        report["seeds"][split] = summarise_seeds([each["single"] for each in found])
        report["seeds"][split]["accuracy_flip"] = summarise(flipped)
    if recipe.views != "single":
        for split, each in ours.items():
            report[f"{split}_with_views"] = {"views": recipe.views, **each["with_views"]}
    _write(out, report, chosen, genome)
    return report


def _train_seed(
    genome: Genome, dataset: Dataset, setup: Setup, recipe: Recipe, folder: Path, seed: int,
    precision: Precision,
) -> _Trained:  # fmt: skip
    make_folder(folder)
    took: list[float] = []

    def on_epoch(row: dict[str, float]) -> None:
        took.append(row["seconds"])
        left = (recipe.epochs - row["epoch"]) * sum(took) / len(took)
        log.info(
            f"seed {seed} epoch {row['epoch']:.0f}/{recipe.epochs}: loss {row['train_loss']:.3f}, "
            f"validation {row['validation_accuracy']:.2%}, {row['seconds']:.0f} s, "
            f"{left / 60:.0f} min left"
        )

    try:
        result = train(
            genome, setup.subsets["fit"], setup.subsets["validation"], recipe,
            seed=seed, precision=precision, keep_best=recipe.train_on != "train+validation",
            initial=setup.initial, teacher=setup.teacher,
            checkpoint=folder / "checkpoint.pt", on_epoch=on_epoch,
        )  # fmt: skip
    except DivergedError as error:
        raise UserError(
            f"seed {seed}: {error}, at lr {recipe.lr:g}; expected a recipe under which the "
            "network learns: a lower lr, or clip"
        ) from None
    # Only now: a checkpoint of another recipe was refused above.
    settings = {"data": dataset.name, "seed": seed, "recipe": recipe.to_dict()}
    replace_file(folder / "config.yaml", yaml.safe_dump(settings, sort_keys=False))
    write_history(folder, result.history)
    return _Trained(seed, result)


def _evaluate(
    genome: Genome, dataset: Dataset, result: TrainingResult, subset: Subset, views: str = "single"
) -> dict[str, Any]:
    """float32, as the exported model computes."""
    y = torch.softmax(logits(result.model, genome, subset, views=views), 1)
    labels = subset.labels[subset.rows].cpu().numpy()
    return classification_report(labels, y.cpu().numpy().astype(np.float64), dataset.classes)


def _figures(
    genome: Genome, dataset: Dataset, subsets: dict[str, Subset], views: str, trained: _Trained,
    split: str,
) -> dict[str, Any]:  # fmt: skip
    """All that a report has of a split: by single views, by the recipe's, and without copies."""
    single = _evaluate(genome, dataset, trained.result, subsets[split])
    several = _evaluate(genome, dataset, trained.result, subsets[split], views)
    return {
        "single": single,
        "with_views": {k: several[k] for k in WITH_VIEWS},
        "views_and_copies": _views_and_copies(genome, dataset, trained.result, subsets, split),
    }


def _views_and_copies(
    genome: Genome, dataset: Dataset, result: TrainingResult, subsets: dict[str, Subset], split: str
) -> dict[str, Any]:
    """Accuracy by views, of all images and without exact copies of Training images."""
    subset = subsets[split]
    labels = subset.labels[subset.rows]
    fresh = np.isin(dataset.indices(split), rows_without_copies(dataset, split))
    found: dict[str, Any] = {}
    for views in ("single", "flip"):
        answers = logits(result.model, genome, subset, views=views).argmax(1)
        right = (answers == labels).cpu().numpy()
        found[views] = {"all": _share(right), "without_copies": _share(right[fresh])}
    return found


def _share(right: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    """None where no image is left."""
    if not len(right):
        return None
    interval = wilson_interval(int(right.sum()), len(right))
    return {"n": len(right), "accuracy": float(right.mean()), "accuracy_interval": list(interval)}


def _export(
    genome: Genome, result: TrainingResult, dataset: Dataset, subset: Subset, out: Path
) -> Parity:
    save_weights(genome, result.model, dataset, out / "model.safetensors")
    return export_onnx(genome, result.model, dataset, subset, out / "model.onnx")


def _report(
    genome: Genome, dataset: Dataset, recipe: Recipe, precision: Precision, chosen: _Trained,
    figures: dict[str, dict[str, Any]], parity: Parity,
) -> dict[str, Any]:  # fmt: skip
    return {
        "genome": genome.id,
        "input": asdict(genome.input),
        "cost": asdict(cost(genome)),
        "fps": measure_fps([genome])[0],
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "counts": dataset.counts(),
            "provenance": dataset.provenance,
            "duplicates": duplicate_report(dataset),
        },
        "recipe": recipe.to_dict(),
        "precision": asdict(precision),
        "seed": chosen.seed,
        "epochs_trained": len(chosen.result.history),
        "best_epoch": chosen.result.best_epoch,
        **{
            f"training_{key}": sum(row[key] for row in chosen.result.history)
            for key in ("seconds", "cpu_seconds")
        },
        **{split: found["single"] for split, found in figures.items()},
        "onnx_parity": asdict(parity),
    }


def _write(out: Path, report: dict[str, Any], chosen: _Trained, genome: Genome) -> None:
    classes = tuple(report["test"]["per_class"])
    for split in ("validation", "test"):
        found = report[split]
        title = f"{genome.id}, {report['data']['name']} {split}: {found['accuracy']:.2%}"
        figure = confusion_figure(found["confusion"], classes, title)
        write_figure(out / f"confusion_{split}.png", figure)
    curves_png(out / "curves.png", chosen.result.history, f"{genome.id}, seed {chosen.seed}")
    replace_file(out / "genome.json", genome.to_json() + "\n")
    replace_file(out / "MODEL_CARD.md", model_card(report))
