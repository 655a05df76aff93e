"""A real retraining, read back from its event files."""

import json

import pytest
from conftest import ROOT


def test_curves_confusion_and_hyperparameters(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from nas.deploy.tensorboard import log_retraining

    source = ROOT / "experiments/fer2013/retrain/short-60"
    report = json.loads((source / "report.json").read_text())
    (tmp_path / "seed0").mkdir()
    rows = (source / "seed0/metrics.jsonl").read_text()
    (tmp_path / "seed0/metrics.jsonl").write_text(rows)
    out = log_retraining(tmp_path, report)
    curves = EventAccumulator(str(out / "seed0"))
    curves.Reload()
    last = json.loads(rows.splitlines()[-1])
    scalar = curves.Scalars("validation_accuracy")[-1]
    assert scalar.step == last["epoch"] == 60
    assert scalar.value == pytest.approx(last["validation_accuracy"])
    whole = EventAccumulator(str(out))
    whole.Reload()
    assert set(whole.Tags()["images"]) == {"confusion/validation", "confusion/test"}
    recipe = EventAccumulator(str(out / "recipe"))
    recipe.Reload()
    assert recipe.Scalars("test/accuracy")[-1].value == pytest.approx(report["test"]["accuracy"])
