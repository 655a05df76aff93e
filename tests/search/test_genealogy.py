"""Lines of descent and what each kind of change gained."""

import numpy as np
import pytest
from fakes import evaluation

from nas.search import genealogy


def child(genotype, index, accuracy, parents=()):
    """As a search that records parents makes it."""
    return evaluation(genotype.genome, index, accuracy, parents=parents)


@pytest.fixture
def family(quick):
    """A seed genome, a mutant of its dropout, a mutant of that, and a stranger."""
    rng = np.random.default_rng(0)
    seed = quick.sample(rng)
    path = ("head", "dropout")
    choices = dict(seed.sites())[path]
    other = next(c for c in choices if c != seed.head.dropout)
    second = seed.with_gene(path, other)
    third = quick.mutate(second, rng)
    return [
        child(seed, 0, 0.3), child(second, 1, 0.4, (seed.id,)),
        child(third, 2, 0.45, (second.id,)), child(quick.sample(rng), 3, 0.2),
    ]  # fmt: skip


def test_the_line_from_the_seed_to_the_winner(family, quick):
    found = genealogy.trace(family, family[2], [family[0].genome], quick)
    assert found["line"] == [e.id for e in family[:3]]
    dropout = next(row for row in found["paid"] if row["change"] == "dropout of the head")
    assert dropout["mean"] == pytest.approx(0.1)
    assert dropout["count"] == 1


def test_changes_are_compared_where_none_are_recorded(family, quick):
    by_id = {e.id: e for e in family}
    (change,) = genealogy.changes_of(family[1], by_id, quick)
    assert change["gene"] == "head.dropout"
    assert change["new"] == family[1].genome.head.dropout or change["new"] > 0
    assert genealogy.changes_of(family[0], by_id, quick) == []
    assert genealogy.changes_of(family[1], {}, quick) == []  # the parent is unknown


def test_children_of_two_parents_count_as_crossover(family, quick):
    both = child(quick.sample(np.random.default_rng(5)), 4, 0.5, (family[0].id, family[1].id))
    (row, *_) = genealogy.trace([*family, both], both, [], quick)["paid"]
    assert (row["change"], row["count"]) == ("crossover", 1)
    assert row["mean"] == pytest.approx(0.2)


def test_where_less_is_better_a_fall_is_what_paid(family, quick):
    up, down = (
        {row["change"]: row["mean"] for row in genealogy.trace(
            family, family[2], [], quick, "accuracy", maximize)["paid"]}
        for maximize in (True, False)
    )  # fmt: skip
    assert up.keys() == down.keys() != set()
    assert all(down[change] == -gain for change, gain in up.items())


def test_a_run_without_parents_has_no_line(proposed, quick):
    found = genealogy.trace([evaluation(proposed)], evaluation(proposed), [], quick)
    assert found == {"line": [], "paid": []}


def test_a_circle_of_parents_ends(family, quick):
    circle = family[:2]
    two = [evaluation(e.genome, i, parents=(circle[1 - i].id,)) for i, e in enumerate(circle)]
    assert len(genealogy.trace(two, two[0], [], quick)["line"]) == 2


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"gene": "stages.1.blocks.0.kernel", "old": 3, "new": 5}, "kernel of a block"),
        ({"gene": "stages.1.blocks.2", "old": None, "new": {}}, "block inserted"),
        ({"gene": "stages.1.blocks.2", "old": {}, "new": None}, "block removed"),
        ({"gene": "stages.1.blocks.2", "old": {}, "new": {}}, "block replaced"),
        ({"gene": "stages.0.channels", "old": 1, "new": 2}, "channels of a stage"),
        ({"gene": "stem.stride", "old": 1, "new": 2}, "stride of the stem"),
        ({"gene": "bias", "old": True, "new": False}, "bias"),
    ],
)
def test_kinds_of_change_in_words(change, kind):
    assert genealogy.kind_of(change) == kind
