"""One test for each promise of SECURITY.md, under its name."""

import ast
import gzip
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import torch
from conftest import ROOT
from readers import TINY, seven_faces

from nas.arch import genome, lowering
from nas.arch import module as model
from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.files import read_yaml
from nas.data import dataset, prepare_folder
from nas.deploy.checkpoint import open_trained
from nas.inspect import main as inspect_main
from nas.search.settings import Settings
from nas.search.store import RunDirectory
from nas.space.space import SearchSpace

pytestmark = pytest.mark.slow

SOURCES = sorted((ROOT / "nas").rglob("*.py"))
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
NEVER_CALLED = {"eval", "exec", "__import__"}
MAX_RSS = 900 << 10  # KiB; the imports alone take about 250 MiB


def test_each_promise_has_a_test():
    text = (ROOT / "SECURITY.md").read_text()
    promises = re.findall(r"^\| ([a-z][^|]+?) \|", text, re.M)[1:]
    assert len(promises) == 10
    for promise in promises:
        assert f"test_{promise.replace(' ', '_')}" in globals(), promise


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}


def test_nothing_is_unpickled(tmp_path):
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & NEVER_IMPORTED, path
        for name, keywords in _calls(tree):
            assert name not in NEVER_CALLED, path
            if name == "torch.load":
                assert keywords.get("weights_only") == "True", path
            if name == "np.load":
                assert keywords.get("allow_pickle") == "False", path
            if name in ("yaml.load", "yaml.full_load", "yaml.unsafe_load"):
                assert keywords.get("Loader") == "_Loader", path
            assert not name.endswith("read_pickle"), path
    refused_though_pickled(tmp_path)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def refused_though_pickled(folder):
    """A real pickle in the two formats that could hold one does not run."""
    os.chdir(folder)
    torch.save({"version": 1, "x": Bomb()}, folder / "checkpoint.pt")
    from readers import train_at

    with pytest.raises(UserError, match="not a readable checkpoint"):
        train_at(folder / "checkpoint.pt")
    arrays = {"images": 0, "split": 0, "meta": 0}
    np.savez(folder / "bad.npz", labels=np.array([Bomb()], dtype=object), **arrays)
    with pytest.raises(UserError):
        dataset.load(folder / "bad.npz")
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError):
        open_trained(folder / "model.safetensors")
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(30)),  # billion laughs
        "!!python/object/apply:os.mkdir [exploded]",
        "{a: 1, a: 2}",
        "[" * 5000,
        "a: " + "x" * (65 << 10),
        '!!int ""', "!!bool maybe", "? []\n: 1",
    ],
    ids=range(8),
)  # fmt: skip
def test_yaml_is_bounded(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(UserError):
        read_yaml(path)


def test_huge_genomes_are_refused_from_their_cost(monkeypatch, tmp_path):
    wide = Genome(Input(), 7, (Stage((Conv(4096), Conv(4096, 11), Conv(4096, 11))),), Head())
    assert lowering.cost(wide).params > 1_000_000_000
    monkeypatch.setattr(model, "UnitModule", None)  # building anything would fail otherwise
    with pytest.raises(UserError, match="parameters"):
        model.build(wide)
    plain = TINY.to_dict()
    plain["stages"] = [{"blocks": [{"kind": "conv", "channels": 1}] * 200}] * 200
    path = tmp_path / "deep.json"
    path.write_text(json.dumps({"format": genome.FORMAT, "genome": plain}))
    with pytest.raises(UserError, match="40000 blocks; allowed at most 512"):
        genome.read_genome(path)


def _png(side):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    packer, rows = zlib.compressobj(9), b""
    for _ in range(side):
        rows += packer.compress(b"\0" * (side // 8 + 1))
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", rows + packer.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _bomb(kind, folder):
    """A file below 3 MB that unpacks to gigabytes, and what reads it."""
    if kind == "picture":
        (folder / "x.png").write_bytes(_png(30_000))
        return "from nas.common.images import read_picture; read_picture(p('x.png'))"
    if kind == "chunk":
        body = bytearray(_png(64))
        body[33:37] = b"\xff" * 4  # the first chunk of pixels claims four gigabytes
        (folder / "x.png").write_bytes(body)
        return "from nas.common.images import read_picture; read_picture(p('x.png'))"
    if kind == "pictures":
        with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("a/1.bmp", "b/1.bmp"):
                with archive.open(name, "w") as member:
                    for _ in range(600):
                        member.write(bytes(1 << 20))
        return "from nas.data import prepare_folder; prepare_folder(p('x.zip'), 'x')"
    if kind == "frame":
        (folder / "x.png").write_bytes(_png(30_000))
        return "from nas.realtime.sources import open_source as o; next(o(str(p('x.png'))).frames)"
    if kind == "data set":
        dataset.save(seven_faces(), folder / "good.npz")
        with zipfile.ZipFile(folder / "good.npz") as good:
            parts = {n: good.read(n) for n in good.namelist()}
        n = 500_000
        zeros = {"images": (n, 1, 48, 48), "labels": (n,), "split": (n,)}
        with zipfile.ZipFile(folder / "x.npz", "w", zipfile.ZIP_DEFLATED) as bad:
            bad.writestr("meta.npy", parts["meta.npy"])
            for name, shape in zeros.items():
                with bad.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_1_0(
                        member, {"descr": "|u1", "fortran_order": False, "shape": shape}
                    )
                    for _ in range(np.prod(shape) // n):
                        member.write(bytes(n))
        return "from nas.data.dataset import load; load(p('x.npz'))"
    with gzip.open(folder / "x.csv.gz", "wb", 6) as file:  # two hundred million empty rows
        file.write(b"emotion,pixels,Usage\n")
        for _ in range(200):
            file.write(b"\n" * (1 << 20))
    return (
        "from nas.data import prepare_fer2013; prepare_fer2013(p('x.csv.gz'), check_counts=False)"
    )


@pytest.mark.parametrize("kind", ["picture", "chunk", "pictures", "frame", "data set", "lines"])
def test_small_files_stay_small(tmp_path, kind):
    code = _bomb(kind, tmp_path)
    assert all(f.stat().st_size < 3 << 20 for f in tmp_path.iterdir())
    found = subprocess.run(
        [sys.executable, "-c",
         # The peak of the memory is inherited from the process that starts this one: forget it.
         "import pathlib, re\npathlib.Path('/proc/self/clear_refs').write_text('5')\n"
         "from nas.common.errors import UserError\n"
         f"p = lambda n: pathlib.Path({str(tmp_path)!r}) / n\n"
         f"try:\n    {code}\nexcept UserError as error: print('refused', error)\n"
         "status = pathlib.Path('/proc/self/status').read_text()\n"
         "print(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1])"],
        capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert found.stdout.startswith("refused"), found.stderr
    assert int(found.stdout.splitlines()[-1]) < MAX_RSS


@pytest.mark.parametrize("name", ["../../out", "/etc/out", "a/b", "a\x1b[2Jb", "", "x" * 101])
def test_paths_stay_inside(tmp_path, name):
    import dataclasses

    bad = dataclasses.replace(seven_faces(), classes=("a", name))
    with pytest.raises(UserError, match="classes: expected a name"):
        dataset.check(bad, "here")
    run = RunDirectory.create(tmp_path / "run", Settings(), SearchSpace.load("quick"), [], [])
    victim = tmp_path / "victim"
    victim.write_text("mine")
    run.file("evaluations.jsonl").symlink_to(victim)
    with pytest.raises(UserError, match="a link that leaves the run directory"):
        RunDirectory.open(run.path)
    assert victim.read_text() == "mine"
    label = tmp_path / "set" / "a"
    label.mkdir(parents=True)
    (label / "link.png").symlink_to(victim)
    with pytest.raises(UserError, match="a link out of a"):
        prepare_folder(label.parent, "x")


def test_text_cannot_steer_the_terminal(tmp_path, capsys):
    path = tmp_path / "genome.json"
    path.write_text(json.dumps({"format": "\x1b[2J\u202e" + "x" * 100_000, "genome": {}}))
    assert exit_code(inspect_main, [str(path)]) == 2
    line = capsys.readouterr().err
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert len(line) < 1100


def test_models_are_one_file(tmp_path):
    import onnx
    from readers import tiny_onnx

    from nas.deploy.runtime import open_model

    proto = onnx.ModelProto.FromString(tiny_onnx())
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(UserError, match="one file"):
        open_model(tmp_path / "model.onnx")


def test_models_are_bounded(tmp_path):
    """More kinds of it: tests/deploy/test_runtime.py."""
    import onnx
    from readers import tiny_onnx

    from nas.deploy.runtime import open_model

    proto = onnx.ModelProto.FromString(tiny_onnx())
    size = onnx.helper.make_tensor("size", onnx.TensorProto.INT64, [2], [100_000, 100_000])
    proto.graph.initializer.append(size)
    proto.graph.node.append(onnx.helper.make_node("ConstantOfShape", ["size"], ["huge"]))
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(UserError, match="unknown operator 'ConstantOfShape'"):
        open_model(tmp_path / "model.onnx")


def test_servers_bind_to_loopback():
    """The web server is asked for its address in its own tests; here: nobody enters our Ray."""
    from nas.common.web import HOST

    assert HOST == "127.0.0.1"
    code = (
        "import os, subprocess, sys\n"
        "from nas.search.cluster import RaySession\n"
        "ray = RaySession(None, 1).ray\n"
        "address = ray.get_runtime_context().gcs_address\n"
        "env = {k: v for k, v in os.environ.items() if not k.startswith('RAY_')}\n"
        "env |= {'RAY_AUTH_MODE': 'disabled'}\n"
        "stranger = f'import ray; ray.init(address={address!r}, log_to_driver=False)'\n"
        "done = subprocess.run([sys.executable, '-c', stranger], capture_output=True, text=True,"
        " env=env)\n"
        "print('let in' if done.returncode == 0 else 'kept out', done.stderr[-500:])\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT,
        timeout=180,
    )  # fmt: skip
    assert found.stdout.startswith("kept out"), found.stdout + found.stderr
    assert "Auth" in found.stdout or "Failed to connect" in found.stdout


def test_every_mistake_is_one_line(tmp_path, capsys):
    """tests/test_fuzz.py does this to every reader at random."""
    for text in (
        "",
        "[]",
        "\0",
        '{"format": 1e999}',
        "[" * 100_000,
        '{"a": 1, "a": 2}',
        "9" * 5000,
    ):
        path = tmp_path / "x.json"
        path.write_text(text)
        assert exit_code(inspect_main, [str(path)]) == 2, text[:20]
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1
        assert printed.err.startswith("error: ")
