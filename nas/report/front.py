"""A Pareto front as text and as LaTeX, and the boundary of what it dominates. Rows are plain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nas.report.table import Column, table

Row = dict[str, Any]  # id, accuracy (0..1), params, macs, fps, fps_measured, fitness, epochs

COLUMNS: tuple[Column, ...] = (
    ("mark", "", ""),
    ("id", "id", ""),
    ("accuracy", "accuracy %", ".2f"),
    ("believed", "believed %", ".2f"),
    ("params", "params", ",.0f"),
    ("macs", "MMACs", ".1f"),
    ("fps", "fps predicted", ".0f"),
    ("fps_measured", "fps measured", ".0f"),
    ("fitness", "fitness", ".4f"),
    ("epochs", "epochs", ".0f"),
)
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: "\\" + c for c in "&%$#_{}"},
}


def front_of(networks: Iterable[Row]) -> list[Row]:
    """The front's members by ascending params, with the columns' keys and no more."""
    keys = [key for key, _, _ in COLUMNS if key != "mark"]
    front = sorted((n for n in networks if n["front"]), key=lambda n: n["params"])
    return [{key: row.get(key) for key in keys} for row in front]


def front_table(rows: Sequence[Row], best_id: str | None) -> str:
    """The front as text; a star marks best.json."""
    return table([_shown(row, best_id) for row in rows], COLUMNS)


def front_latex(front: Sequence[Row], references: Sequence[Row], best_id: str | None) -> str:
    """A booktabs table of the front and, below a rule, of the reference networks."""
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        r"network & accuracy (\%) & parameters & MACs ($10^6$) & fps \\",
        r"\midrule",
        *(_latex_row({**row, "name": row["id"]}, row["id"] == best_id) for row in front),
        *([r"\midrule"] if references else []),
        *(_latex_row(row, False) for row in references),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def staircase(points: Iterable[tuple[float, float]], smaller: bool) -> list[tuple[float, float]]:
    """Corners of the boundary of what is dominated: more y is better, smaller (or larger) x."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0] if smaller else -p[0], -p[1])):
        if corners and y <= corners[-1][1]:
            continue
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def _shown(row: Row, best_id: str | None) -> Row:
    return {
        **row,
        "accuracy": 100 * row["accuracy"] if row.get("accuracy") is not None else None,
        "believed": 100 * row["believed"] if row.get("believed") is not None else None,
        "macs": row["macs"] / 1e6 if row.get("macs") is not None else None,
        "mark": "*" if row["id"] == best_id else "",
    }


def _latex_row(row: Row, best: bool) -> str:
    def number(key: str, spec: str, scale: float = 1.0) -> str:
        value = row.get(key)
        return "--" if value is None else format(scale * value, spec).replace(",", r"\,")

    name = "".join(LATEX_SPECIAL.get(c, c) for c in row["name"])
    cells = [
        rf"\textbf{{{name}}}" if best else name,
        number("accuracy", ".2f", 100),
        number("params", ",.0f"),
        number("macs", ".1f", 1e-6),
        number("fps", ",.0f"),
    ]
    return " & ".join(cells) + r" \\"
