from itertools import pairwise

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from nas.report import pareto
from nas.report.axes import axes_of
from nas.report.course import course_picture
from nas.report.labels import place_labels
from nas.report.pareto import objectives_figure, pareto_picture
from nas.report.plots import confusion_figure, curves_png, saliency_png, write_figure
from nas.report.table import percents, table


def test_table_is_aligned():
    rows = [{"name": "a", "n": 1234567, "x": 0.5}, {"name": "longer", "n": 1, "x": None}]
    text = table(rows, [("name", "name", ""), ("n", "count", ",.0f"), ("x", "share", ".2f")])
    assert text.splitlines() == [
        "name        count  share",
        "------  ---------  -----",
        "a       1,234,567   0.50",
        "longer          1      -",
    ]


def test_shares_are_told_in_percent():
    rows = [{"share": 0.12345, "ends": percents([0.1, 0.256])}, {"share": None, "ends": None}]
    text = table(rows, [("share", "of all %", "%.2f"), ("ends", "interval", "")])
    assert text.splitlines()[2:] == ["   12.35  10.0..25.6", "       -  -"]


def test_a_confusion_has_percents_of_the_true_class():
    (axes,) = confusion_figure([[6, 2], [3, 1]], ("yes", "no"), "a title").axes
    assert [text.get_text() for text in axes.texts] == ["75%\n6", "25%\n2", "75%\n3", "25%\n1"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_an_empty_table_has_its_headers():
    assert table([], [("n", "count", ".0f")]).splitlines()[0] == "count"


def drawn(path):
    picture = cv2.imread(str(path))
    assert min(picture.shape[:2]) > 200
    assert picture.std() > 5
    return picture


def test_pictures_can_be_read(tmp_path):
    history = [
        {"epoch": e, "train_loss": 2 / e, "validation_loss": 2.1 / e, "lr": 0.1,
         "validation_accuracy": 0.1 * e, "seconds": 1.0}
        for e in (1, 2, 3)
    ]  # fmt: skip
    curves_png(tmp_path / "curves.png", history, "a title")
    write_figure(
        tmp_path / "confusion.png", confusion_figure([[5, 1], [0, 0]], ("yes", "no"), "a title")
    )
    drawn(tmp_path / "curves.png")
    drawn(tmp_path / "confusion.png")


def test_maps_of_evidence_say_what_is_missing(tmp_path):
    item = {"image": np.zeros((8, 8)), "map": np.eye(8), "answer": "sad", "probability": 0.9}
    saliency_png(tmp_path / "with.png", {"right": [item] * 3, "wrong": []}, "a title")
    saliency_png(tmp_path / "without.png", {"right": [item] * 3}, "a title")
    first, second = drawn(tmp_path / "with.png"), drawn(tmp_path / "without.png")
    assert first.shape == second.shape  # an empty group takes no room
    assert (first != second).any()  # its title tells of it


def test_names_are_no_formulas(tmp_path, overview):
    r"""`$a_b^$` as a class, a metric or a data set is text; matplotlib would read mathematics."""
    name = r"$a_b^$ \frac$"
    write_figure(tmp_path / "c.png", confusion_figure([[5, 1], [0, 3]], (name, "no"), name))
    drawn(tmp_path / "c.png")
    rows = [{**n, "metrics": {name: n["metrics"]["accuracy"], "params": n["metrics"]["params"]}}
            for n in overview["networks"]]  # fmt: skip
    measure, axes = axes_of(((name, True), ("params", False)), [n["metrics"] for n in rows])
    changed = {"data": name, "networks": rows, "measure": measure, "axes": axes, "references": []}
    pareto_picture(tmp_path / "p.png", {**overview, **changed})
    drawn(tmp_path / "p.png")


@pytest.fixture
def overview():
    networks = [
        {"id": i, "index": n, "status": "ok", "front": i != "c",
         "metrics": {"accuracy": a, "params": p, "macs": 10 * p, "fps": f}}
        for n, (i, a, p, f) in enumerate(
            (("a", 0.3, 1e5, 900.0), ("b", 0.5, 5e5, 400.0), ("c", 0.4, 9e5, 300.0)))
    ]  # fmt: skip
    networks[0] |= {"low": 0.25, "high": 0.35}
    reference = {**networks[2], "name": "proposed", "published": 0.6852}
    objectives = (("accuracy", True), ("params", False), ("fps", True))
    measure, axes = axes_of(objectives, [n["metrics"] for n in networks])
    return {"space": "s", "data": "d", "best": "b", "networks": networks, "baseline": None,
            "references": [reference], "measure": measure, "axes": axes}  # fmt: skip


@pytest.mark.slow
def test_the_front_as_pictures(tmp_path, overview):
    pareto_picture(tmp_path / "p.png", overview)
    drawn(tmp_path / "p.png")
    pareto_picture(tmp_path / "p.svg", overview, published=True)
    drawing = (tmp_path / "p.svg").read_text()
    assert drawing.count("<svg") == 1
    assert "Pareto front by believed accuracy, as measured" in drawing
    del overview["networks"][0]["low"]  # as while a search goes on
    pareto_picture(tmp_path / "p.svg", overview)
    assert "believed" not in (tmp_path / "p.svg").read_text()
    pareto_picture(tmp_path / "p.pdf", {**overview, "references": []})
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("decades", [1, 2, 4, 6])
def test_numbers_of_a_logarithmic_axis_stay_apart(tmp_path, decades):
    rows = [{"accuracy": 0.5, "params": 2000 * 10**n, "fps": 10 + n, "front": n > 1}
            for n in range(decades + 1)]  # fmt: skip
    figure = objectives_figure(rows, (("accuracy", True), ("params", False), ("fps", True)), "t")
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        shown = [t for t in axes.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
        boxes = [t.label1.get_window_extent() for t in shown if t.label1.get_text()]
        assert len(boxes) > 1
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_shares_are_drawn_as_the_percentages_that_their_axes_say(monkeypatch, tmp_path):
    """macro F1 and balanced accuracy were drawn from 0 to 1, under a label of percents."""
    rows = [{"macro_f1": 0.5, "balanced_accuracy": 0.4, "front": True}]
    figure = objectives_figure(rows, [("macro_f1", True), ("balanced_accuracy", True)], "a title")
    (axes,) = figure.axes
    assert axes.collections[0].get_offsets().tolist() == [[40, 50]]
    assert axes.get_xlabel().endswith("(%)")
    written = []
    monkeypatch.setattr(pareto, "write_figure", lambda path, figure: written.append(figure))
    network = {"id": "a", "index": 0, "status": "ok", "front": True,
               "metrics": {"accuracy": 0.5, "macro_f1": 0.4}}  # fmt: skip
    objectives = (("accuracy", True), ("macro_f1", True))
    measure, others = axes_of(objectives, [network["metrics"]])
    pareto_picture(tmp_path / "p.png", {
        "space": "s", "data": "d", "best": "a", "networks": [network], "baseline": None,
        "references": [], "measure": measure, "axes": others,
    })  # fmt: skip
    marks = [c.get_offsets().tolist() for c in written[0].axes[0].collections]
    assert [[40, 50]] in marks
    assert not any(mark for mark in marks if mark not in ([], [[40, 50]]))


def test_where_less_is_better_the_boundary_lies_on_the_points():
    rows = [{"ms": 3, "params": 10, "front": True}, {"ms": 1, "params": 100, "front": True}]
    figure = objectives_figure(rows, [("ms", False), ("params", False)], "a title")
    (line,) = figure.axes[0].lines
    assert line.get_xydata().tolist() == [[10, 3], [100, 3], [100, 1]]


@pytest.mark.slow
@pytest.mark.parametrize("baseline", [None, {"algorithm": "random", "hypervolume": [[1, 2, 0.1]]}])
def test_the_course_as_a_picture(tmp_path, baseline):
    points = [{"measured": a, "predicted": a + 0.01, "low": a - 0.1, "high": a + 0.1}
              for a in (0.3, 0.4)]  # fmt: skip
    measure, _ = axes_of((("accuracy", True), ("params", False)), [])
    course = {
        "measure": measure, "hypervolume": [[1, 2.0, 0.1], [9, 90.0, 0.4]], "baseline": baseline,
        "surrogate": {"points": points, "rank_correlation": 0.9, "before": True},
    }  # fmt: skip
    course_picture(tmp_path / "c.png", course)
    drawn(tmp_path / "c.png")
    course_picture(tmp_path / "c.svg", {**course, "surrogate": None})
    assert "<svg" in (tmp_path / "c.svg").read_text()


def test_labels_cover_neither_marks_nor_each_other():
    figure = Figure(figsize=(5, 4), dpi=100)
    axes = figure.subplots()
    marks = np.random.default_rng(0).uniform(0, 1, (40, 2))
    axes.scatter(*marks.T)
    labels = [(f"name {i}", *marks[i], "black") for i in range(6)]
    place_labels(axes, labels, marks)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 6
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(*at) for at in axes.transData.transform(marks))
