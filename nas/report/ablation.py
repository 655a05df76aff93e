"""An ablation as a table and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nas.report.colours import BEST, FRONT, INK
from nas.report.plots import plain, write_figure
from nas.report.table import table

Row = dict[str, Any]


def ablation_table(result: Row) -> str:
    """Rows of nas.search.ablation: the networks, then the genes, the most valuable first."""
    rows = [
        {
            **row,
            "accuracy": 100 * row["accuracy"]["mean"] if row["accuracy"] else None,
            "gain": 100 * row["gain"]["mean"] if row["gain"] else None,
            "interval": _interval(row["gain"]),
            "seeds": row["accuracy"]["count"] if row["accuracy"] else 0,
        }
        for row in _sorted(result)
    ]
    return table(rows, [
        ("name", "gene set back", ""), ("ours", "from", ""), ("theirs", "to", ""),
        ("accuracy", "accuracy %", ".2f"), ("gain", "own value gains", "+.2f"),
        ("interval", "95 % interval", ""), ("seeds", "seeds", "d"),
        ("params", "params", ",d"), ("macs", "MACs", ",d"),
    ])  # fmt: skip


def ablation_picture(path: Path, result: Row, title: str) -> None:
    """A bar a gene, in points of accuracy that the network's own value gains."""
    rows = [row for row in _sorted(result) if row["gain"]][::-1]
    figure = Figure(figsize=(8.5, 1.5 + 0.36 * max(1, len(rows))), dpi=120, layout="constrained")
    axes = figure.subplots()
    figure.suptitle(plain(title), color=INK, fontsize=10)
    for place, row in enumerate(rows):
        gain = row["gain"]
        better = gain["mean"] >= 0
        axes.barh(place, 100 * gain["mean"], color=FRONT if better else BEST,
                  hatch=None if better else "///", edgecolor="white", height=0.7)  # fmt: skip
        if gain["low"] is not None:
            ends = [100 * gain["low"], 100 * gain["high"]]
            axes.plot(ends, [place, place], color=INK, linewidth=1.4, marker="|", markersize=7)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [plain(_name(row)) for row in rows], fontsize=8.5)
    axes.set_xlabel("gain of the network's own value, points (95 % interval)")
    axes.grid(axis="x", alpha=0.3, linewidth=0.5)
    write_figure(path, figure)


def _sorted(result: Row) -> list[Row]:
    networks = [row for row in result["rows"] if row["ours"] is None]
    genes = [row for row in result["rows"] if row["ours"] is not None]
    return networks + sorted(genes, key=lambda r: -(r["gain"]["mean"] if r["gain"] else -1.0))


def _name(row: Row) -> str:
    name: str = row["name"]
    return name if row["ours"] is None else f"{name}: {row['ours']}, not {row['theirs']}"


def _interval(gain: Row | None) -> str | None:
    if not gain or gain["low"] is None:
        return None
    return f"{100 * gain['low']:+.2f} to {100 * gain['high']:+.2f}"
