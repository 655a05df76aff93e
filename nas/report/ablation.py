"""An ablation as a table and a picture. `result`: of nas.search.ablation, plain data."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from nas.report.colours import BEST, FRONT, INK
from nas.report.plots import plain
from nas.report.table import table

Row = dict[str, Any]


def ablation_table(result: Row) -> str:
    """The networks, then the genes, the most valuable first; gains in points where of 1."""
    measure, points = result["measure"], result["measure"]["share"]
    scale = 100 if points else 1
    rows = [
        {
            **row,
            "value": scale * row["value"]["mean"] if row["value"] else None,
            "gain": scale * row["gain"]["mean"] if row["gain"] else None,
            "interval": _interval(row["gain"], scale, points),
            "seeds": row["value"]["count"] if row["value"] else 0,
        }
        for row in _sorted(result)
    ]
    return table(rows, [
        ("name", "gene set back", ""), ("ours", "from", ""), ("theirs", "to", ""),
        ("value", measure["name"].replace("_", " ") + (" %" if points else ""),
         ".2f" if points else ".4g"),
        ("gain", "own value gains", "+.2f" if points else "+.4g"),
        ("interval", "95 % interval", ""), ("seeds", "seeds", "d"),
        ("params", "params", ",d"), ("macs", "MACs", ",d"),
    ])  # fmt: skip


def ablation_figure(result: Row, title: str) -> Figure:
    """A bar a gene: what the network's own value gains, with its interval over the seeds."""
    measure = result["measure"]
    scale = 100 if measure["share"] else 1
    rows = [row for row in _sorted(result) if row["gain"]][::-1]
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


def _seeds(rows: list[Row]) -> str:
    """What the intervals are of, where there are any."""
    counts = sorted({row["gain"]["count"] for row in rows if row["gain"]["low"] is not None})
    return f" (95 % interval, {' to '.join(map(str, counts))} seeds)" if counts else ""


def _sorted(result: Row) -> list[Row]:
    networks = [row for row in result["rows"] if row["ours"] is None]
    genes = [row for row in result["rows"] if row["ours"] is not None]
    worst = float("-inf")
    return networks + sorted(genes, key=lambda r: -(r["gain"]["mean"] if r["gain"] else worst))


def _name(row: Row) -> str:
    name: str = row["name"]
    if row["ours"] is None:
        return name
    return fill(f"{name}: {row['ours']} instead of {row['theirs']}", 52)


def _interval(gain: Row | None, scale: float, points: bool) -> str | None:
    if not gain or gain["low"] is None:
        return None
    spec = "+.2f" if points else "+.4g"
    return f"{scale * gain['low']:{spec}} to {scale * gain['high']:{spec}}"
