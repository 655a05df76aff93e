"""Do zero-cost proxies tell anything about the networks that a search trained?

    python benchmarks/proxies.py [--run experiments/fer2013/search] [--data fer2013]

For every network of the archive: synflow, jacob_cov, naswot of its newborn model on one mini-batch,
and their vote. Reported against the archive's accuracy: Spearman's correlation; what is left of it
beyond params, MACs and activations (partial: ranks, their linear part taken out); whether a random
forest on the costs, fitted to few or many networks, ranks the others better with the proxies added
(mean over random splits); and what a pre-screen would have cost, had it left out the worse half by
vote: how many of the ten most accurate networks, and of the front, it would have kept.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata, spearmanr
from sklearn.ensemble import RandomForestRegressor

from nas.data import open_dataset, search_split
from nas.deploy.preprocessing import MEAN, STD
from nas.evolution.pareto import pareto_front
from nas.proxies import NAMES, proxies, vote
from nas.search.archive import Archive, Evaluation

COSTS = ("params", "macs", "activations", "fps")
REPEATED = 40  # networks scored again with another mini-batch and start: is a score repeatable?
FITTED, SPLITS, TREES = (20, 40, 80, 150), 20, 100
Array = np.ndarray[Any, np.dtype[np.float64]]


def main() -> None:
    torch.set_num_threads(1)  # small networks; other threads only wait for each other
    parser = argparse.ArgumentParser(description="Zero-cost proxies against trained accuracy.")
    parser.add_argument("--run", default="experiments/fer2013/search")
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", default="experiments/benchmarks/proxies.json")
    args = parser.parse_args()
    found = [e for e in Archive.load(Path(args.run) / "evaluations.jsonl") if e.ok]
    started = time.perf_counter()
    first, second = batches(args.data, args.batch)
    scores = score(found, first)
    seconds = (time.perf_counter() - started) / len(found)
    again = score(found[:REPEATED], second)
    result = {"run": args.run, "data": args.data, "networks": len(found), "batch": args.batch,
              "seconds_a_network": round(seconds, 3), **study(found, scores, again)}  # fmt: skip
    Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
    show(result)


def batches(data: str, size: int) -> list[torch.Tensor]:
    dataset = open_dataset(data)
    fit, _ = search_split(dataset)
    rows = np.random.default_rng(0).permutation(fit)[: size * 2]
    pixels = (torch.tensor(dataset.images[rows]).float() - MEAN) / STD
    return [pixels[:size], pixels[size:]]


def score(found: list[Evaluation], images: torch.Tensor) -> dict[str, Array]:
    """One column for each proxy and for their vote."""
    seed = int(images.sum().abs()) % 2**31
    rows = [proxies(e.genome, images, seed) for e in found]
    columns = {name: np.array([row[name] for row in rows]) for name in NAMES}
    return {**columns, "vote": vote(rows)}


def study(
    found: list[Evaluation], first: dict[str, Array], again: dict[str, Array]
) -> dict[str, Any]:
    accuracy = np.array([e.metrics["accuracy"] for e in found])
    costs = np.array([[e.metrics[name] for name in COSTS] for e in found])
    columns = {**{name: costs[:, i] for i, name in enumerate(COSTS)}, **first}
    return {
        "spearman": {name: spearman(column, accuracy) for name, column in columns.items()},
        "beyond_costs": {name: partial(first[name], accuracy, costs[:, :3]) for name in first},
        "repeatable": {
            name: spearman(first[name][: len(again[name])], again[name]) for name in NAMES
        },
        "forest": forest(costs, np.column_stack([first[name] for name in NAMES]), accuracy),
        "prescreen_half": prescreen(found, first["vote"], accuracy),
    }


def spearman(a: Array, b: Array) -> float:
    return round(float(spearmanr(a, b).statistic), 3)


def partial(score: Array, accuracy: Array, costs: Array) -> float:
    """Spearman's correlation of what the ranks of the costs do not explain linearly."""
    known = np.column_stack([np.ones(len(score)), *(rankdata(c) for c in costs.T)])

    def left(values: Array) -> Array:
        ranks = rankdata(values)
        return np.asarray(ranks - known @ np.linalg.lstsq(known, ranks, rcond=None)[0])

    return round(float(np.corrcoef(left(score), left(accuracy))[0, 1]), 3)


def forest(costs: Array, scores: Array, accuracy: Array) -> list[dict[str, Any]]:
    """Rank correlation on the networks that the forest was not fitted to, by how many it was."""
    inputs = {"costs": costs, "costs and proxies": np.hstack([costs, scores]), "proxies": scores}
    found: list[dict[str, Any]] = []
    for fitted in FITTED:
        row: dict[str, Any] = {"fitted": fitted}
        for name, x in inputs.items():
            splits = [ranked(x, accuracy, fitted, seed) for seed in range(SPLITS)]
            row[name] = round(float(np.mean(splits)), 3)
        found.append(row)
    return found


def ranked(x: Array, y: Array, fitted: int, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(y))
    fit, rest = order[:fitted], order[fitted:]
    model = RandomForestRegressor(TREES, random_state=seed).fit(x[fit], y[fit])
    return spearman(model.predict(x[rest]), y[rest])


def prescreen(found: list[Evaluation], votes: Array, accuracy: Array) -> dict[str, Any]:
    kept = votes >= np.median(votes)
    front = {e.id for e in pareto_front(found)}
    on_front = np.array([e.id in front for e in found])
    top = np.argsort(-accuracy)[:10]
    return {
        "kept": int(kept.sum()),
        "top_ten_kept": int(kept[top].sum()),
        "front": int(on_front.sum()),
        "front_kept": int((kept & on_front).sum()),
    }


def show(result: dict[str, Any]) -> None:
    print(f"{result['networks']} networks, {result['seconds_a_network']} s each and mini-batch")
    print(f"{'':<12} {'Spearman':>9} {'beyond costs':>13} {'repeatable':>11}")
    for name, value in result["spearman"].items():
        more = [result[k].get(name, "") for k in ("beyond_costs", "repeatable")]
        print(f"{name:<12} {value:>9} {more[0]:>13} {more[1]:>11}")
    print("forest: Spearman on the other networks")
    for row in result["forest"]:
        print("  " + ", ".join(f"{name} {value}" for name, value in row.items()))
    print(f"pre-screen, worse half left out: {result['prescreen_half']}")


if __name__ == "__main__":
    main()
