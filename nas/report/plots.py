"""Pictures with matplotlib, without a display and without pyplot's global state."""

from __future__ import annotations

import base64
import html
import io
import warnings
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from nas.common.files import replacing
from nas.report.ablation import sorted_rows
from nas.report.axes import scale_of
from nas.report.colours import BEST, FRONT, INK, SERIES, TRAINING, VALIDATION

# Left out of files: what is drawn from the same numbers is the same file on another day.
UNDATED: dict[str, dict[str, None]] = {
    ".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}
}  # fmt: skip

# What the font lacks is drawn as boxes: preparing the data says so, once.
warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)

MOST_TICKS = 6  # on a logarithmic axis


def write_figure(path: Path, figure: Figure) -> None:
    """Write a picture of the suffix's kind, atomically. UserError: the disk does not take it."""
    with replacing(path) as partial:
        figure.savefig(partial, metadata=UNDATED.get(path.suffix))


def plain(text: str) -> str:
    """For a picture: names of classes, metrics and data are no formulas, whatever they hold."""
    return text.replace("$", r"\$")


def logarithmic(axes: Axes) -> None:
    """A logarithmic x axis with numbers such as 20k, which stay apart however short it is."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(_FewTicks())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


class _FewTicks(LogLocator):
    """1, 2 and 5 times the powers of ten, or fewer of them, so that their numbers stay apart; even
    steps where the axis holds less than two of them.
    """

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        for subs in ((1, 2, 5), (1, 3), (1,)):
            self.set_params(subs=subs)
            found = list(super().tick_values(vmin, vmax))
            inside = sum(vmin <= tick <= vmax for tick in found)
            if inside < 2:
                return list(MaxNLocator(MOST_TICKS - 1).tick_values(vmin, vmax))
            if inside <= MOST_TICKS:
                break
        return found


def as_html(figure: Figure, alt: str) -> str:
    """An `img` that holds the picture itself (PNG), for notebooks."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def confusion_figure(confusion: list[list[int]], classes: tuple[str, ...], title: str) -> Figure:
    """Percent of each true class, with counts."""
    counts = np.asarray(confusion)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.6 + 0.75 * len(classes)
    figure = Figure(figsize=(side + 0.6, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [plain(name) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(plain(title), fontsize=10)
    for i, j in np.ndindex(*counts.shape):
        colour = "white" if share[i, j] > 0.55 else INK
        text = f"{100 * share[i, j]:.0f}%\n{counts[i, j]}"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    return figure


def split_figure(report: dict[str, Any], split: str) -> Figure:
    """The confusion of a split, of a report of nas.deploy.retrain."""
    found = report[split]
    title = f"{report['genome']}, {report['data']['name']} {split}: {found['accuracy']:.2%}"
    return confusion_figure(found["confusion"], tuple(found["per_class"]), title)


def curves_png(path: Path, history: list[dict[str, float]], title: str) -> None:
    """Loss, held-out accuracy and learning rate over the epochs."""
    figure = Figure(figsize=(11, 4), dpi=120, layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3, width_ratios=[3, 3, 2])
    figure.suptitle(plain(title), fontsize=10)
    scored = [row for row in history if "validation_accuracy" in row]
    marker = "o" if len(history) < 3 else None
    for axes, rows, key, label, colour, line, scale in (
        (loss, history, "train_loss", "training (smoothed, mixed)", TRAINING, "--", 1),
        (loss, scored, "validation_loss", "validation", VALIDATION, "-", 1),
        (accuracy, scored, "validation_accuracy", "validation", VALIDATION, "-", 100),
        (rate, history, "lr", "learning rate", INK, "-", 1),
    ):
        axes.plot(
            [row["epoch"] for row in rows], [scale * row[key] for row in rows],
            color=colour, linestyle=line, label=label, marker=marker,
        )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
    loss.set_ylabel("cross entropy (nats)")
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=2,
                  frameon=False, fontsize=9)  # fmt: skip
    accuracy.set_ylabel("validation accuracy (%)")
    rate.set_ylabel("learning rate")
    write_figure(path, figure)


def saliency_png(path: Path, groups: dict[str, list[dict[str, Any]]], title: str) -> None:
    """Two rows a group: images with the answer above them, and the same under their maps.

    groups: name -> items with image (H, W), map (H, W) in 0..1, answer, probability (0..1). Of an
    empty group the title tells.
    """
    full = {name: items for name, items in groups.items() if items}
    title += "".join(f"; {name}: none" for name in groups if name not in full)
    columns = max([1, *(len(items) for items in full.values())])
    figure = Figure(
        figsize=(1.6 + 1.25 * columns, 0.6 + 2.75 * len(full)), dpi=110, layout="constrained"
    )
    figure.suptitle(plain(title), color=INK, fontsize=10)
    axes = figure.subplots(2 * max(1, len(full)), columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for g, (name, items) in enumerate(full.items()):
        axes[2 * g, 0].text(-0.25, 0.5, plain(name), rotation=90, ha="center", va="center",
                            transform=axes[2 * g, 0].transAxes, fontsize=10)  # fmt: skip
        for i, item in enumerate(items):
            above, below = axes[2 * g, i], axes[2 * g + 1, i]
            above.imshow(item["image"], cmap="gray")
            above.set_title(
                plain(f"{item['answer']} {item['probability']:.0%}"), fontsize=7, color=INK
            )
            below.imshow(item["image"], cmap="gray")
            drawn = below.imshow(item["map"], cmap="inferno", alpha=0.55, vmin=0, vmax=1)
    if full:
        bar = figure.colorbar(drawn, ax=axes, shrink=0.5, aspect=30)
        bar.set_label("evidence, as a share of the image's strongest", fontsize=8)
    write_figure(path, figure)


def hypervolume_png(path: Path, curves: dict[str, list[list[float]]], title: str) -> None:
    """curves: optimizer -> rows of evaluations, lower quartile, median, upper quartile."""
    figure = Figure(figsize=(7.5, 4.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    figure.suptitle(f"{title}: hypervolume, medians and quartiles", color=INK)
    styles = zip(cycle(SERIES), cycle(("-", "--", ":", "-.")))
    for (colour, line), (name, rows) in zip(styles, curves.items(), strict=False):
        x, low, middle, high = zip(*rows, strict=True)
        axes.plot(x, middle, color=colour, linestyle=line, label=name)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_xlabel("different networks evaluated")
    axes.set_ylabel("share of the true front's hypervolume")
    axes.grid(alpha=0.25, which="both", linewidth=0.5)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    write_figure(path, figure)


def ablation_figure(result: dict[str, Any], title: str) -> Figure:
    """A bar a gene: what the network's own value gains, with its interval over the seeds.

    result: of nas.search.ablation.
    """
    measure = result["measure"]
    scale = scale_of(measure)
    rows = [row for row in sorted_rows(result) if row["gain"]][::-1]
    names = [plain(_name(row)) for row in rows]
    height = 1.5 + 0.36 * max(1, len(rows)) + 0.1 * sum(name.count("\n") for name in names)
    figure = Figure(figsize=(8.5, height), dpi=120, layout="constrained")
    axes = figure.subplots()
    figure.suptitle(plain(title), color=INK, fontsize=10)
    for place, row in enumerate(rows):
        gain = row["gain"]
        better = gain["mean"] >= 0
        axes.barh(place, scale * gain["mean"], color=FRONT if better else BEST,
                  hatch=None if better else "///", edgecolor="white", height=0.7)  # fmt: skip
        if gain["low"] is not None:
            ends = [scale * gain["low"], scale * gain["high"]]
            axes.plot(ends, [place, place], color=INK, linewidth=1.4, marker="|", markersize=7)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), names, fontsize=8.5)
    unit = "points of " if measure["share"] else ""
    name = plain(measure["name"].replace("_", " "))
    figure.supxlabel(f"gain of the network's own value, {unit}{name}{_seeds(rows)}", fontsize=9.5)
    axes.grid(axis="x", alpha=0.3, linewidth=0.5)
    return figure


def _seeds(rows: list[dict[str, Any]]) -> str:
    """What the intervals are of, where there are any."""
    counts = sorted({row["gain"]["count"] for row in rows if row["gain"]["low"] is not None})
    return f" (95 % interval, {' to '.join(map(str, counts))} seeds)" if counts else ""


def _name(row: dict[str, Any]) -> str:
    name: str = row["name"]
    if row["ours"] is None:
        return name
    return fill(f"{name}: {row['ours']} instead of {row['theirs']}", 52)
