"""Tables: aligned plain text, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from nas.common.cli import no_formula

# Key in the row, header, format specification; one that begins with % is of a share, in percent.
Column = tuple[str, str, str]


def table(rows: Sequence[dict[str, Any]], columns: Sequence[Column]) -> str:
    """Text to the left, numbers to the right, `-` for a missing value."""
    cells = [[_cell(row.get(key), spec) for key, _, spec in columns] for row in rows]
    headers = [header for _, header, _ in columns]
    widths = [max(len(line[i]) for line in [headers, *cells]) for i in range(len(columns))]
    left = [
        all(isinstance(row.get(key), str | None) for row in rows) and not spec
        for key, _, spec in columns
    ]
    lines = [headers, ["-" * w for w in widths], *cells]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if to_left else cell.rjust(w)
            for cell, w, to_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any, spec: str) -> str:
    if value is None:
        return "-"
    share = spec.startswith("%")
    return format(100 * value, spec[1:]) if share else format(value, spec)


def csv_text(names: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """CSV with a header; text that a spreadsheet would run as a formula is marked as text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: no_formula(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def percents(ends: Sequence[float]) -> str:
    """An interval of shares, in percent."""
    low, high = ends
    return f"{100 * low:.1f}..{100 * high:.1f}"
