import json

import numpy as np
import pytest

from nas.arch.blocks import Ghost
from nas.arch.genome import Conv, Genome, Head, Input, Stage
from nas.arch.layers import Concat, Conv2d
from nas.arch.lowering import cost, lower
from nas.common.errors import UserError
from nas.deploy import latency
from nas.deploy.latency import (
    FEATURES,
    FpsModel,
    calibrate,
    features,
    measure_fps,
    read_calibration,
)


@pytest.fixture
def pool(quick):
    rng = np.random.default_rng(0)
    return [quick.sample(rng).genome for _ in range(120)]


def test_features_add_up(proposed):
    found = dict(zip(FEATURES, features(proposed), strict=True))
    macs = sum(v for k, v in found.items() if k.endswith("_macs"))
    assert macs == pytest.approx(cost(proposed).macs / 1e6)
    assert found["convs"] == 14  # 2 convolutions and 4 inverted blocks of 3
    assert found["constant"] == 1


def test_what_lies_in_branches_adds_up_too():
    ghosts = Genome(Input(), 7, (Stage((Conv(8, 3, 2),)), Stage((Ghost(16),))), Head())
    found = dict(zip(FEATURES, features(ghosts), strict=True))
    macs = sum(v for k, v in found.items() if k.endswith("_macs"))
    assert macs == pytest.approx(cost(ghosts).macs / 1e6)
    layers = [layer for unit in lower(ghosts) for layer in unit.layers]
    inside = [inner for layer in layers if isinstance(layer, Concat)
              for branch in layer.branches for inner in branch]  # fmt: skip
    convolutions = [layer for layer in (*layers, *inside) if isinstance(layer, Conv2d)]
    assert found["convs"] == len(convolutions) == 7


def test_prediction_is_the_inverse_of_milliseconds(proposed):
    only_constant = FpsModel((4.0, *[0.0] * (len(FEATURES) - 1)))
    assert only_constant.predict(proposed) == 250.0


def test_the_fit_finds_a_known_machine(quick, pool, monkeypatch):
    """Times made by a known model: the calibration must recover it and say that it fits."""
    truth = np.array([0.05, 0.02, 0.03, 0.2, 0.01, 0.1, 0.3, 0.2, 0.004, 0.002])

    def timed(genomes, rounds=5, runs=8):
        return [float(truth @ features(g)) for g in genomes]

    monkeypatch.setattr(latency, "measure", timed)
    found = calibrate(pool, 30)
    assert found.held_out_error < 0.02
    assert found.rank_correlation > 0.99
    rng = np.random.default_rng(5)
    for genome in (quick.sample(rng).genome for _ in range(20)):
        assert found.model.predict(genome) == pytest.approx(1000 / (truth @ features(genome)), 0.05)


def test_noise_shows_in_the_held_out_error(pool, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(latency, "measure", lambda gs: rng.lognormal(0, 0.5, len(gs)).tolist())
    found = calibrate(pool, 30)
    assert found.held_out_error > 0.1
    assert found.rank_correlation < 0.8


def test_the_held_out_error_is_of_networks_that_the_fit_has_not_seen(pool, monkeypatch):
    """Ten coefficients explain some of twelve times of chance: a median of 0.25, not 0.37."""
    errors = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        monkeypatch.setattr(latency, "measure", lambda gs, r=rng: r.lognormal(0, 0.5, len(gs)))
        errors.append(calibrate(pool, 12).held_out_error)
    assert np.mean(errors) > 0.31


def test_errors_are_shares_of_the_time(pool, monkeypatch):
    """Of a machine that is a thousand times as slow the same."""
    found = []
    for factor in (1, 1000):
        rng = np.random.default_rng(0)
        monkeypatch.setattr(
            latency, "measure", lambda gs, f=factor, r=rng: f * r.lognormal(0, 0.5, len(gs))
        )
        found.append(calibrate(pool, 30).held_out_error)
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_an_activation_that_is_a_part_of_its_convolution_costs_nothing():
    """ONNX Runtime fuses ReLU, and hard swish not."""
    plain, other = (
        dict(zip(FEATURES, features(Genome(
            Input(), 7, (Stage((Conv(8, 3, 2, activation=name),)),), Head()
        )), strict=True))
        for name in ("relu", "hardswish")
    )  # fmt: skip
    assert other["other_layers"] == plain["other_layers"] + 1
    elements = 2 * 8 * 24 * 24 / 1e6  # read and written
    assert other["elementwise_elements"] == pytest.approx(plain["elementwise_elements"] + elements)


def test_measured_on_this_machine(proposed, quick, pool):
    small = quick.sample(np.random.default_rng(0)).genome
    fps = measure_fps([proposed, small])
    assert len(fps) == 2
    assert all(np.isfinite(fps))
    assert min(fps) > 0
    assert calibrate(pool, 12).genomes <= 12


def test_a_pool_of_a_single_genome(quick):
    """There is nobody else to predict it from."""
    genome = quick.sample(np.random.default_rng(0)).genome
    found = calibrate([genome, genome])
    assert (found.genomes, found.held_out_error, found.rank_correlation) == (1, 0.0, 1.0)
    assert found.model.predict(genome) > 0


CALIBRATION = {
    "model": {"coefficients": [0.5] * len(FEATURES)}, "held_out_error": 0.05,
    "rank_correlation": 0.9, "genomes": 40, "seconds": 3.0,
}  # fmt: skip


def test_a_machine_file_is_read_in_one_way(tmp_path):
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"calibration": CALIBRATION, "host": "x"}))
    found = read_calibration(path)
    assert found.model == FpsModel((0.5,) * len(FEATURES))
    assert (found.genomes, found.seconds) == (40, 3.0)


@pytest.mark.parametrize(
    "calibration",
    [
        None,
        [],
        {},
        {**CALIBRATION, "model": {"coefficients": [1.0]}},
        {**CALIBRATION, "model": {"coefficients": [-1.0] * len(FEATURES)}},
        {**CALIBRATION, "model": {"coefficients": [float("nan")] * len(FEATURES)}},
        {**CALIBRATION, "model": {"coefficients": ["x"] * len(FEATURES)}},
        {**CALIBRATION, "seconds": "long"},
        {k: v for k, v in CALIBRATION.items() if k != "genomes"},
    ],
)
def test_what_is_no_machine_file(calibration, tmp_path):
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"calibration": calibration}))
    with pytest.raises(UserError, match=f"{path}: "):
        read_calibration(path)
