"""Mixup and CutMix: labels mixed by the share of the pixels."""

import pytest
import torch

from nas.training.augment import mix
from nas.training.recipe import Recipe


@pytest.mark.parametrize("settings", [{"mixup_alpha": 1.0}, {"cutmix_alpha": 1.0}])
def test_labels_get_the_share_of_the_pixels(settings):
    """One batch of white images of class 0 and black ones of class 1."""
    white = torch.randperm(64, generator=torch.Generator().manual_seed(1)) < 32
    images = white.float().view(-1, 1, 1, 1).repeat(1, 1, 12, 12)
    labels = torch.stack([white, ~white], 1).float()
    x, y = mix(images, labels, Recipe(**settings), torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.mean((1, 2, 3)), y[:, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(y.sum(1), torch.ones(64))
    assert float(y[:, 0].std()) > 0.02
    values = x.unique()
    assert len(values) == 2 if "cutmix_alpha" in settings else len(values) > 2


def test_each_batch_takes_one_of_both():
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.zeros(8, 1, 12, 12), torch.eye(8)
    images[:4] = 1
    kinds = set()
    for _ in range(30):
        x, _ = mix(images, labels, Recipe(mixup_alpha=1.0, cutmix_alpha=1.0), generator)
        kinds.add(len(x.unique()) > 2)
    assert kinds == {True, False}
