from __future__ import annotations

import numpy as np
import pytest
from drawn import make

from nas.common.errors import UserError
from nas.data import check_input, duplicate_report, rows_without_copies, search_data, search_split
from nas.data.splits import stratified_parts


def test_search_split_is_fixed_stratified_and_inside_train():
    data = make(300)
    fit, held = search_split(data)
    np.testing.assert_array_equal(np.sort(np.concatenate([fit, held])), data.indices("train"))
    np.testing.assert_array_equal(np.bincount(data.labels[held]), [15, 15, 15])  # a quarter
    np.testing.assert_array_equal(search_split(data)[1], held)


@pytest.mark.parametrize(("train", "held_out"), [(1500, 375), (3000, 600), (9000, 900)])
def test_search_split_holds_out_600_or_a_tenth_of_more(train, held_out):
    data = make(train * 5 // 3, side=2)
    assert len(data.indices("train")) == train
    assert len(search_split(data)[1]) == pytest.approx(held_out, abs=2)


def test_search_split_keeps_copies_together():
    data = make(300)
    data.images[:150] = data.images[np.arange(150) // 3]  # triples under three labels
    fit, held = search_split(data)
    inside = {data.images[i].tobytes() for i in fit}
    assert not inside & {data.images[i].tobytes() for i in held}
    assert 41 <= len(held) <= 49


def test_search_split_too_few():
    data = make()
    data.images[:] = 0  # one group
    with pytest.raises(UserError, match="too few"):
        search_split(data)


def test_stratified_parts_shares():
    labels = np.repeat([0, 1], [200, 50])
    parts = stratified_parts(labels, np.arange(250), (0.8, 0.1, 0.1))
    np.testing.assert_array_equal(np.bincount(parts[labels == 0]), [160, 20, 20])
    np.testing.assert_array_equal(np.bincount(parts[labels == 1]), [40, 5, 5])


def test_stratified_parts_weigh_a_rare_class_as_a_common_one():
    """Subjects with 5 to 15 pictures of a common class, a quarter of them with one of a rare."""
    rng = np.random.default_rng(8)
    common = np.repeat(np.arange(40), rng.integers(5, 16, 40))
    labels = np.repeat([0, 1], [len(common), 10])
    parts = stratified_parts(labels, np.concatenate([common, np.arange(10)]), (0.8, 0.2))
    assert np.bincount(parts[labels == 1]).tolist() == [8, 2]


def test_stratified_parts_deal_out_large_groups_first():
    groups = np.array([*range(60), *[60] * 40])
    parts = stratified_parts(np.zeros(100, int), groups, (0.8, 0.1, 0.1))
    assert np.bincount(parts).tolist() == [80, 10, 10]


def test_duplicate_report():
    data = make(50)  # 30 train, 10, 10
    data.images[30] = data.images[0]  # validation row with a copy in train
    data.images[40:43] = data.images[1]  # three test rows
    data.images[49] = data.images[48]  # within test only
    data.images[5] = 9  # constant
    assert duplicate_report(data) == {
        "images": 50,
        "distinct": 45,
        "copies_in_train": {"validation": 1, "test": 3},
        "constant": 1,
        "conflicting_labels": 2,  # rows 1 and 40-42; 48 and 49; rows 0 and 30 agree
    }


def test_search_data_is_the_train_part_alone():
    data = make(300)
    found = search_data(data)
    fit, held_out = search_split(data)
    np.testing.assert_array_equal(found.images[found.fit], data.images[fit])
    np.testing.assert_array_equal(found.labels[found.held_out], data.labels[held_out])
    assert len(found.images) == len(data.indices("train"))
    np.testing.assert_array_equal(found.images, data.images[found.origin])


def test_rows_without_copies():
    data = make(50)  # 30 train, 10, 10
    data.images[30] = data.images[0]
    data.images[41:43] = data.images[1]
    data.images[45] = data.images[44]  # copies within test stay
    assert rows_without_copies(data, "validation").tolist() == list(range(31, 40))
    assert rows_without_copies(data, "test").tolist() == [40, *range(43, 50)]


def test_copies_are_of_whatever_was_trained_on():
    data = make(50)  # 30 train, 10, 10
    data.images[40] = data.images[0]
    data.images[41] = data.images[31]
    both, part = np.arange(40), np.arange(1, 30)
    assert rows_without_copies(data, "test", both).tolist() == list(range(42, 50))
    assert rows_without_copies(data, "validation", both).tolist() == []
    assert rows_without_copies(data, "test", part).tolist() == list(range(40, 50))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            (4, 1, 8, 8),
            r"space x: 4 classes: does not fit data set toy, which has 3 \('a', 'b', 'c'\)",
        ),
        ((3, 3, 8, 8), "space x: input 3x8x8 does not fit data set toy of 1x8x8.*--colour"),
        ((3, 1, 9, 8), "space x: input 1x9x8 does not fit"),
        ((3, 1, 8, 9), "space x: input 1x8x9 does not fit"),
    ],
)
def test_a_network_that_does_not_fit_the_images(wanted, message):
    check_input(make(), "space x", 3, 1, 8, 7)
    with pytest.raises(UserError, match=message):
        check_input(make(), "space x", *wanted)
