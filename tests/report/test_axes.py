"""Which metric is drawn against which."""

import pytest

from nas.report.axes import axes_of, axis

METRICS = {"accuracy": 0.5, "loss": 1.5, "joules": 3.0, "params": 1e5, "macs": 1e6, "fps": 900.0}


@pytest.mark.parametrize(
    ("objectives", "measure", "others"),
    [
        ("accuracy params", "accuracy", "params macs fps"),
        ("params joules", "joules", "params macs fps"),  # first what the genome does not tell
        ("fps params", "fps", "params macs"),
        ("loss accuracy", "accuracy", "loss params macs"),
        ("accuracy loss joules params", "accuracy", "loss joules params"),  # no room for context
    ],
)
def test_objectives_first_then_costs_as_long_as_there_is_room(objectives, measure, others):
    wanted = [(name, name in ("accuracy", "fps")) for name in objectives.split()]
    first, rest = axes_of(wanted, [METRICS])
    assert first["name"] == measure
    assert [row["name"] for row in rest] == others.split()


def test_an_axis_is_logarithmic_where_it_is_wide_and_above_0():
    found = [axis("joules", False, ends)["log"] for ends in ((1, 9), (1, 10), (0, 10), (-1, 10))]
    assert found == [False, True, False, False]
    assert axis("params", False, (100, 200))["log"]
