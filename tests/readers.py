"""Every reader of files that others may have made: a small valid sample and how it is read.

tests/test_fuzz.py damages the samples at random, tests/fuzz.py guided by coverage. A reader
may raise UserError; anything else is a bug.
"""

import dataclasses
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

from nas.arch import genome
from nas.arch.genome import Conv, Genome, Head, Input, Pool, Stage
from nas.arch.lowering import check_size, cost, describe
from nas.arch.module import build
from nas.arch.onnx import to_onnx
from nas.bench.table import Table
from nas.common.files import read_json
from nas.common.images import read_picture
from nas.common.schema import read
from nas.data import Dataset, dataset, prepare_fer2013, prepare_ferplus, prepare_folder
from nas.data.affectnet import COLUMNS as AFFECTNET_COLUMNS
from nas.data.ferplus import COLUMNS, OTHERS
from nas.data.files import open_files
from nas.data.layouts import label_pictures
from nas.deploy.checkpoint import open_trained, save_weights
from nas.deploy.preprocessing import ModelInfo
from nas.deploy.private_test import read_once
from nas.deploy.runtime import open_model
from nas.deploy.teach import trained_on
from nas.realtime.sources import open_source
from nas.search.archive import Archive, Evaluation
from nas.search.overview import measured_fps
from nas.search.pending import Pending
from nas.search.profile import load_machine
from nas.search.settings import Settings, load_settings
from nas.search.store import FINGERPRINTED, RunDirectory
from nas.space import space
from nas.space.operators import draw
from nas.training.history import read_history
from nas.training.predict import Precision, Subset
from nas.training.recipe import Augment, Recipe
from nas.training.task import Fidelity
from nas.training.teacher import SoftLabels
from nas.training.trainer import train
from nas.training.tuning import StudyConfig, finished, open_study

ROOT = Path(__file__).parents[1]
TINY = Genome(Input(1, 8, 8), 2, (Stage((Conv(2), Pool())),), Head())
CLASSES = ("a", "b")


@dataclass(frozen=True)
class Reader:
    """read: given the path of the (damaged) file. tree: the sample as plain data, for text."""

    name: str
    file: str
    read: Callable[[Path], object]
    sample: Callable[[], bytes]

    @property
    def text(self) -> bool:
        return self.file.endswith((".yaml", ".json", ".jsonl"))

    def tree(self) -> object:
        raw = self.sample()
        return yaml.safe_load(raw) if self.file.endswith(".yaml") else json.loads(raw)

    def dump(self, tree: object) -> bytes:
        if self.file.endswith(".yaml"):
            return yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
        return json.dumps(tree).encode() + b"\n"


def _written(write: Callable[[Path], object], name: str) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def _use_genome(path: Path) -> None:
    found, _ = genome.read_genome(path)
    describe(found), cost(found), check_size(found)


def _use_space(path: Path) -> None:
    found = space.SearchSpace.load(path)
    found.size()
    _ = draw(found, np.random.default_rng(0)).genome


def _beside_settings(read: Callable[[RunDirectory], object]) -> Callable[[Path], object]:
    def read_run(path: Path) -> object:
        (path.parent / "config.yaml").write_text(yaml.safe_dump(dataclasses.asdict(Settings())))
        return read(RunDirectory.open(path.parent))

    return read_run


def seven_faces() -> Dataset:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 1, 8, 8), np.uint8)
    labels = np.arange(12, dtype=np.uint8) % 2
    return Dataset("faces", pixels, labels, np.arange(12, dtype=np.uint8) // 4, CLASSES)


def _fer2013() -> Dataset:
    rows = np.zeros((7, 1, 48, 48), np.uint8)
    labels = np.arange(7, dtype=np.uint8)
    split = np.array([0, 0, 0, 1, 1, 2, 2], np.uint8)
    from nas.data import CLASSES as SEVEN

    return Dataset("fer2013", rows, labels, split, SEVEN, {"official_splits": True})


def _csv() -> bytes:
    usages = ["Training"] * 3 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    pixels = " ".join(["7"] * 48 * 48)
    return (
        b"emotion,pixels,Usage\n"
        + "".join(f"{i},{pixels},{usage}\n" for i, usage in enumerate(usages)).encode()
    )


def _votes() -> bytes:
    usages = ["Training"] * 3 + ["PublicTest"] * 2 + ["PrivateTest"] * 2
    header = ",".join(["Usage", "Image name", *COLUMNS.values(), *OTHERS])
    rows = [f"{usage},x.png,6{',1' * (len(COLUMNS) + len(OTHERS) - 1)}" for usage in usages]
    return "\n".join([header, *rows, ""]).encode()


def _table() -> bytes:
    rows = [f"{a},{b},{70 + a},{69 + b},{1 + a + b}" for a in range(3) for b in range(3)]
    return "\n".join(["gene:a,gene:b,val_accuracy,test_accuracy,cost:c", *rows, ""]).encode()


def _use_table(path: Path) -> None:
    table = Table.load(path)
    rng = np.random.default_rng(0)
    table.mutate(table.crossover(table.sample(rng), table.sample(rng), rng), rng)
    table.hypervolume(np.arange(len(table)))


def _picture(suffix: str, first: int = 0) -> bytes:
    pixels = np.arange(first, first + 64 * 64).astype(np.uint8).reshape(64, 64)
    ok, raw = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    assert ok
    return raw.tobytes()


def _video(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for k in range(4):
        writer.write(np.full((48, 64, 3), 40 * k, np.uint8))
    writer.release()


def _watch(path: Path) -> None:
    for _ in zip(range(50), open_source(str(path)).frames, strict=False):
        pass


def tiny_onnx() -> bytes:
    metadata = ModelInfo(1, 8, 8, CLASSES).to_metadata()
    return bytes(to_onnx(TINY, metadata=metadata).SerializeToString())


def _use_onnx(path: Path) -> None:
    open_model(path).check()


def _weights(path: Path) -> None:
    save_weights(TINY, build(TINY), seven_faces(), path)


def _check_fingerprints(path: Path) -> None:
    for name in FINGERPRINTED:
        (path.parent / name).touch()
    _beside_settings(lambda run: run.check_unchanged("x"))(path)


def _soft_labels(path: Path) -> None:
    answers = torch.full((2, 12, 7), 36, dtype=torch.uint8)
    SoftLabels(answers, torch.arange(12), Augment(), 0, {}).save(path)


def _use_soft_labels(path: Path) -> None:
    SoftLabels.load(path).lessons(_part(), 7)


def _part() -> Subset:
    faces = seven_faces()
    labels = torch.tensor(faces.labels.astype(np.int64))
    return Subset(torch.tensor(faces.images), labels, torch.arange(12))


def train_at(path: Path) -> None:
    recipe_ = Recipe(epochs=1, batch_size=4)
    train(TINY, _part(), _part(), recipe_, seed=0, keep_best=True, checkpoint=path)


def _study(path: Path) -> None:
    goal = StudyConfig(TINY, seven_faces(), Recipe(), 3)
    finished(open_study(goal, path.parent))


def _machine(path: Path) -> None:
    load_machine(path).calibration.model.predict(TINY)


MACHINE = {
    "calibration": {
        "model": {"coefficients": [0.1] * 10}, "held_out_error": 0.05, "rank_correlation": 0.9,
        "genomes": 10, "seconds": 1.0,
    },
    "bf16": False, "channels_last": False, "device": "cpu",
}  # fmt: skip
PENDING = {
    "index": 0, "genome": TINY.to_dict(), "fidelity": {"epochs": 1, "fraction": 1.0},
    "seed": 0, "attempt": 1,
}  # fmt: skip
EVALUATION = Evaluation(
    0,
    TINY,
    Fidelity(),
    0,
    "ok",
    {"accuracy": 0.5, "params": 9, "macs": 9, "fps": 9.0},
    "",
    1.0,
    1.0,
)


def _json(value: object) -> Callable[[], bytes]:
    return lambda: json.dumps(value).encode() + b"\n"


def _npz(path: Path) -> None:
    dataset.save(seven_faces(), path)


READERS = [
    Reader("space", "space.yaml", _use_space, (ROOT / "search_spaces/quick.yaml").read_bytes),
    Reader("recipe", "recipe.yaml", Recipe.load,
           lambda: yaml.safe_dump(Recipe().to_dict()).encode()),
    Reader("settings", "config.yaml", load_settings,
           lambda: yaml.safe_dump(dataclasses.asdict(Settings())).encode()),
    Reader("genome", "genome.json", _use_genome, lambda: TINY.to_json(notes="n").encode()),
    Reader("evaluations", "evaluations.jsonl", Archive, _json(EVALUATION.to_dict())),
    Reader("initial", "initial.json", _beside_settings(RunDirectory.initial),
           _json([TINY.to_dict()])),
    Reader("pending", "pending.jsonl", lambda p: Pending(p, ()), _json(PENDING)),
    Reader("machine", "machine.json", _machine, _json(MACHINE)),
    Reader("measured fps", "measured_fps.json", lambda p: measured_fps(RunDirectory(p.parent)),
           _json({TINY.id: 100.0})),
    Reader("precision", "precision.json", lambda p: read(Precision, read_json(p), str(p)),
           _json({"bf16": True, "channels_last": False})),
    Reader("data set", "faces.npz", dataset.load, lambda: _written(_npz, "faces.npz")),
    Reader("FER2013", "fer2013.csv", lambda p: prepare_fer2013(p, check_counts=False), _csv),
    Reader("FERPlus", "votes.csv", lambda p: prepare_ferplus(_fer2013(), p), _votes),
    Reader("table", "table.csv", _use_table, _table),
    Reader("PNG", "picture.png", read_picture, lambda: _picture(".png")),
    Reader("JPEG", "picture.jpg", read_picture, lambda: _picture(".jpg")),
    Reader("TIFF", "picture.tif", read_picture, lambda: _picture(".tif")),
    Reader("video", "video.mp4", _watch, lambda: _written(_video, "video.mp4")),
    Reader("ONNX", "model.onnx", _use_onnx, tiny_onnx),
    Reader("weights", "model.safetensors", open_trained,
           lambda: _written(_weights, "model.safetensors")),
    Reader("soft labels", "labels.safetensors", _use_soft_labels,
           lambda: _written(_soft_labels, "labels.safetensors")),
    Reader("epochs", "metrics.jsonl", lambda p: read_history(p.parent),
           _json({"epoch": 1, "train_loss": 1.5, "validation_accuracy": 0.5})),
    Reader("test reads", "test_reads.json", lambda p: read_once(p.parent, "k", list),
           lambda: _written(lambda p: read_once(p.parent, "k", list), "test_reads.json")),
    Reader("report", "report.json", trained_on, _json({"recipe": {"train_on": "fit"}})),
    Reader("front", "front.json", _beside_settings(lambda run: run.front(run.archive())),
           _json([])),
    Reader("fingerprints", "fingerprints.json", _check_fingerprints, _json({
        "settings": dataclasses.asdict(Settings()), "data": "x",
        **dict.fromkeys(FINGERPRINTED, hashlib.sha256(b"").hexdigest()),
    })),
    Reader("checkpoint", "checkpoint.pt", train_at, lambda: _written(train_at, "checkpoint.pt")),
    Reader("study", "study.db", _study, lambda: _written(_study, "study.db")),
]  # fmt: skip


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)
    return buffer.getvalue()


def _class_folders() -> bytes:
    names = [f"{part}/{name}/{i}.png" for part in ("train", "test") for name in "ab" for i in "123"]
    return _zip({name: _picture(".png", number) for number, name in enumerate(names)})


def _label_beside(*pictures: str) -> Callable[[Path], object]:
    """Read an annotation among the pictures that it is for, named below its folder's parent."""

    def read(path: Path) -> None:
        for name in pictures:
            picture = path.parent / name
            picture.parent.mkdir(exist_ok=True)
            picture.write_bytes(_picture(".png"))
        with open_files(path.parent) as source:
            label_pictures(source)

    return read


def _label_affectnet(path: Path) -> None:
    """The annotation in its place, beside one that is whole."""
    folder = path.parent / "set" / "train_set"
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    (folder / "annotations" / "1_exp.npy").write_bytes(path.read_bytes())
    (folder / "annotations" / "2_exp.npy").write_bytes(_npy("1"))
    for number in "12":
        (folder / "images" / f"{number}.jpg").write_bytes(_picture(".jpg"))
    with open_files(folder.parent) as source:
        label_pictures(source)


def _label_affectnet_list(path: Path) -> None:
    folder = path.parent / "listed"
    (folder / "0").mkdir(parents=True, exist_ok=True)
    (folder / path.name).write_bytes(path.read_bytes())
    for number in "12":
        (folder / "0" / f"{number}.jpg").write_bytes(_picture(".jpg"))
    with open_files(folder) as source:
        label_pictures(source)


def _affectnet_list() -> bytes:
    rows = "".join(f"0/{k}.jpg,1,1,9,9,1;2,{k},0,0\n" for k in (1, 2))
    return (",".join(AFFECTNET_COLUMNS) + "\n" + rows).encode()


def _npy(value: str = "0") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(value))
    return buffer.getvalue()


READERS += [
    Reader("FER2013 gz", "fer2013.csv.gz", lambda p: prepare_fer2013(p, check_counts=False),
           lambda: gzip.compress(_csv())),
    Reader("FER2013 zip", "fer2013.zip", lambda p: prepare_fer2013(p, check_counts=False),
           lambda: _zip({"fer2013.csv": _csv()})),
    Reader("class folders zip", "set.zip", lambda p: prepare_folder(p, "x"), _class_folders),
    Reader("RAF-DB list", "list_patition_label.txt",
           _label_beside("train_00001.jpg", "train_00002.jpg"),
           lambda: b"train_00001.jpg 5\ntrain_00002.jpg 4\n"),
    Reader("CK+ emotion", "S005_001_00000003_emotion.txt",
           _label_beside(*(f"S005_001_0000000{i}.png" for i in (1, 2, 3))),
           lambda: b"   3.0000000e+00\n"),
    Reader("AffectNet list", "training.csv", _label_affectnet_list, _affectnet_list),
    Reader("AffectNet annotation", "1_exp.npy", _label_affectnet, _npy),
]  # fmt: skip
READERS += [
    Reader(kind, f"picture{suffix}", read_picture, lambda suffix=suffix: _picture(suffix))
    for kind, suffix in (
        ("GIF", ".gif"), ("WebP", ".webp"), ("BMP", ".bmp"), ("AVIF", ".avif"), ("PNM", ".ppm"),
        ("JPEG 2000", ".jp2"), ("Sun raster", ".ras"),
    )
]  # fmt: skip
