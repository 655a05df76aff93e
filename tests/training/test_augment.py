"""Augmentation on batches, against what each setting promises."""

import dataclasses

import pytest
import torch

from nas.training.augment import augment, centre_crop, random_crop
from nas.training.recipe import Augment

OFF = {"flip": 0.0, "probability": 0.0, "shift": 0.0, "scale": 0.0, "rotate": 0.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def faces(n=64, side=24):
    torch.manual_seed(1)
    coarse = torch.rand(n, 1, 5, 5) * 255
    return torch.nn.functional.interpolate(coarse, size=side, mode="bilinear")


def dot(side=25):
    image = torch.zeros(400, 1, side, side)
    image[:, :, side // 2 - 1 : side // 2 + 2, side // 2 - 1 : side // 2 + 2] = 255
    return image


def centre_of_mass(images):
    grid = torch.arange(images.shape[-1], dtype=torch.float32)
    total = images.sum((1, 2, 3))
    x = (images.sum((1, 2)) * grid).sum(1) / total
    y = (images.sum((1, 3)) * grid).sum(1) / total
    return x, y


def test_off_changes_nothing():
    x = faces()
    assert torch.equal(augment(x, Augment(**OFF), generator()), x)


def test_the_same_generator_the_same_pixels():
    x, settings = faces(), Augment(erase=0.5)
    first = augment(x, settings, generator(3))
    assert torch.equal(first, augment(x, settings, generator(3)))
    assert not torch.equal(first, augment(x, settings, generator(4)))
    assert first.shape == x.shape
    assert torch.isfinite(first).all()


@pytest.mark.parametrize("geometric", [False, True])
def test_flip_mirrors_exactly(geometric):
    x = faces()
    moves = {"probability": 1.0, "rotate": 1e-6} if geometric else {}
    mirrored = augment(x, Augment(**{**OFF, **moves, "flip": 1.0}), generator())
    torch.testing.assert_close(mirrored, x.flip(3), atol=0.02, rtol=0)


def test_half_of_the_images_are_mirrored():
    x = faces(1000)
    out = augment(x, Augment(**{**OFF, "flip": 0.5}), generator())
    mirrored = (out == x.flip(3)).all(3).all(2).all(1)
    assert 430 < int(mirrored.sum()) < 570
    assert ((out == x).all(3).all(2).all(1) | mirrored).all()


def test_shift_stays_within_its_share():
    out = augment(dot(), Augment(**{**OFF, "probability": 1.0, "shift": 0.2}), generator())
    for place in centre_of_mass(out):
        moved = (place - 12).abs()
        assert 4.0 < float(moved.max()) <= 5.01  # 0.2 of 25 pixels
        assert 2.0 < float(moved.mean()) < 3.0  # uniform


def test_scale_stays_within_its_share():
    x = torch.zeros(300, 1, 60, 60)
    x[:, :, 20:40, 20:40] = 1.0
    out = augment(x, Augment(**{**OFF, "probability": 1.0, "scale": 0.2}), generator())
    side = out.sum((1, 2, 3)).sqrt() / 20
    assert 0.82 < float(side.min()) < 0.87
    assert 1.15 < float(side.max()) < 1.27


def test_rotation_turns_about_the_centre():
    x = torch.zeros(300, 1, 41, 41)
    x[:, :, 20, 4:37] = 1.0  # a level bar
    out = augment(x, Augment(**{**OFF, "probability": 1.0, "rotate": 30}), generator())
    ends = out[:, 0, :, 33]  # 13 pixels right of the centre
    rows = torch.arange(41, dtype=torch.float32)
    height = (ends * rows).sum(1) / ends.sum(1).clamp(min=1e-6) - 20
    angle = torch.rad2deg(torch.atan2(height, torch.tensor(13.0)))
    assert 26 < float(angle.abs().max()) < 33
    assert abs(float(angle.mean())) < 4  # both ways


def test_a_mirrored_image_is_rotated_not_sheared():
    x = faces(200)
    settings = Augment(**{**OFF, "probability": 1.0, "rotate": 30, "scale": 0.2, "flip": 1.0})
    mirrored = augment(x, settings, generator())
    plain = augment(x, dataclasses.replace(settings, flip=0.0), generator())
    assert float((mirrored - plain.flip(3)).abs().max()) < 0.1  # of 255
    assert float((plain - x).abs().max()) > 50


def test_geometric_changes_happen_with_their_probability():
    x = faces(1000)
    settings = Augment(**{**OFF, "probability": 0.3, "rotate": 20})
    out = augment(x, settings, generator())
    changed = (out - x).abs().amax((1, 2, 3)) > 0.5
    assert 240 < int(changed.sum()) < 360


def test_erasing_blanks_one_rectangle():
    x = torch.full((500, 1, 48, 48), -1.0)
    out = augment(x, Augment(**{**OFF, "erase": 0.5}), generator())
    share = (out >= 0).float().mean((1, 2, 3))
    erased = share > 0
    assert 190 < int(erased.sum()) < 310
    assert float(share[erased].min()) > 0.01
    assert float(share.max()) < 0.3
    for image in out[erased][:20, 0]:
        inside = image >= 0
        rows, columns = inside.any(1), inside.any(0)
        assert inside.sum() == rows.sum() * columns.sum()  # a full rectangle
        assert len(image[inside].unique()) == 1  # of one grey


def test_crops():
    x = torch.arange(2 * 10 * 10, dtype=torch.float32).view(2, 1, 10, 10)
    assert torch.equal(centre_crop(x, 6, 8), x[:, :, 2:8, 1:9])
    many = x[:1].repeat(300, 1, 1, 1)
    crops = random_crop(many, 6, 8, generator())
    corners = {(int(v) // 10, int(v) % 10) for v in crops[:, 0, 0, 0]}
    assert corners == {(r, c) for r in range(5) for c in range(3)}
    assert all(torch.equal(crop[0, :, 0], crop[0, 0, 0] + 10 * torch.arange(6)) for crop in crops)
