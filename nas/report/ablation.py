"""An ablation as a table; plots.py draws it. `result`: of nas.search.ablation, plain data."""

from __future__ import annotations

from typing import Any

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
        for row in sorted_rows(result)
    ]
    return table(rows, [
        ("name", "gene set back", ""), ("ours", "from", ""), ("theirs", "to", ""),
        ("value", measure["name"].replace("_", " ") + (" %" if points else ""),
         ".2f" if points else ".4g"),
        ("gain", "own value gains", "+.2f" if points else "+.4g"),
        ("interval", "95 % interval", ""), ("seeds", "seeds", "d"),
        ("params", "params", ",d"), ("macs", "MACs", ",d"),
    ])  # fmt: skip


def sorted_rows(result: Row) -> list[Row]:
    networks = [row for row in result["rows"] if row["ours"] is None]
    genes = [row for row in result["rows"] if row["ours"] is not None]
    worst = float("-inf")
    return networks + sorted(genes, key=lambda r: -(r["gain"]["mean"] if r["gain"] else worst))


def _interval(gain: Row | None, scale: float, points: bool) -> str | None:
    if not gain or gain["low"] is None:
        return None
    spec = "+.2f" if points else "+.4g"
    return f"{scale * gain['low']:{spec}} to {scale * gain['high']:{spec}}"
