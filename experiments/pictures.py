"""The pictures of stored results, drawn anew from their figures: python experiments/pictures.py

Nothing is trained. Beside it: experiments/discovery/figure.py, and `run.py report` of equal_time.
"""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from pathlib import Path

from nas.report.pareto import pareto_picture
from nas.report.plots import curves_png, hypervolume_png
from nas.search.overview import overview
from nas.search.store import RunDirectory

HERE = Path(__file__).parent
OPTIMIZERS = {"surrogate": "nsga2+gp", "steady": "nsga2", "ageing": "regularized-evolution"}


def main() -> None:
    os.chdir(HERE.parent)
    for path in sorted(HERE.rglob("report.json")):
        if (path.parent / "curves.png").exists():
            trained(path.parent)
    for path in sorted((HERE / "optimisers").glob("*_curves.csv")):
        optimizers(path)
    run = RunDirectory.open(HERE / "fer2013/search")
    pareto_picture(run.file("pareto.png"), overview(run, deep=False))


def trained(folder: Path) -> None:
    """Of a retraining: its curves."""
    report = json.loads((folder / "report.json").read_text())
    lines = (folder / f"seed{report['seed']}/metrics.jsonl").read_text().splitlines()
    name = f"{report['genome']}, seed {report['seed']}"
    curves_png(folder / "curves.png", [json.loads(line) for line in lines], name)


def optimizers(path: Path) -> None:
    """Medians and quartiles of the optimizers on a table, by the names that they have now."""
    curves: dict[str, list[list[float]]] = defaultdict(list)
    for row in csv.DictReader(path.open()):
        name = row.get("optimizer") or row["optimiser"]
        figures = [float(row[key]) for key in ("evaluations", "q1", "median", "q3")]
        curves[OPTIMIZERS.get(name, name)].append(figures)
    table = path.name.removesuffix("_curves.csv")
    hypervolume_png(path.with_name(f"{table}.png"), dict(curves), table)


if __name__ == "__main__":
    main()
