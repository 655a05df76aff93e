"""Minutes of a GPU for days of a CPU: teachers, a search and long trainings in one process.

    python experiments/discovery/gpu.py pack gpu_data --data fer2013      # here: 51 MB
    bash experiments/discovery/gpu.sh gpu_data RESULTS                          # on the GPU machine

Networks of one group train side by side, each on a CUDA stream of its own, their steps recorded as
CUDA graphs. Everything is written to RESULTS as it is found; each stage ends by its own deadline.
PrivateTest does not travel: `score.py` reads it once, for the final networks, on the CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from nas.arch.genome import Conv, Genome, Head, Input, Residual, Stage
from nas.arch.lowering import cost
from nas.data import open_dataset, search_split
from nas.evolution.denoise import denoised_front
from nas.evolution.objectives import Constraint, Objective
from nas.evolution.optimizer import Optimizer
from nas.space.space import SearchSpace
from nas.training import state
from nas.training.predict import DivergedError, Precision, Subset, score
from nas.training.recipe import Augment, Recipe
from nas.training.state import Training
from nas.training.teacher import SoftLabels, teach

COLUMNS = 184  # images in a row of the mosaic
STRONG = Augment(flip=0.5, probability=0.8, shift=0.1, scale=0.15, rotate=12, erase=0.25)
REPLAYED = dataclasses.replace(STRONG, erase=0.0)
TEACHER = Recipe(
    epochs=40, batch_size=256, optimizer="muon", lr=0.03, momentum=0.95, weight_decay=0.01,
    label_smoothing=0.1, ema_decay=0.998, augment=STRONG, views="flip",
)  # fmt: skip
STUDENT = Recipe(
    epochs=80, batch_size=256, optimizer="muon", lr=0.05, momentum=0.95, weight_decay=0.01,
    label_smoothing=0.0, ema_decay=0.998, distill=0.8, temperature=1.5, augment=REPLAYED,
    views="flip",
)  # fmt: skip
PRECISION = Precision(bf16=True, channels_last=True)
LIMITS = (58_000, 100_000, 200_000, 400_000, 784_263)
BATCH = 12  # networks of a search that train side by side


# --- the data's journey ---------------------------------------------------------------------


def pack(name: str, out: Path) -> None:
    """Training and PublicTest as one lossless picture, with labels and the search's split."""
    dataset = open_dataset(name)
    rows = np.concatenate([dataset.indices("train"), dataset.indices("validation")])
    images = dataset.images[rows][:, 0]
    side = images.shape[1]
    full = -(-len(images) // COLUMNS)
    mosaic = np.zeros((full * COLUMNS, side, side), np.uint8)
    mosaic[: len(images)] = images
    picture = mosaic.reshape(full, COLUMNS, side, side).swapaxes(1, 2).reshape(full * side, -1)
    out.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out / "images.jp2"), picture, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    fit, held_out = search_split(dataset)
    np.savez_compressed(
        out / "labels.npz", labels=dataset.labels[rows], rows=rows, fit=fit, held_out=held_out,
        train=dataset.indices("train"), validation=dataset.indices("validation"),
    )  # fmt: skip
    assert np.array_equal(_unpack(out)[0][:, 0], images), "the picture is not lossless"


def _unpack(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    picture = cv2.imread(str(folder / "images.jp2"), cv2.IMREAD_UNCHANGED)
    assert picture is not None, f"{folder}/images.jp2 cannot be read"
    with np.load(folder / "labels.npz") as file:
        about = dict(file)
    side = picture.shape[1] // COLUMNS
    tiles = picture.reshape(-1, side, COLUMNS, side).swapaxes(1, 2).reshape(-1, 1, side, side)
    return tiles[: len(about["rows"])], about


class Data:
    """Subsets on the device; rows are those of the data set, so that soft labels fit anywhere."""

    def __init__(self, folder: Path, device: str) -> None:
        tiles, about = _unpack(folder)
        size = int(about["rows"].max()) + 1
        images = np.zeros((size, *tiles.shape[1:]), np.uint8)
        labels = np.zeros(size, np.int64)
        images[about["rows"]], labels[about["rows"]] = tiles, about["labels"]
        self.images = torch.tensor(images, device=device)
        self.labels = torch.tensor(labels, device=device)
        self.train, self.fit, self.held_out, self.validation = (
            Subset(self.images, self.labels, torch.tensor(about[k].astype(np.int64), device=device))
            for k in ("train", "fit", "held_out", "validation")
        )


def stream() -> torch.cuda.Stream | None:
    return torch.cuda.Stream() if torch.cuda.is_available() else None


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


# --- many at once ---------------------------------------------------------------------------


@dataclasses.dataclass
class Job:
    """One training: what it is called, the network, its recipe, and what it is scored on."""

    name: str
    genome: Genome
    recipe: Recipe
    seed: int
    fit: Subset
    held_out: Subset
    teacher: SoftLabels | None = None
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)


def side_by_side(runs: Sequence[tuple[Training, torch.cuda.Stream | None]]) -> float:
    """An epoch of each, step by step in turns, each on its own stream; seconds."""
    started = time.perf_counter()
    steps = [(run.epoch_steps(), own) for run, own in runs]
    for _ in range(max(run.steps_per_epoch for run, _ in runs)):
        for each, own in steps:
            with torch.cuda.stream(own):
                next(each, None)
    wait()
    return time.perf_counter() - started


def start(job: Job) -> tuple[Training, torch.cuda.Stream | None]:
    run = Training(job.genome, job.fit, job.recipe, job.seed, PRECISION, teacher=job.teacher)
    return run, stream()


def train(
    jobs: Sequence[Job], log: Callable[[dict[str, Any]], None], deadline: float, every: int = 10
) -> dict[str, Training]:
    """Train all to their end, side by side; past the deadline they stop at the epoch's end."""
    runs = {job.name: start(job) for job in jobs}
    alive, started = list(jobs), time.perf_counter()
    curves: dict[str, dict[int, float]] = {job.name: {} for job in jobs}
    wait()
    while alive and time.perf_counter() < deadline:
        side_by_side([runs[job.name] for job in alive])
        for job in list(alive):
            run, _ = runs[job.name]
            try:
                run.end_epoch()
            except DivergedError as error:
                alive.remove(job)
                del runs[job.name]
                log({"job": job.name, "failed": str(error), **about(job)})
                continue
            last = run.epoch == job.recipe.epochs
            if last or run.epoch % every == 0:
                curves[job.name][run.epoch] = judged(job, run)["accuracy"]
            if last:
                alive.remove(job)
    for job in jobs:
        if job.name in runs:
            run, _ = runs[job.name]
            found = judged(job, run)
            log({
                "job": job.name, "epochs": run.epoch, "accuracy": found["accuracy"],
                "loss": found["loss"], "macro_f1": found["macro_f1"],
                "single": score(run.averaged, job.genome, job.held_out, PRECISION)["accuracy"],
                "curve": curves[job.name], "group_seconds": time.perf_counter() - started,
                "group": len(jobs), **about(job),
            })  # fmt: skip
    return {name: run for name, (run, _) in runs.items()}


def judged(job: Job, run: Training) -> dict[str, float]:
    return score(run.averaged, job.genome, job.held_out, PRECISION, job.recipe.views)


def about(job: Job) -> dict[str, Any]:
    found = cost(job.genome)
    return {
        "id": job.genome.id, "seed": job.seed, **dataclasses.asdict(found), **job.facts,
        "optimizer": job.recipe.optimizer, "lr": job.recipe.lr, "of": job.recipe.epochs,
    }  # fmt: skip


def check_recording(data: Data, log: Callable[[dict[str, Any]], None]) -> None:
    """Whether steps of both recipes can be recorded here; if not, they run as they are."""
    genome, some = residual_net((8, 8), (1, 1)), dataclasses.replace(
        data.train, rows=data.train.rows[: 8 * TEACHER.batch_size]
    )  # fmt: skip
    try:
        labels = teach([Training(genome, some, TEACHER, 0, PRECISION).model], some, variants=2,
                       augment=REPLAYED, precision=PRECISION)  # fmt: skip
        for recipe, teacher in ((TEACHER, None), (STUDENT, labels)):
            run = Training(genome, some, recipe, 0, PRECISION, teacher=teacher)
            log({"recorded": recipe.distill > 0, "losses": [run.train_epoch() for _ in range(3)]})
    except (RuntimeError, DivergedError):
        log({"recording": "failed", "why": traceback.format_exc()[-1500:]})
        state.graphable = lambda name: False


def residual_net(widths: Sequence[int], depths: Sequence[int], se: float = 0.25) -> Genome:
    """A plain residual network: the teachers, and the row of five million parameters."""
    stages = [Stage((Conv(widths[0], 3, 1),))]
    for s, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        first = 1 if s == 0 else 2
        blocks = [Residual(width, 3, first if b == 0 else 1, se) for b in range(depth)]
        stages += [Stage(tuple(blocks))] if blocks else []
    return Genome(Input(1, 48, 48), 7, tuple(stages), Head("avg", 0.4))


TEACHERS = {
    "wide": residual_net((64, 128, 256, 320), (0, 2, 2, 1)),
    "deep": residual_net((64, 96, 192, 384), (0, 2, 3, 1)),
    "even": residual_net((64, 128, 256, 256), (0, 1, 3, 1), 0.0),
}


# --- stages ---------------------------------------------------------------------------------


def probe(data: Data, out: Path, log: Callable[[dict[str, Any]], None], seconds: float) -> None:
    """Does it work here, how fast is it, and which rate: the first call of a lease."""
    end = time.perf_counter() + seconds
    references = Path("search_spaces/references")
    networks = {
        "proposed": Genome.load(references / "proposed.json"),
        "found": Genome.load("experiments/fer2013/retrain/short-60/genome.json"),
        "teacher": TEACHERS["wide"],
    }
    for name, genome in networks.items():
        for count, layout, batch in (
            (1, True, 128), (6, True, 128), (6, False, 128), (12, True, 128), (6, True, 256)
        ):  # fmt: skip
            if name == "teacher" and (count > 6 or not layout):
                continue
            try:
                found = _speed(genome, count, data, layout, batch)
            except DivergedError as error:
                found = {"failed": str(error)}
            log({"probe": name, "networks": count, "channels_last": layout, "batch": batch,
                 **found})  # fmt: skip
        log({"kernels": name, "top": _kernels(genome, data)})
    rates = [("muon", 0.02), ("muon", 0.05), ("muon", 0.1), ("nesterov", 0.1), ("adamw", 0.004)]
    for name in ("found", "teacher"):
        jobs = [
            Job(f"{name} {o} {lr}", networks[name], dataclasses.replace(
                STUDENT, epochs=10, distill=0.0, label_smoothing=0.1, optimizer=o, lr=lr,
                momentum=0.95 if o == "muon" else 0.9,
                weight_decay=0.01 if o == "muon" else 5e-4,
            ), 0, data.train, data.validation)
            for o, lr in rates
        ]  # fmt: skip
        if time.perf_counter() < end:
            train(jobs, log, end)


def _speed(
    genome: Genome, count: int, data: Data, channels_last: bool, batch: int
) -> dict[str, Any]:
    """The second epoch of `count` equal trainings side by side."""
    recipe = dataclasses.replace(STUDENT, epochs=3, distill=0.0, batch_size=batch)
    precision = Precision(True, channels_last)
    runs = [
        (Training(genome, data.train, recipe, seed, precision), stream()) for seed in range(count)
    ]
    wait()
    first, took = (side_by_side(runs) for _ in range(2))
    losses = [run.end_epoch() / 2 for run, _ in runs]
    images = count * runs[0][0].steps_per_epoch * recipe.batch_size
    return {
        "seconds_an_epoch": took / count, "images_a_second": images / took,
        "tflops": 6 * cost(genome).macs * images / took / 1e12,
        "first_epoch": first, "loss": losses[0],
    }  # fmt: skip


def _kernels(genome: Genome, data: Data) -> list[str]:
    """Where a step's time goes on the device."""
    run = Training(genome, data.train, STUDENT, 0, PRECISION)
    steps = run.epoch_steps()
    for _ in range(6):
        next(steps)
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(5):
            next(steps)
        wait()
    events = sorted(profiler.key_averages(), key=lambda e: -e.self_device_time_total)
    total = sum(e.self_device_time_total for e in events)
    return [f"{total / 5:.0f} us a step"] + [
        f"{e.self_device_time_total / total:.0%} {e.count // 5} {e.key[:70]}" for e in events[:14]
    ]


def teachers(
    data: Data, out: Path, log: Callable[[dict[str, Any]], None], seconds: float, epochs: int
) -> SoftLabels:
    """Large networks on the search's fit rows; their averaged answers for all Training images."""
    end = time.perf_counter() + seconds
    recipe = dataclasses.replace(TEACHER, epochs=epochs)
    jobs = [
        Job(f"teacher {name} {seed}", genome, recipe, seed, data.fit, data.held_out)
        for seed, (name, genome) in enumerate(TEACHERS.items())
    ]
    runs = train(jobs, log, end)
    for number, (name, run) in enumerate(runs.items()):
        half = {k: v.half().contiguous() for k, v in run.averaged.state_dict().items()
                if v.is_floating_point()}  # fmt: skip
        save_file(half, out / f"teacher{number}.safetensors", {"name": name,
                  "genome": json.dumps(run.genome.to_dict())})  # fmt: skip
        log({"teacher": name, "public": score(
            run.averaged, run.genome, data.validation, PRECISION, "flip")["accuracy"]})  # fmt: skip
    models: list[nn.Module] = [run.averaged for run in runs.values()]
    origin = {"networks": list(runs), "trained_on": "the search's fit rows", "epochs": epochs}
    labels = teach(models, data.train, variants=16, augment=REPLAYED, precision=PRECISION,
                   origin=origin)  # fmt: skip
    labels.save(out / "soft_labels.safetensors")
    return labels


@dataclasses.dataclass
class Found:
    """A network of a search, with what was measured of it."""

    index: int
    genome: Genome
    metrics: dict[str, float]
    ok: bool = True


def search(
    data: Data, labels: SoftLabels, log: Callable[[dict[str, Any]], None], space: SearchSpace,
    recipe: Recipe, limits: Sequence[Constraint], batches: int, deadline: float, algorithm: str,
    seed: int, initial: Sequence[Genome] = (), known: Sequence[Found] = (),
) -> list[Found]:  # fmt: skip
    """Our optimizer, asked for BATCH networks at a time; scored on held-out Training images.

    limits: of parameters and MACs. known: of an earlier search with the same short trainings; they
    are learned from first, and returned too.
    """
    optimizer = Optimizer(
        space, OBJECTIVES, algorithm=algorithm, seed=seed, static_metrics=static,
        constraints=limits, initial=initial,
    )  # fmt: skip
    for each in known:
        optimizer.tell(each.genome, each.metrics, foreign=True)
    found = list(known)
    for _ in range(batches):
        if time.perf_counter() > deadline:
            break
        began = time.perf_counter()
        proposals = [optimizer.propose() for _ in range(BATCH)]
        asked = [Found(len(found) + k, p.genome, {}) for k, p in enumerate(proposals)]
        log({"asked": BATCH, "seconds": time.perf_counter() - began})
        jobs = [
            Job(f"{algorithm} {each.index}", each.genome, recipe, 0, data.fit, data.held_out,
                labels, {"genome": each.genome.to_dict(), "index": each.index,
                         "parents": [parent.genome.id for parent in proposal.parents]})
            for each, proposal in zip(asked, proposals, strict=True)
        ]  # fmt: skip
        runs = train(jobs, log, math.inf, every=2)
        for each, job in zip(asked, jobs, strict=True):
            run = runs.get(job.name)
            measured = run and score(run.averaged, each.genome, data.held_out, PRECISION)
            each.metrics = static(each.genome) | (measured or {})
            each.ok = optimizer.tell(each.genome, measured)
            found.append(each)
        del runs
        torch.cuda.empty_cache()
    return found


OBJECTIVES = (Objective("accuracy"), Objective("params"))


def static(genome: Genome) -> dict[str, float]:
    return dataclasses.asdict(cost(genome))


def earlier(file: Path, recipe: Recipe) -> list[Found]:
    """The networks of an earlier search's log whose short trainings were like these."""
    rows = [row for row in map(json.loads, file.read_text().splitlines()) if "index" in row]
    rows = [row for row in rows if "accuracy" in row and row["epochs"] == recipe.epochs]
    genomes = {row["id"]: (Genome.from_dict(row["genome"]), row) for row in rows}
    return [
        Found(index, genome, static(genome) | {k: row[k] for k in ("accuracy", "loss", "macro_f1")})
        for index, (genome, row) in enumerate(genomes.values())
    ]


def best_under_limits(
    space: SearchSpace, found: Sequence[Found], params: float
) -> dict[float, Genome]:
    """Of the front that the search returns, the best believed one under each limit."""
    limits = sorted({params, *(limit for limit in LIMITS if limit < params)})
    front = denoised_front(space, found, ("params", "macs"), OBJECTIVES)
    best: dict[float, Genome] = {}
    for limit in limits:
        small = [m for m in front if m.metrics["params"] <= limit]
        if small:
            best[limit] = max(small, key=lambda m: m.metrics["accuracy"]).measured.genome
    return best


def finals(
    data: Data, labels: SoftLabels, networks: dict[str, Genome], recipe: Recipe, out: Path,
    log: Callable[[dict[str, Any]], None], deadline: float, seeds: Sequence[int],
) -> None:  # fmt: skip
    """Long trainings on all of Training, as many epochs as the time allows, the same for all."""
    distinct = {genome.id: (name, genome) for name, genome in reversed(networks.items())}
    log({"finals": {name: genome.id for name, genome in networks.items()}})
    jobs = [
        Job(f"final {name} s{seed}", genome, recipe, seed, data.train, data.validation,
            labels if recipe.distill else None, {"genome": genome.to_dict()})
        for seed in seeds for name, genome in distinct.values()
    ]  # fmt: skip
    epochs = affordable(jobs, deadline, log)
    jobs = [
        dataclasses.replace(job, recipe=dataclasses.replace(recipe, epochs=epochs)) for job in jobs
    ]
    weights: dict[str, torch.Tensor] = {}
    for run in train(jobs, log, deadline + 60, every=20).values():
        for key, value in run.averaged.state_dict().items():
            small = value.half() if key.endswith("weight") else value
            weights[f"{run.genome.id}/{run.seed}/{key}"] = small.detach().clone().contiguous()
    _save_parts(weights, out)


def affordable(jobs: Sequence[Job], deadline: float, log: Callable[[dict[str, Any]], None]) -> int:
    """Epochs that all jobs side by side have time for, at most their recipes'."""
    runs = [start(job) for job in jobs]
    wait()
    seconds = [side_by_side(runs) for _ in range(2)][-1]
    left = deadline - time.perf_counter() - SPARE
    found = max(1, min(jobs[0].recipe.epochs, int(left / (seconds * SLACK))))
    log({"networks": len(jobs), "seconds_an_epoch": seconds, "epochs": found})
    return found


SPARE = 15  # seconds: first steps, scores, weights
SLACK = 1.03  # epochs with a score


def tune(
    data: Data, labels: SoftLabels, networks: dict[str, Genome], recipe: Recipe,
    log: Callable[[dict[str, Any]], None], deadline: float, names: Sequence[str] = (),
) -> Recipe:  # fmt: skip
    """One thing of the long recipe changed at a time, then what gained together; the best of all.

    Trained on the search's fit rows and scored on the rest of Training with PublicTest: those are
    1.8 times the images of PublicTest alone. `again` is the recipe as it is with another seed.
    names: variants, without combinations; none: all.
    """
    rest = data.held_out.at(torch.cat([data.held_out.rows, data.validation.rows]))

    def gains(variants: dict[str, dict[str, Any]]) -> dict[str, float]:
        jobs = [
            Job(f"{name}: {network}", genome, changed, int(name == "again"), data.fit, rest,
                labels if changed.distill else None, {"variant": name})
            for name, changes in variants.items()
            for changed in [dataclasses.replace(recipe, **changes)]
            for network, genome in networks.items()
        ]  # fmt: skip
        runs = train(jobs, log, deadline, every=10)
        scores = dict.fromkeys(variants, 0.0)
        for job in jobs:
            if job.name in runs:
                scores[job.facts["variant"]] += judged(job, runs[job.name])["accuracy"]
        scores = {name: total / len(networks) for name, total in scores.items()}
        log({"scores": {name: round(value, 5) for name, value in scores.items()}})
        return scores

    if names:
        gains({name: (VARIANTS | DEFAULTS)[name] for name in names})
        return recipe
    scores = gains(VARIANTS | {"twice as long": {"epochs": 2 * recipe.epochs}})
    base = (scores["as it is"] + scores["again"]) / 2
    changes = dict(VARIANTS)
    together, combined = dict[str, Any](), list[dict[str, Any]]()
    for name in sorted(changes, key=lambda name: -scores[name]):
        change = changes[name]
        if scores[name] > base and change and not together.keys() & change.keys():
            together |= change
            combined.append(dict(together))
    several = {f"best {n}": change for n, change in enumerate(combined, 1) if 2 <= n <= 4}
    if several and time.perf_counter() < deadline:
        changes |= several
        scores |= gains(several)
    best = max(changes, key=lambda name: scores[name])
    log({"chosen": best, "gain": scores[best] - base})
    return dataclasses.replace(recipe, **changes[best])


VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "again": {},
    "no teacher": {"distill": 0.0, "label_smoothing": 0.1},
    "teacher 0.5": {"distill": 0.5},
    "teacher 1": {"distill": 1.0},
    "temperature 3": {"temperature": 3.0},
    "rate 0.025": {"lr": 0.025},
    "rate 0.1": {"lr": 0.1},
    "decay 0.05": {"weight_decay": 0.05},
    "nesterov": {"optimizer": "nesterov", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4},
    "mixup": {"mixup_alpha": 0.2},
    "erasing": {"augment": dataclasses.replace(REPLAYED, erase=0.25)},
    "batch 64": {"batch_size": 64},
    "batch 256": {"batch_size": 256},
}
UNTAUGHT = VARIANTS["no teacher"]
SHARP = {"optimizer": "nesterov", "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
# For networks without a teacher: nas.retrain's default up to version 0.2, and towards Muon.
DEFAULTS: dict[str, dict[str, Any]] = {
    "mixup and erasing": UNTAUGHT | SHARP | {
        "mixup_alpha": 0.2, "augment": VARIANTS["erasing"]["augment"], "ema_decay": 0.999,
    },
    "neither": UNTAUGHT | SHARP,
    "muon": UNTAUGHT,
}  # fmt: skip


def _save_parts(weights: dict[str, torch.Tensor], out: Path, parts: int = 3) -> None:
    keys = sorted(weights)
    for part in range(parts):
        chosen = {k: weights[k] for k in keys[part::parts]}
        save_file(chosen, out / f"finals{part}.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stages", help="pack, probe, or some of tune,search,random,finals")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--data", default="fer2013", help="of pack")
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--labels", type=Path, help="soft labels; none: train teachers first")
    parser.add_argument("--teacher-epochs", type=int, default=34)
    parser.add_argument("--recipe", type=Path, help="what tune chose: recipe.json")
    parser.add_argument("--batch", type=int, default=128, help="images, without --recipe")
    parser.add_argument("--final-epochs", type=int, default=50, help="at most; of tune too")
    parser.add_argument("--genomes", type=Path, nargs="*", default=[], help="of finals, tune")
    parser.add_argument("--variants", nargs="*", choices=[*VARIANTS, *DEFAULTS], help="of tune")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of finals")
    parser.add_argument("--space", default="fer", help="a file's name under search_spaces/")
    parser.add_argument("--search-epochs", type=int, default=4)
    parser.add_argument("--search-networks", type=int, default=36)
    parser.add_argument("--macs", type=float, default=20e6, help="no network has more")
    parser.add_argument("--params", type=float, default=LIMITS[-1], help="no network has more")
    parser.add_argument("--initial", type=Path, nargs="*", default=[], help="genomes to begin with")
    parser.add_argument("--known", type=Path, help="results.jsonl of an earlier search")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    if args.stages == "pack":
        pack(args.data, args.folder)
        return
    stages = args.stages.split(",")
    if args.out is None or not {*stages} <= {"probe", "tune", "search", "random", "finals"}:
        parser.error(
            f"stages {args.stages}, OUT {args.out}; expected pack FOLDER, or STAGES FOLDER OUT"
        )
    started = time.perf_counter()
    args.out.mkdir(parents=True, exist_ok=True)

    def log(row: dict[str, Any]) -> None:
        row = {"at": round(time.perf_counter() - started, 1), **row}
        with open(args.out / "results.jsonl", "a") as file:
            file.write(json.dumps(row) + "\n")
        shown = {k: v for k, v in row.items() if k not in ("genome", "curve")}
        print(json.dumps(shown), flush=True)

    # A search meets a new shape every second: trying kernels took 38 of 46 s of twelve networks.
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("high")
    data = Data(args.folder, args.device)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    log({"device": device, "torch": torch.__version__,
         "train": len(data.train), "fit": len(data.fit)})  # fmt: skip
    if args.stages == "probe":
        probe(data, args.out, log, args.seconds)
        return
    deadline = started + args.seconds
    check_recording(data, log)
    if args.labels:
        labels = SoftLabels.load(args.labels)
    else:
        labels = teachers(data, args.out, log, 0.28 * args.seconds, args.teacher_epochs)
    student = dataclasses.replace(STUDENT, batch_size=args.batch, epochs=args.final_epochs)
    short = dataclasses.replace(student, epochs=args.search_epochs, views="single", ema_decay=0.99)
    if args.recipe:
        student = Recipe().changed(
            json.loads(args.recipe.read_text()) | {"epochs": args.final_epochs}
        )
    networks = {
        path.parent.name if path.stem == "genome" else path.stem: Genome.load(path)
        for path in args.genomes
    }
    space = SearchSpace.load(Path(f"search_spaces/{args.space}.yaml"))
    limits = [Constraint("macs", at_most=args.macs), Constraint("params", at_most=args.params)]
    batches = -(-args.search_networks // BATCH)
    short_search = functools.partial(
        search, data, labels, log, space, short, limits, batches, deadline
    )
    searched: dict[str, list[Found]] = {}
    for stage in stages:
        if stage == "tune":
            student = tune(data, labels, networks, student, log, deadline, args.variants)
            (args.out / "recipe.json").write_text(json.dumps(student.to_dict()) + "\n")
        elif stage == "search":
            initial = [Genome.load(path) for path in args.initial]
            known = earlier(args.known, short) if args.known else []
            searched[stage] = short_search("nsga2+gp", 2, initial, known)
        elif stage == "random":
            searched[stage] = short_search("random", 3)
        elif stage == "finals":
            finals(data, labels, networks, student, args.out, log, deadline, args.seeds)
        if stage in searched:
            best = best_under_limits(space, searched[stage], args.params)
            for limit, genome in best.items():
                name = f"{stage} {limit:.0f}"
                networks[name] = genome
                path = args.out / f"{stage}-{limit:.0f}.json"
                path.write_text(genome.to_json(name=name) + "\n")
    log({"done": True})


if __name__ == "__main__":
    main()
