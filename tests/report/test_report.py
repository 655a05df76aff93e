import cv2
import pytest

from nas.report import confusion_png, curves_png, pareto_png, table


def test_table_is_aligned():
    rows = [{"name": "a", "n": 1234567, "x": 0.5}, {"name": "longer", "n": 1, "x": None}]
    text = table(rows, [("name", "name", ""), ("n", "count", ",.0f"), ("x", "share", ".2f")])
    assert text.splitlines() == [
        "name        count  share",
        "------  ---------  -----",
        "a       1,234,567   0.50",
        "longer          1      -",
    ]


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
    confusion_png(tmp_path / "confusion.png", [[5, 1], [0, 0]], ("yes", "no"), "a title")
    drawn(tmp_path / "curves.png")
    drawn(tmp_path / "confusion.png")


@pytest.mark.parametrize("references", [{}, {"proposed": {"id": "b"}}])
def test_the_pareto_picture(tmp_path, references):
    points = [
        {"id": i, "accuracy": a, "params": p, "fps": f}
        for i, a, p, f in (("a", 0.3, 1e5, 900.0), ("b", 0.5, 5e5, 400.0), ("c", 0.4, 9e5, 300.0))
    ]
    marked = dict.fromkeys(references, points[1])
    pareto_png(tmp_path / "p.png", points, {"a", "b"}, "b", marked, "space: 3 networks")
    drawn(tmp_path / "p.png")
