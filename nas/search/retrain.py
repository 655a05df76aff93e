"""A full training of one network, by name: what is left out comes from the genome's run."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.arch.genome import Genome, find_genome
from nas.common.cli import log_to_stderr, read_seeds
from nas.common.errors import as_path
from nas.common.resources import WEIGHTS, find_model
from nas.data import Dataset, open_dataset
from nas.deploy.retrain import retrain_on
from nas.search.store import data_of, default_out
from nas.training.recipe import Recipe

AnyPath = str | os.PathLike[str]
log = logging.getLogger("nas")


def retrain(
    genome: Genome | AnyPath,
    data: Dataset | str | Path | None = None,
    recipe: Recipe | str | Path = "modern",
    out: AnyPath | None = None,
    *,
    seeds: int | Sequence[int] = 1,
    initial: AnyPath | None = None,
    teachers: Sequence[AnyPath] = (),
    device: str = "auto",
    command: Sequence[str] = (),
    progress: bool = True,
    **settings: Any,
) -> dict[str, Any]:
    """Train a network fully, once for each seed, and write everything into `out`.

    genome: a Genome; a name, a file or a folder, of a run (its best.json) or of a retrained
    network; a Run. data: as `--data` names it, or a Dataset; None: that of the run, else synthetic
    faces. recipe: a name, a file or a Recipe; settings: over it, by its names (epochs=20, lr=0.01,
    augment={"flip": 0}). out: None: retrain/<id> in the run, else experiments/retrain-<id>.
    seeds: how many, from 0, or which. initial: a trained network of this genome to start from.
    teachers: trained networks whose averaged logits are distilled by the recipe's `distill`.

    Returns the report. Checkpoints are chosen on the validation split; the test split is read once:
    a folder that holds a report is refused. An interrupted call goes on when it is repeated.
    """
    numbers = read_seeds(seeds)
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    recipe = recipe.changed(settings, "retrain")
    network, path = find_genome(genome, "retrain: genome")
    folder = default_out(path, network.id) if out is None else as_path(out, "retrain: out")
    start = None if initial is None else find_model(initial, "retrain: initial", WEIGHTS)
    files = [find_model(teacher, "retrain: teachers", WEIGHTS) for teacher in teachers]
    dataset = open_dataset(data_of(path) if data is None else data)
    with log_to_stderr(progress and not log.hasHandlers()):
        return retrain_on(
            network, dataset, recipe, folder, seeds=numbers, initial=start, teachers=files,
            device=device, command=command,
        )  # fmt: skip
