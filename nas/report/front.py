"""A Pareto front as text and as LaTeX, and the boundary of what it dominates. Rows are plain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nas.report.table import Column, table

# id, metrics (name -> value), believed, low, high (of the measure), fps_measured, fitness, epochs
Row = dict[str, Any]
Axes = Sequence[Row]  # of nas.report.axes: the measure, then what it is drawn against

KNOWN: dict[str, tuple[str, str, str, float]] = {  # header, LaTeX's header, format, scale
    "accuracy": ("accuracy %", r"accuracy (\%)", ".2f", 100.0),
    "macro_f1": ("macro F1 %", r"macro F1 (\%)", ".2f", 100.0),
    "balanced_accuracy": ("balanced accuracy %", r"balanced accuracy (\%)", ".2f", 100.0),
    "loss": ("loss", "loss", ".3f", 1.0),
    "peak_memory": ("memory kB", "memory (kB)", ",.1f", 1e-3),
    "int8_size": ("int8 kB", "int8 (kB)", ",.1f", 1e-3),
    "params": ("params", "parameters", ",.0f", 1.0),
    "macs": ("MMACs", "MACs ($10^6$)", ".1f", 1e-6),
    "fps": ("fps predicted", "fps", ".0f", 1.0),
}
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{c: "\\" + c for c in "&%$#_{}"},
}


def front_of(networks: Iterable[Row], axes: Axes) -> list[Row]:
    """The front's members by what they cost: the first axis of which less is better."""
    key = next((a["name"] for a in axes[1:] if not a["maximize"]), axes[0]["name"])
    return sorted((n for n in networks if n["front"]), key=lambda n: n["metrics"][key])


def plain_row(row: Row) -> Row:
    """A member of the front for JSON, its metrics beside the rest."""
    keys = ("id", "believed", "low", "high", "fps_measured", "fitness", "epochs")
    return {**row["metrics"], **{key: row.get(key) for key in keys}}


def front_table(rows: Sequence[Row], best_id: str | None, axes: Axes) -> str:
    """The front as text; a star marks best.json. A line below says by what both were chosen."""
    measure, *others = axes
    columns: list[Column] = [("mark", "", ""), ("id", "id", ""), _column(measure["name"])]
    *_, spec, scale = _known(measure["name"])
    columns.append(("believed", "believed %" if measure["share"] else "believed", spec))
    columns += [("within", "one deviation", "")] if _any_bar(rows) else []
    columns += [_column(axis["name"]) for axis in others]
    if any(axis["name"] == "fps" for axis in others):
        columns.append(("fps_measured", "fps measured", ".0f"))
    if any(row.get("fitness") is not None for row in rows):
        columns.append(("fitness", "fitness", ".4f"))
    columns.append(("epochs", "epochs", ".0f"))
    shown = [
        {
            **{f"m:{name}": _known(name)[-1] * value for name, value in row["metrics"].items()},
            **{key: row.get(key) for key in ("id", "fps_measured", "fitness", "epochs")},
            "mark": "*" if row["id"] == best_id else "",
            "believed": None if row.get("believed") is None else scale * row["believed"],
            "within": _within(row, spec, scale),
        }
        for row in rows
    ]
    return table(shown, columns) + (_by_belief(measure["name"]) if _any_bar(rows) else "")


def majority_line(share: float | None) -> list[str]:
    """What no network should fall below, as lines below the front; none where it is not known."""
    if share is None:
        return []
    return [f"always naming the most frequent class: {share:.1%} of the same images"]


def _by_belief(metric: str) -> str:
    """A line below a front whose networks may be worse than others in what was measured."""
    return (
        f"\nthe front and * are chosen by the column believed: {metric} as the search believes it, "
        "its measurement pulled towards what like networks measured"
    )


def front_latex(
    front: Sequence[Row], references: Sequence[Row], best_id: str | None, axes: Axes
) -> str:
    """A booktabs table of the front and, below a rule, of the reference networks.

    Where the search says what it believes of a measure, a column has it with one deviation.
    """
    names = [axis["name"] for axis in axes]
    believed = _any_bar(front)
    headers = [_known(name)[1] for name in names]
    headers[1:1] = [r"believed (\%)" if axes[0]["share"] else "believed"] if believed else []
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(headers)}}}",
        r"\toprule",
        rf"network & {' & '.join(headers)} \\",
        r"\midrule",
        *(_latex_row(r, r["id"], names, believed, r["id"] == best_id) for r in front),
        *([r"\midrule"] if references else []),
        *(_latex_row(r, r["name"], names, believed, False) for r in references),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if believed:
        room = r"\begingroup\renewcommand{\arraystretch}{1.3}% room for the deviations"
        lines = [room, *lines, r"\endgroup"]
    return "\n".join([r"% \usepackage{booktabs}", *lines]) + "\n"


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


def _known(name: str) -> tuple[str, str, str, float]:
    return KNOWN.get(name, (name, _escaped(name), ".6g", 1.0))


def _column(name: str) -> Column:
    header, _, spec, _ = _known(name)
    return f"m:{name}", header, spec


def _has_bar(row: Row) -> bool:
    return row.get("low") is not None


def _any_bar(rows: Sequence[Row]) -> bool:
    return any(_has_bar(row) for row in rows)


def _within(row: Row, spec: str, scale: float) -> str | None:
    if not _has_bar(row):
        return None
    return f"{scale * row['low']:{spec}} to {scale * row['high']:{spec}}"


def _latex_row(row: Row, name: str, names: Sequence[str], believed: bool, best: bool) -> str:
    def number(value: float | None, metric: str) -> str:
        *_, spec, scale = _known(metric)
        return "--" if value is None else format(scale * value, spec).replace(",", r"\,")

    cells = [number(row["metrics"].get(metric), metric) for metric in names]
    if believed:
        cells.insert(1, _latex_believed(row, number, names[0]))
    shown = _escaped(name)
    return " & ".join([rf"\textbf{{{shown}}}" if best else shown, *cells]) + r" \\"


def _latex_believed(row: Row, number: Callable[[float | None, str], str], measure: str) -> str:
    """$61.20^{+0.90}_{-1.10}$."""
    if not _has_bar(row):
        return "--"
    middle = row["believed"]
    up, down = (number(abs(row[end] - middle), measure) for end in ("high", "low"))
    return f"${number(middle, measure)}^{{+{up}}}_{{-{down}}}$"


def _escaped(text: str) -> str:
    return "".join(LATEX_SPECIAL.get(c, c) for c in text)
