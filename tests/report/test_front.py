from nas.report import front_latex, front_of, front_table
from nas.report.front import staircase

ROW = {"id": "ab", "accuracy": 0.5, "params": 1234567, "macs": 2e6, "fps": 900.4, "fitness": 0.5,
       "epochs": 2, "front": True}  # fmt: skip


def test_the_front_without_the_rest_by_params():
    rows = [ROW, {**ROW, "id": "small", "params": 10}, {**ROW, "id": "no", "front": False}]
    assert [row["id"] for row in front_of(rows)] == ["small", "ab"]


def test_the_table_marks_the_best():
    line = front_table([ROW], "ab").splitlines()[-1].split()
    assert line == ["*", "ab", "50.00", "-", "1,234,567", "2.0", "900", "-", "0.5000", "2"]


def test_latex_escapes_names():
    text = front_latex([ROW], [{**ROW, "name": "a_b%\\input{x}", "accuracy": None}], "ab")
    assert r"\textbf{ab} & 50.00 & 1\,234\,567 & 2.0 & 900 \\" in text
    assert r"a\_b\%\textbackslash{}input\{x\} & -- &" in text


def test_a_staircase_has_the_corners_of_what_is_dominated():
    points = [(1, 10), (2, 30), (3, 20), (4, 40)]
    assert staircase(points, smaller=True) == [(1, 10), (2, 10), (2, 30), (4, 30), (4, 40)]
    assert staircase(points, smaller=False) == [(4, 40)]
