"""Figures of a classifier on a split: accuracy with its interval, F1, confusion, calibration."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from scipy.stats import t as student_t

CALIBRATION_BINS = 15


def classification_report(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, classes: tuple[str, ...]
) -> dict[str, Any]:
    """labels: integers (N,); probabilities: (N, classes). Plain data, shares in 0..1.

    confusion: rows are true classes, columns predicted. ValueError when a probability is not
    finite or there is no image.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if len(labels) == 0 or probabilities.shape != (len(labels), len(classes)):
        raise ValueError(f"{len(labels)} labels do not fit probabilities {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities are not finite")
    predicted = probabilities.argmax(1)
    pairs = np.bincount(labels * len(classes) + predicted, minlength=len(classes) ** 2)
    confusion = pairs.reshape(len(classes), len(classes))
    hits, support, answers = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    # Nothing of nothing: 0 of a class that is never answered, None of one without images.
    precision, recall = hits / np.maximum(answers, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(answers + support, 1)
    right, scores = int((predicted == labels).sum()), class_scores(confusion)
    weights = support / support.sum()
    true_probability = probabilities[np.arange(len(labels)), labels]
    return {
        "n": len(labels),
        "accuracy": scores["accuracy"],
        "accuracy_interval": list(wilson_interval(right, len(labels))),
        "macro_f1": scores["macro_f1"],
        "weighted_f1": float((f1 * weights).sum()),
        "macro_precision": float(precision[support > 0].mean()),
        "macro_recall": scores["balanced_accuracy"],
        "per_class": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]) if support[i] else None,
                "f1": float(f1[i]) if support[i] else None,
                "support": int(support[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion": confusion.tolist(),
        "nll": float(-np.log(np.clip(true_probability, 1e-12, 1)).mean()),
        "calibration_error": calibration_error(predicted == labels, probabilities.max(1)),
    }


def class_scores(confusion: npt.ArrayLike) -> dict[str, float]:
    """accuracy, macro_f1 and balanced_accuracy (the mean recall), 0..1; see classification_report.

    confusion: counts (classes, classes), rows the true classes. Classes without an image have no
    score; rare ones count as much as others in the last two.
    """
    counts = np.asarray(confusion)
    hits, support, answers = counts.diagonal(), counts.sum(1), counts.sum(0)
    there = support > 0
    f1 = 2 * hits[there] / (answers + support)[there]
    return {
        "accuracy": float(hits.sum() / counts.sum()),
        "macro_f1": float(f1.mean()),
        "balanced_accuracy": float((hits[there] / support[there]).mean()),
    }


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927)."""
    found = binomtest(right, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def calibration_error(right: npt.ArrayLike, confidence: npt.ArrayLike) -> float:
    """Expected calibration error over equal-width bins (Guo et al. 2017)."""
    bins = np.minimum((np.asarray(confidence) * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    gap = np.bincount(bins, weights=np.asarray(right, dtype=float) - confidence,
                      minlength=CALIBRATION_BINS)  # fmt: skip
    return float(np.abs(gap).sum() / counts.sum())


def summarise(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation (None for one value)."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "std": std}


def mean_interval(values: Sequence[float], share: bool = False) -> dict[str, Any]:
    """count, mean, and low and high of its 95 % interval, see interval_of (None for one value)."""
    found = summarise(values)
    low, high = interval_of(len(values), found["mean"], found["std"], share)
    return {"count": len(values), "mean": found["mean"], "low": low, "high": high}


def interval_of(
    count: int, mean: float | None, std: float | None, share: bool = False
) -> tuple[float | None, float | None]:
    """95 % interval of a mean of `count` values by Student's t; None where nothing is spread.

    share: the values are shares, whose mean is within 0..1: so is its interval, even of two seeds.
    """
    if mean is None or std is None or count < 2:
        return None, None
    spread = float(student_t.ppf(0.975, count - 1)) * std / math.sqrt(count)
    low, high = mean - spread, mean + spread
    return (max(0.0, low), min(1.0, high)) if share else (low, high)
