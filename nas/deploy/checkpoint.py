"""A trained network as safetensors: its weights, with what is to be known of it in the metadata."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from nas.arch.genome import Genome
from nas.arch.module import build
from nas.common.errors import UserError, first_line, quoted
from nas.common.files import check_file, parse_json, replacing
from nas.common.pixels import MEAN, STD
from nas.common.resources import WEIGHTS, find_model
from nas.data import Dataset, check_fit, check_name, open_dataset
from nas.deploy.preprocessing import MAX_MODEL_BYTES, METADATA_KEY, ModelInfo


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights: normalised (N, C, H, W) -> logits (N, classes)."""

    info: ModelInfo
    model: nn.Module

    @classmethod
    def on(cls, dataset: Dataset, genome: Genome, model: nn.Module) -> TrainedModel:
        """A model that was trained on this data set."""
        margin = dataset.provenance.get("margin", 0.0)
        where = f"genome {genome.id}"
        return cls(info_of(genome, dataset.classes, dataset.name, margin, where), model)

    def check_fit(self, dataset: Dataset, where: str) -> None:
        """UserError when the data set's images or classes are not the network's."""
        check_fit(self.genome, dataset)
        if dataset.classes != self.info.classes:
            raise UserError(
                f"{where}: classes {quoted(self.info.classes)}; data set {dataset.name} has "
                f"classes {quoted(dataset.classes)}"
            )

    @cached_property
    def genome(self) -> Genome:
        return Genome.from_dict(self.info.genome)


def info_of(
    genome: Genome, classes: object, training_data: object, margin: object, where: str
) -> ModelInfo:
    """What a file says of a network. UserError names what does not fit, and `where`."""
    size = genome.input
    found = {
        "channels": size.channels, "height": size.height, "width": size.width,
        "classes": classes, "mean": MEAN, "std": STD, "margin": margin,
        "training_data": training_data, "genome_id": genome.id, "genome": genome.to_dict(),
    }  # fmt: skip
    return ModelInfo.from_dict(found, where)


def save_weights(genome: Genome, model: nn.Module, dataset: Dataset, path: Path) -> None:
    """The state dict as safetensors, with the network's ModelInfo in its metadata."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    metadata = TrainedModel.on(dataset, genome, model).info.to_metadata()
    with replacing(path) as partial:
        save_file(state, partial, metadata=metadata)


def open_trained(path: Path) -> TrainedModel:
    """Read what `save_weights` wrote. UserError when it is something else; never unpickles."""
    check_file(path, MAX_MODEL_BYTES, "weights of nas.retrain")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a readable safetensors file: {first_line(error)}") from None
    info = _read_info(metadata, str(path))
    genome = Genome.from_dict(info.genome, f"{path}: genome")
    if (len(info.classes), info.shape) != (genome.num_classes, genome.input.shape):
        raise UserError(f"{path}: its classes or input are not those of its genome {genome.id}")
    return TrainedModel(info, load_weights(genome, path).eval())


def open_with_data(
    model: str | Path, data: Dataset | str | Path | None, where: str
) -> tuple[Path, TrainedModel, Dataset]:
    """The weights of a network by name, folder or file, the network, and a data set that fits it.

    data: None is what it was trained on. where: it was named, for the message of a UserError.
    """
    path = find_model(model, where, WEIGHTS)
    trained = open_trained(path)
    dataset = open_dataset(check_name(trained.info.training_data) if data is None else data)
    dataset = dataset.in_order(trained.info.classes)  # a folder's classes are in that of letters
    trained.check_fit(dataset, str(path))
    return path, trained, dataset


def _read_info(metadata: dict[str, str], where: str) -> ModelInfo:
    if METADATA_KEY in metadata:
        info = ModelInfo.from_metadata(metadata, where)
        if info.genome is None:
            raise UserError(f"{where}: no genome in its metadata")
        return info
    # Version 0.1 wrote each part under a key of its own.
    if not {"genome", "classes", "training_data"} <= set(metadata):
        raise UserError(f"{where}: no genome in its metadata; expected one written by nas.retrain")
    genome = Genome.from_json(metadata["genome"], f"{where}: genome")
    classes = parse_json(metadata["classes"], f"{where}: classes")
    margin = parse_json(metadata.get("margin", "0"), f"{where}: margin")
    return info_of(genome, classes, metadata["training_data"], margin, where)


def load_weights(genome: Genome, path: Path) -> nn.Module:
    """The genome's model with the weights of a safetensors file; never unpickles."""
    check_file(path, MAX_MODEL_BYTES, "weights of nas.retrain")
    model = build(genome)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: no weights of genome {genome.id}: {first_line(error)}") from None
    return model
