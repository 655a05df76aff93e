import dataclasses
import json

import numpy as np
import pytest

from nas.common.errors import UserError
from nas.deploy.preprocessing import METADATA_KEY, ModelInfo

GOOD = ModelInfo(1, 48, 40, ("angry", "happy"), margin=0.1, training_data="x", genome_id="ab")


def changed(**fields):
    data = json.loads(GOOD.to_metadata()[METADATA_KEY])
    data.update(fields)
    return {METADATA_KEY: json.dumps(data)}


def without(name):
    data = json.loads(GOOD.to_metadata()[METADATA_KEY])
    del data[name]
    return {METADATA_KEY: json.dumps(data)}


def test_round_trip():
    assert ModelInfo.from_metadata(GOOD.to_metadata(), "m.onnx") == GOOD


def test_files_of_version_0_1_name_their_genome_and_do_not_hold_it():
    (old,) = GOOD.to_metadata().values()
    data = {**json.loads(old), "format": "fer-nas.preprocessing/1", "extra": {}}
    del data["genome"]
    assert ModelInfo.from_metadata({METADATA_KEY: json.dumps(data)}, "m.onnx") == GOOD


def test_normalised_pixels():
    pixels = np.array([0, 127, 255], np.uint8)
    found = GOOD.normalise(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [-2.0, -0.5 / 63.75, 2.0], rtol=1e-6)
    other = dataclasses.replace(GOOD, mean=0.0, std=255.0)
    np.testing.assert_allclose(other.normalise(pixels), [0, 127 / 255, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "written by nas.retrain"),
        ({METADATA_KEY: "{"}, "not valid JSON"),
        ({METADATA_KEY: "[" * 100_000}, "not valid JSON"),
        ({METADATA_KEY: "[]"}, "format"),
        (changed(format="other/1"), "format"),
        (changed(height=10**9), r"height: must be in \[1, 1024\]"),
        (changed(height=True), "height"),
        (changed(channels=2), "channels"),
        (changed(classes=["one"]), "classes"),
        (changed(classes=["one", 2]), "classes"),
        (changed(classes=["one", "one"]), "none twice"),
        (changed(classes=["one", "x" * 101]), "1 to 100"),
        (changed(training_data="x" * (1 << 18)), "allowed at most"),
        (changed(std=0), "std"),
        (changed(std=float("nan")), "std: must be finite"),
        (changed(mean=float("inf")), "mean"),
        (changed(mean="127"), "mean"),
        (changed(margin=-1), "margin"),
        (changed(margin=float("nan")), "margin"),
        (without("margin"), "lacks field 'margin'"),
        (without("mean"), "lacks field 'mean'"),
        (changed(genome="x"), "genome: must be a mapping"),
        (changed(genome_id=7), "genome_id"),
        (changed(surprise=1), "unknown key 'surprise'"),
    ],
)
def test_bad_metadata_is_refused(metadata, message):
    with pytest.raises(UserError, match=message) as error:
        ModelInfo.from_metadata(metadata, "m.onnx")
    assert str(error.value).startswith("m.onnx")
