"""A made-up run as the page of a search takes it."""

from nas.report.axes import axes_of

EVIL = "</script><script>document.title='owned'</script><img src=x onerror='owned()'>"
BOXES = [
    ["stage0_block0", "conv3x3/2 bn relu", [16, 24, 24], 160, 92160, None],
    ["stage1_block0", "conv3x3 bn relu", [32, 24, 24], 4672, 2654208, "project"],
    ["classifier", "fc", [7, 1, 1], 231, 224, None],
]


def network(index, **more):
    share = index / 40
    return {
        "index": index, "id": f"{index:012x}", "status": "ok", "front": index % 10 == 0,
        "metrics": {"accuracy": 0.3 + 0.4 * share, "params": 1000 * (index + 1),
                    "macs": 90_000 * (index + 1), "fps": 9000 / (index + 1)},
        "believed": 0.31 + 0.4 * share, "low": 0.29 + 0.4 * share, "high": 0.33 + 0.4 * share,
        "predicted": [0.4, 0.35, 0.44], "fps_measured": None, "fitness": 0.3 + 0.4 * share,
        "epochs": 2, "fraction": 0.5, "seconds": 1.5, "error": "", "parents": [],
        "changes": [], "boxes": [0, 1, 2],
        "genome": {"input": {"channels": 1, "height": 48, "width": 48}, "bias": False,
                   "stages": [{"blocks": [0, 1]}, {"blocks": [1]}]},
    } | more  # fmt: skip


def overview(networks, objectives=(("accuracy", True), ("params", False), ("fps", True)), **more):
    measure, axes = axes_of(objectives, [n["metrics"] for n in networks])
    return {
        "measure": measure, "axes": axes, "box": [],
        "run": "runs/one", "space": "quick", "data": "faces", "synthetic": False,
        "algorithm": "nsga2", "seed": 1, "best": networks[0]["id"], "seconds": 80.0,
        "majority_baseline": 0.251,
        "networks": networks, "boxes": BOXES,
        "blocks": [{"kind": "pool"}, {"kind": "conv", "channels": 32}],
        "references": [], "baseline": None,
        "hypervolume": [[1, 2.0, 0.1], [40, 80.0, 0.4]], "population": [], "genes": [],
        "surrogate": None, "failures": [],
        "retrained": {"networks": [], "rank_correlation": None},
        "genealogy": {"line": [], "paid": []},
        "commands": {"genome": "show {id}", "retrain": "retrain {id}.json"},
    } | more  # fmt: skip
