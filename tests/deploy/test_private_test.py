"""The test split is read once: what is left by a kill before, amid and after the reading."""

import json

import pytest
import torch

from nas.common.errors import UserError
from nas.deploy.private_test import FILE, key_of, read_once

FIGURES = [{"single": {"accuracy": 0.5}, "views": "flip"}]


class Split:
    """Counts how often it is looked at; killed: amid the first look."""

    def __init__(self, killed=False):
        self.looks, self.killed = 0, killed

    def __call__(self):
        self.looks += 1
        if self.killed and self.looks == 1:
            raise KeyboardInterrupt
        return FIGURES


def test_whoever_is_killed_after_the_reading_takes_what_was_found(tmp_path):
    split = Split()
    assert read_once(tmp_path, "key", split) == (FIGURES, 1)
    assert read_once(tmp_path, "key", split) == (FIGURES, 1)
    assert split.looks == 1


def test_whoever_is_killed_amid_it_reads_again_and_says_so(tmp_path):
    split = Split(killed=True)
    with pytest.raises(KeyboardInterrupt):
        read_once(tmp_path, "key", split)
    assert json.loads((tmp_path / FILE).read_text()) == {"reads": 1}  # before the look
    assert read_once(tmp_path, "key", split) == (FIGURES, 2)
    assert read_once(tmp_path, "key", split) == (FIGURES, 2)
    assert split.looks == 2


def test_other_networks_are_another_reading(tmp_path):
    split = Split()
    read_once(tmp_path, "key", split)
    assert read_once(tmp_path, "other", split) == (FIGURES, 2)


def test_a_number_alone_is_of_version_0_1(tmp_path):
    (tmp_path / FILE).write_text("1")
    assert read_once(tmp_path, "key", Split()) == (FIGURES, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("many", "not valid JSON"),
        ("[]", "reads: must be a number"),
        ("-1", "reads: must be in"),
        (
            '{"reads": 1, "figures": [1], "key": "key", "sha256": "0"}',
            "not those that were",
        ),
    ],
)
def test_a_damaged_count_is_never_begun_anew(tmp_path, text, message):
    (tmp_path / FILE).write_text(text)
    split = Split()
    with pytest.raises(UserError, match=message):
        read_once(tmp_path, "key", split)
    assert split.looks == 0
    assert (tmp_path / FILE).read_text() == text


def test_the_key_is_of_the_weights_and_of_what_is_asked():
    weights = {"a": torch.ones(2), "b": torch.zeros(3)}
    key = key_of([weights], {"seeds": [0]})
    assert key == key_of([{name: weights[name].clone() for name in "ba"}], {"seeds": [0]})
    assert key != key_of([{**weights, "a": torch.tensor([1.0, 1.001])}], {"seeds": [0]})
    assert key != key_of([weights], {"seeds": [1]})
