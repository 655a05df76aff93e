"""A run is found to go on, and its network to be trained, from any working folder."""

import cv2
import numpy as np
import pytest
from conftest import ROOT

from nas.common.cli import exit_code
from nas.data import load, save
from nas.data.sources import located
from nas.retrain import main as retrain
from nas.search.__main__ import main as search
from nas.search.run import findable
from nas.search.settings import Settings, load_settings
from nas.training.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working folder with `my_faces` and a prepared data set."""
    home, rng = tmp_path / "home", np.random.default_rng(0)
    for shade, name in enumerate(("dark", "light")):
        folder = home / "my_faces" / name
        folder.mkdir(parents=True)
        for k in range(20):
            picture = rng.integers(100 * shade, 100 * shade + 100, (48, 48), np.uint8)
            cv2.imwrite(str(folder / f"{k}.png"), picture)
    monkeypatch.chdir(home)
    return home


def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


ONE = ["--space", str(ROOT / "search_spaces/quick.yaml"), "--seed-genomes", "none", "--epochs", "1",
       "--workers", "1", "--evaluations", "1", "--set", "calibration_genomes=10"]  # fmt: skip


def test_a_run_on_a_relative_folder_goes_on_from_elsewhere(home, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    assert search([*ONE, "--data", "my_faces", "--run-dir", str(run)]) == 0
    assert load_settings(run / "config.yaml").data == str(home / "my_faces")
    assert f"--data {home / 'my_faces'}" in capsys.readouterr().out
    assert search(["--resume", str(run), "--evaluations", "2", "--data", "my_faces"]) == 0
    elsewhere(tmp_path, monkeypatch)
    assert search(["--resume", str(run), "--evaluations", "3"]) == 0
    assert len((run / "evaluations.jsonl").read_text().splitlines()) == 3
    argv = ["--genome", str(run / "best.json"), "--epochs", "1", "--recipe", "short"]
    assert retrain(argv) == 0
    assert len(list(run.glob("retrain/*/model.onnx"))) == 1
    assert exit_code(search, ["--resume", str(run), "--data", "my_faces"]) == 2
    assert "--resume: data: the run has" in capsys.readouterr().err


def test_a_run_of_earlier_with_a_relative_path_goes_on_where_it_began(home, tmp_path):
    run = tmp_path / "run"
    assert search([*ONE, "--data", "my_faces", "--run-dir", str(run)]) == 0
    for name in ("config.yaml", "fingerprints.json"):
        text = (run / name).read_text()
        assert str(home / "my_faces") in text
        (run / name).write_text(text.replace(str(home / "my_faces"), "my_faces"))
    for _ in range(2):
        assert search(["--resume", str(run), "--evaluations", "2"]) == 0
    assert load_settings(run / "config.yaml").data == "my_faces"


def test_what_is_a_name_stays_a_name(home, faces_file):
    save(load(faces_file), home / "data" / "toy.npz")
    assert located("toy") == "toy"
    assert located("synthetic") == "synthetic"
    assert located("toy.npz") == str(home / "toy.npz")
    assert located("./toy") == str(home / "toy")
    assert located("../home/my_faces/") == str(home / "my_faces")
    settings = Settings(data="toy", fps_model="m.json", recipe=Recipe(teacher="t", distill=0.5))
    found = findable(settings)
    assert (found.data, found.fps_model) == ("toy", str(home / "m.json"))
    assert found.recipe.teacher == str(home / "t")
    assert findable(found) == found
    assert findable(Settings()) == Settings()
