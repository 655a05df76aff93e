"""What a full training is given: which images it trains on, and what it is never given."""

import numpy as np
import pytest
import torch
from conftest import TINY, shaken

from nas.common.errors import UserError
from nas.data import SPLITS, search_split
from nas.deploy.checkpoint import save_weights
from nas.deploy.setup import set_up
from nas.training.recipe import Recipe


def given(dataset, **recipe):
    return set_up(TINY, dataset, Recipe(**recipe), None, (), "cpu")


def test_what_is_trained_on_is_what_the_recipe_says(faces):
    train, validation = faces.indices("train"), faces.indices("validation")
    for train_on, expected in (
        ("train", train),
        ("train+validation", np.concatenate([train, validation])),
        ("fit", search_split(faces)[0]),
    ):
        subsets = given(faces, train_on=train_on).subsets
        assert subsets["fit"].rows.tolist() == expected.tolist()
        for split in SPLITS:
            assert subsets[split].rows.tolist() == faces.indices(split).tolist()


def test_labels_are_the_votes_where_the_recipe_wants_them(faces):
    assert given(faces).subsets["fit"].targets is None
    with pytest.raises(UserError, match="has no votes"):
        given(faces, soft_labels=True)


def test_weights_to_begin_with_are_read(faces, tmp_path):
    model = shaken(TINY)
    save_weights(TINY, model, faces, tmp_path / "model.safetensors")
    setup = set_up(TINY, faces, Recipe(), tmp_path / "model.safetensors", (), "cpu")
    assert setup.initial.keys() == model.state_dict().keys()
    assert all(torch.equal(setup.initial[k], v) for k, v in model.state_dict().items())
    assert setup.origin == {"initial": str(tmp_path / "model.safetensors"), "teachers": []}
