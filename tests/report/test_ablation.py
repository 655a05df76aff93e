from itertools import pairwise

import cv2
import pytest

from nas.report.ablation import ablation_table
from nas.report.plots import ablation_figure, write_figure

ACCURACY = {"name": "accuracy", "share": True, "maximize": True}


def row(name, mean, **more):
    gain = {"count": 3, "mean": mean, "low": mean - 0.01, "high": mean + 0.01}
    accuracy = {"count": 3, "mean": 0.5 - mean, "low": None, "high": None}
    return {"name": name, "id": name, "params": 1000, "macs": 2000, "ours": "a", "theirs": "b",
            "value": accuracy, "gain": gain} | more  # fmt: skip


@pytest.fixture
def result():
    base = row("the network itself", 0.0, ours=None, theirs=None, gain=None)
    return {
        "measure": ACCURACY,
        "seeds": [0, 1, 2],
        "rows": [base, row("stem.kernel", -0.02), row("bias", 0.03)],
    }


def test_the_most_valuable_gene_comes_first(result):
    lines = ablation_table(result).splitlines()[2:]
    assert [line.split("  ")[0] for line in lines] == ["the network itself", "bias", "stem.kernel"]
    assert "+3.00  +2.00 to +4.00" in lines[1]
    assert "-2.00  -3.00 to -1.00" in lines[2]


def test_a_measure_that_is_no_share_has_its_own_numbers(result):
    found = result | {"measure": {"name": "energy_uj", "share": False, "maximize": False}}
    lines = ablation_table(found).splitlines()
    assert "energy uj" in lines[0]
    assert "%" not in lines[0].replace("95 % interval", "")
    assert "+0.03  +0.02 to +0.04" in lines[3]


def test_the_picture(tmp_path, result):
    write_figure(tmp_path / "a.png", ablation_figure(result, "a title"))
    assert cv2.imread(str(tmp_path / "a.png")).std() > 5
    nothing = {"measure": ACCURACY, "seeds": [0], "rows": []}
    write_figure(tmp_path / "b.png", ablation_figure(nothing, "nothing yet"))


def test_long_names_stay_in_the_picture(result):
    kinds = ", ".join(["inverted"] * 9)
    gain = {"count": 3, "mean": 0.02, "low": None, "high": 0.03}
    long = row("stages.1.blocks", 0.02, ours=kinds, theirs=kinds, gain=gain | {"low": 0.01})
    figure = ablation_figure(result | {"rows": [*result["rows"], long]}, "a title")
    figure.draw_without_rendering()
    texts = [figure._supxlabel, figure._suptitle, *figure.axes[0].get_yticklabels()]
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
    boxes = sorted((t.get_window_extent() for t in texts[2:]), key=lambda b: b.y0)
    assert all(a.y1 <= b.y0 for a, b in pairwise(boxes))
