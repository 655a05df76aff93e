"""Command line: `python -m nas.inspect RUN`: the Pareto front as a table and a picture."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.common.errors import UserError, exit_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nas.search.archive import Evaluation, Fitness

REFERENCES = Path("search_spaces/references")


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    if args.references:
        return _references(args.json)
    if not args.run:
        raise UserError("RUN: missing; expected a run directory such as experiments/latest")
    path = Path(args.run)
    if path.is_file():
        return _describe_file(path, args.json)
    return _inspect_run(path, args)


def front_rows(
    front: Sequence[Evaluation], fitness: Fitness, measured: Mapping[str, float]
) -> list[dict[str, Any]]:
    """The front as plain rows; `fps_measured` is None where it was not measured."""
    return [
        {
            "id": e.id,
            **e.metrics,
            "fps_measured": measured.get(e.id),
            "fitness": fitness(e.metrics),
            "epochs": e.fidelity.epochs,
            "parent": e.parent,
            "inherited_epochs": e.inherited_epochs,
        }
        for e in front
    ]


def front_table(
    front: Sequence[Evaluation], fitness: Fitness, measured: Mapping[str, float], best_id: str
) -> str:
    """The front as text; a star marks best.json."""
    from nas.report import table

    rows = [
        {
            **row,
            "accuracy": 100 * row["accuracy"],
            "macs": row["macs"] / 1e6 if "macs" in row else None,
            "mark": "*" if row["id"] == best_id else "",
        }
        for row in front_rows(front, fitness, measured)
    ]
    columns = [
        ("mark", "", ""),
        ("id", "id", ""),
        ("accuracy", "accuracy %", ".2f"),
        ("params", "params", ",.0f"),
        ("macs", "MMACs", ".1f"),
        ("fps", "fps predicted", ".0f"),
        ("fps_measured", "fps measured", ".0f"),
        ("fitness", "fitness", ".4f"),
        ("epochs", "epochs", ".0f"),
        ("inherited_epochs", "inherited", ".0f"),
    ]
    return table(rows, columns)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nas.inspect",
        description="Show a run's Pareto front, draw a genome, or list the reference networks.",
    )
    add = parser.add_argument
    add("run", nargs="?", metavar="RUN|GENOME.json", help="a run directory or a genome file")
    add("--genome", metavar="ID", help="draw one genome of the run as text")
    add("--references", action="store_true", help="list the reference genomes")
    add("--json", action="store_true", help="print JSON")
    return parser


def _inspect_run(path: Path, args: argparse.Namespace) -> int:
    from nas.arch.lowering import describe
    from nas.search.archive import best, pareto_front
    from nas.search.store import RunDirectory
    from nas.space.space import load

    run = RunDirectory.open(path)
    archive, fitness = run.archive(), run.settings().fitness
    if args.genome:
        found = [e for e in archive if e.id.startswith(args.genome)]
        if not found:
            raise UserError(f"{path}: no genome with id {args.genome!r} among {len(archive)}")
        print(found[0].genome.to_json() if args.json else describe(found[0].genome))
        return 0
    space = load(run.file("space.yaml"))
    inside = [e for e in archive if e.ok and space.contains(e.genome)]
    front, chosen = pareto_front(inside), best(inside, fitness)
    if chosen is None:
        raise UserError(f"{path}: no successful evaluation yet")
    measured = _measured(run.file("measured_fps.json"))
    picture = run.file("pareto.png")
    _draw(picture, archive.evaluations, {e.id for e in front}, chosen.id, space.name)
    if args.json:
        print(json.dumps({
            "run": str(path), "evaluations": len(archive), "best": chosen.id,
            "front": front_rows(front, fitness, measured), "picture": str(picture),
        }))  # fmt: skip
        return 0
    print(front_table(front, fitness, measured, chosen.id))
    print(f"\n{len(archive)} evaluations; * is best.json; picture: {picture}")
    return 0


def _draw(
    path: Path, evaluations: list[Evaluation], front: set[str], best_id: str, space: str
) -> None:
    from nas.report import pareto_png

    points = [
        {"id": e.id, **{k: e.metrics[k] for k in ("accuracy", "params", "fps")}}
        for e in evaluations
        if e.ok
    ]
    names = {genome.id: name for name, (genome, _) in reference_genomes().items()}
    references = {names[p["id"]]: p for p in points if p["id"] in names}
    pareto_png(path, points, front, best_id, references, f"{space}: {len(points)} networks")


def reference_genomes() -> dict[str, tuple[Any, dict[str, Any]]]:
    """The reference genomes of this checkout by name; empty elsewhere."""
    from nas.arch.genome import load

    return {path.stem: load(path) for path in sorted(REFERENCES.glob("*.json"))}


def _measured(path: Path) -> dict[str, float]:
    from nas.common.errors import read_json

    data = read_json(path) if path.exists() else {}
    if not isinstance(data, dict) or not all(type(v) in (int, float) for v in data.values()):
        raise UserError(f"{path}: must map genome ids to frames per second")
    return data


def _describe_file(path: Path, as_json: bool) -> int:
    import dataclasses

    from nas.arch.genome import load
    from nas.arch.lowering import cost, describe

    genome, beside = load(path)
    if as_json:
        print(json.dumps({**beside, "id": genome.id, "cost": dataclasses.asdict(cost(genome))}))
        return 0
    print(describe(genome))
    for key in ("name", "notes", "published"):
        if key in beside:
            print(f"{key}: {beside[key]}")
    return 0


def _references(as_json: bool) -> int:
    from nas.arch.lowering import cost
    from nas.report import table

    found = reference_genomes()
    if not found:
        raise UserError(f"{REFERENCES}: no reference genomes here; run from the repository's root")
    rows = []
    for name, (genome, beside) in found.items():
        total, published = cost(genome), beside.get("published", {})
        rows.append({
            "name": name, "id": genome.id, "params": total.params, "macs": total.macs / 1e6,
            "published": published.get("fer2013_private"), "notes": beside.get("notes", ""),
        })  # fmt: skip
    if as_json:
        print(json.dumps(rows))
        return 0
    columns = [
        ("name", "name", ""),
        ("id", "id", ""),
        ("params", "params", ",.0f"),
        ("macs", "MMACs", ",.1f"),
        ("published", "published %", ".2f"),
    ]
    print(table(rows, columns))
    for row in rows:  # too long for a column
        print(f"\n{row['name']}: {row['notes']}")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
