"""Train a genome fully, then report, once, on the private test split; export what a demo needs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import nn

from nas.arch.genome import Genome
from nas.arch.lowering import cost
from nas.common.environment import environment
from nas.common.errors import UserError
from nas.common.files import locked, make_folder, replace_file
from nas.data import Dataset, duplicate_report, rows_without_copies
from nas.deploy.checkpoint import save_weights
from nas.deploy.export import export_onnx
from nas.deploy.latency import measure_fps
from nas.deploy.private_test import key_of, read_once
from nas.deploy.reports import REPORT
from nas.deploy.setup import Setup, precision_of, set_up
from nas.report.card import model_card
from nas.report.metrics import classification_report, summarise, wilson_interval
from nas.report.plots import curves_png, split_figure, write_figure
from nas.training.history import write_history
from nas.training.predict import DivergedError, Precision, logits
from nas.training.recipe import Recipe
from nas.training.trainer import TrainingResult, train

OVER_SEEDS = ("accuracy", "macro_f1", "weighted_f1")
WITH_VIEWS = ("accuracy", "accuracy_interval", "macro_f1", "weighted_f1")
log = logging.getLogger(__name__)


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
        report = _retrain(setup, out, seeds, [*command])
        # Last: its presence says that the test split has been read.
        replace_file(out / REPORT, json.dumps(report, indent=1))
    return report


def _check_unread(out: Path) -> None:
    if (out / REPORT).exists():
        raise UserError(
            f"{out / REPORT}: exists, and the test split is read once; expected a new --out"
        )


def _retrain(setup: Setup, out: Path, seeds: Sequence[int], command: list[str]) -> dict[str, Any]:
    genome, dataset, recipe = setup.genome, setup.dataset, setup.recipe
    precision = precision_of(setup, out)
    trained = {seed: _train_seed(setup, out / f"seed{seed}", seed, precision) for seed in seeds}
    shipped = _shipped(recipe, trained)
    chosen = trained[shipped]
    models = [result.model for result in trained.values()]
    asked = {"seeds": [*seeds], "data": dataset.fingerprint, "views": recipe.views}
    key = key_of([model.state_dict() for model in models], asked)
    validation = [_figures(setup, model, "validation") for model in models]
    test, reads = read_once(out, key, lambda: [_figures(setup, model, "test") for model in models])
    splits = {"validation": validation, "test": test}
    ours = {split: found[list(seeds).index(shipped)] for split, found in splits.items()}
    save_weights(genome, chosen.model, dataset, out / "model.safetensors")
    parity = export_onnx(
        genome, chosen.model, dataset, setup.subsets["validation"], out / "model.onnx"
    )
    report = {
        "genome": genome.id,
        "input": asdict(genome.input),
        "cost": asdict(cost(genome)),
        "fps": measure_fps([genome])[0],
        "data": {
            "name": dataset.name, "fingerprint": dataset.fingerprint, "counts": dataset.counts(),
            "provenance": dataset.provenance, "duplicates": duplicate_report(dataset),
        },
        "recipe": recipe.to_dict(),
        "precision": asdict(precision),
        "seed": shipped,
        "epochs_trained": len(chosen.history),
        "best_epoch": chosen.best_epoch,
        **{
            f"training_{key}": sum(row[key] for row in chosen.history)
            for key in ("seconds", "cpu_seconds")
        },
        **{split: found["single"] for split, found in ours.items()},
        "onnx_parity": asdict(parity),
        **setup.origin,
        "command": command,
        "environment": environment(command),
        "test_reads": reads,
        "views_and_copies": {split: found["views_and_copies"] for split, found in ours.items()},
        "seeds": {
            "list": [*seeds], "shipped": shipped,
            **{split: _over_seeds(found) for split, found in splits.items()},
        },
    }  # fmt: skip
    if recipe.views != "single":
        for split, found in ours.items():
            report[f"{split}_with_views"] = {"views": recipe.views, **found["with_views"]}
    _write(out, report, genome, chosen.history)
    return report


def _train_seed(setup: Setup, folder: Path, seed: int, precision: Precision) -> TrainingResult:
    recipe = setup.recipe
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
            setup.genome, setup.subsets["fit"], setup.subsets["validation"], recipe,
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
    settings = {"data": setup.dataset.name, "seed": seed, "recipe": recipe.to_dict()}
    replace_file(folder / "config.yaml", yaml.safe_dump(settings, sort_keys=False))
    write_history(folder, result.history)
    return result


def _shipped(recipe: Recipe, trained: dict[int, TrainingResult]) -> int:
    """The best seed; the first where validation images were trained on, which cannot choose."""
    shipped = next(iter(trained))
    if recipe.train_on != "train+validation":
        shipped = max(trained, key=lambda seed: (_logged_accuracy(trained[seed]), -seed))
    if len(trained) > 1:
        accuracy = 100 * _logged_accuracy(trained[shipped])
        log.info("seed %d ships: validation %.2f %% in the log", shipped, accuracy)
    return shipped


def _logged_accuracy(result: TrainingResult) -> float:
    """On the validation split, of the recipe's views, at the epoch whose weights are kept."""
    rows = {int(row["epoch"]): row for row in result.history}
    return float(rows[result.best_epoch]["validation_accuracy"])


def _figures(setup: Setup, model: nn.Module, split: str) -> dict[str, Any]:
    """All that a report has of a split: by single views, by the recipe's, and without copies.

    In float32, as the exported model computes.
    """
    dataset, subset, views = setup.dataset, setup.subsets[split], setup.recipe.views
    labels = subset.labels[subset.rows].cpu().numpy()
    probabilities = {
        each: torch.softmax(logits(model, setup.genome, subset, views=each), 1).cpu().numpy()
        for each in {"single", "flip", views}
    }
    single, several = (
        classification_report(labels, probabilities[each].astype(np.float64), dataset.classes)
        for each in ("single", views)
    )
    trained_on = setup.subsets["fit"].rows.cpu().numpy()
    fresh = np.isin(dataset.indices(split), rows_without_copies(dataset, split, trained_on))
    views_and_copies = {}
    for each in ("single", "flip"):
        right = probabilities[each].argmax(1) == labels
        views_and_copies[each] = {"all": _share(right), "without_copies": _share(right[fresh])}
    with_views = {name: several[name] for name in WITH_VIEWS}
    return {"single": single, "with_views": with_views, "views_and_copies": views_and_copies}


def _share(right: npt.NDArray[np.bool_]) -> dict[str, Any] | None:
    """None where no image is left."""
    if not len(right):
        return None
    interval = wilson_interval(int(right.sum()), len(right))
    return {"n": len(right), "accuracy": float(right.mean()), "accuracy_interval": list(interval)}


def _over_seeds(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread of a split's main figures."""
    singles = [found["single"] for found in figures]
    flipped = [found["views_and_copies"]["flip"]["all"]["accuracy"] for found in figures]
    return {
        **{name: summarise([single[name] for single in singles]) for name in OVER_SEEDS},
        "accuracy_flip": summarise(flipped),
    }


def _write(
    out: Path, report: dict[str, Any], genome: Genome, history: list[dict[str, float]]
) -> None:
    for split in ("validation", "test"):
        write_figure(out / f"confusion_{split}.png", split_figure(report, split))
    curves_png(out / "curves.png", history, f"{genome.id}, seed {report['seed']}")
    replace_file(out / "genome.json", genome.to_json() + "\n")
    replace_file(out / "MODEL_CARD.md", model_card(report))
