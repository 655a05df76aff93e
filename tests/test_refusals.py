"""What a command refuses leaves nothing behind: checks come first, folders last."""

import importlib
import json

import pytest
from conftest import ROOT, shaken
from training_samples import TINY

from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.common.cli import exit_code
from nas.common.errors import UserError
from nas.common.files import check_writable
from nas.data import load
from nas.deploy.checkpoint import save_weights

ODD = Genome(Input(1, 16, 16), 3, (Stage((Conv(4),)),), Head())  # fits no data set here
RUN = str(ROOT / "experiments/fer2013/search")


@pytest.fixture(scope="module")
def given(tmp_path_factory, faces_file):
    """Files that the commands below name."""
    there = tmp_path_factory.mktemp("given")
    (there / "odd.json").write_text(ODD.to_json())
    (there / "tiny.json").write_text(TINY.to_json())
    (there / "taught.yaml").write_text("teacher: nowhere.safetensors\ndistill: 0.5\n")
    (there / "blocked").write_text("a file where a folder should be")
    trained = there / "trained"
    trained.mkdir()
    fitting = Genome(Input(), 7, (Stage((Conv(4, 5, 4),)),), Head())
    (there / "fitting.json").write_text(fitting.to_json())
    save_weights(fitting, shaken(fitting), load(faces_file), trained / "model.safetensors")
    (trained / "report.json").write_text(json.dumps({"recipe": {"train_on": "train"}}))
    return there


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("retrain --genome {g}/odd.json --data {d}", "genome"),
        ("retrain --genome {g}/fitting.json --data {d} --device toaster", "device: cannot use"),
        ("retrain --genome {g}/fitting.json --data {d} --initial no.safetensors", "no such file"),
        ("retrain --genome {g}/fitting.json --data {d} --recipe {g}/taught.yaml", "no file"),
        ("retrain --genome {g}/odd.json --genome {g}/tiny.json --data {d}", "genome"),
        ("tune --genome {g}/odd.json --data {d}", "genome"),
        ("tune --genome {g}/fitting.json --data {d} --recipe {g}/taught.yaml", "no file"),
        ("teach --models no --data {d}", "no such file"),
        ("teach --models {g}/trained --data {d} --device toaster", "device: cannot use"),
        ("teach --models {g}/trained --data {d} --out {g}/blocked/x", "cannot create"),
        ("ablate --genome {g}/odd.json --data {d}", "--space: missing"),
        ("ablate --genome {g}/odd.json --space quick --data {d}", "quick"),
        ("search --space quick --data {d} --set device=toaster", "device: cannot use"),
        (
            "search --space quick --data {d} --set recipe.teacher=nofile recipe.distill=0.5",
            "no file",
        ),
        ("search --space quick --data {d} --fps-model {g}/odd.json", "no calibration"),
        ("search --space quick --data {d} --fps-model nofile.json", "No such file"),
        ("search --space quick --data {d} --machine {g}/odd.json", "odd.json"),
        ("export --model {g}/trained --data {d} --search nowhere --out out", "No such file"),
        ("explain --model {g}/trained/model.safetensors --data nothing --out out", "nothing"),
        ("evaluate --model {g}/trained --data {d} --out {g}/blocked", "cannot create"),
        ("evaluate --model {g}/odd.json --data {d} --out out", "odd.json"),
        ("inspect nowhere --paper", "not a run directory"),
        ("fps --space nowhere --out new/fps.json", "no search space"),
        ("fps --space quick --out {g}/blocked/fps.json", "cannot create"),
        ("fps --space quick --out {g}", "it is a folder"),
        ("plan --space nowhere", "no search space"),
        ("plan --space quick --data {d} --fps-model {g}/odd.json", "no calibration"),
        ("data prepare toy --from nowhere", "no such file"),
        ("realtime --source nowhere.mp4 --headless --out new/x.mp4", "nowhere.mp4"),
        ("bench scale --space nowhere --out new/x.json", "no search space"),
        ("bench realtime --clip x.mp4 --network nowhere --out new/x.json", "nowhere"),
    ],
)
def test_a_refused_command_leaves_nothing(line, message, given, faces_file, tmp_path, monkeypatch,
                                          capsys):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    name, *argv = line.format(g=given, d=faces_file).split()
    before = sorted(given.rglob("*"))
    try:
        module = importlib.import_module(f"nas.{name}.__main__")
    except ModuleNotFoundError:
        module = importlib.import_module(f"nas.{name}")
    assert exit_code(module.main, argv) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
    assert sorted(given.rglob("*")) == before


def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path):
    path = tmp_path / "new/file"
    check_writable(path)
    assert path.parent.is_dir()
    assert not path.exists()
    with pytest.raises(UserError, match="it is a folder"):
        check_writable(tmp_path)
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="cannot create"):
        check_writable(tmp_path / "taken" / "file")
