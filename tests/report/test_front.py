from nas.report.axes import axes_of
from nas.report.front import front_latex, front_of, front_table, staircase

METRICS = {"accuracy": 0.5, "params": 1234567, "macs": 2e6, "fps": 900.4}
ROW = {"id": "ab", "metrics": METRICS, "fitness": 0.5, "epochs": 2, "front": True}
MEASURE, AXES = axes_of((("accuracy", True), ("params", False), ("fps", True)), [METRICS])
ALL = [MEASURE, *AXES]


def test_the_front_without_the_rest_by_params():
    small = {**ROW, "id": "small", "metrics": {**METRICS, "params": 10}}
    rows = [ROW, small, {**ROW, "id": "no", "front": False}]
    assert [row["id"] for row in front_of(rows, ALL)] == ["small", "ab"]


def test_the_table_marks_the_best():
    line = front_table([ROW], "ab", ALL).splitlines()[-1].split()
    assert line == ["*", "ab", "50.00", "-", "1,234,567", "2.0", "900", "-", "0.5000", "2"]


def test_what_is_believed_has_its_deviation():
    row = {**ROW, "believed": 0.48, "low": 0.46, "high": 0.495}
    text = front_table([row], "ab", ALL)
    line = text.splitlines()[2].split()
    assert line[:7] == ["*", "ab", "50.00", "48.00", "46.00", "to", "49.50"]
    assert text.splitlines()[-1] == (
        "the front and * are chosen by the column believed: accuracy as the search believes it, "
        "its measurement pulled towards what like networks measured"
    )
    assert r"& 50.00 & $48.00^{+1.50}_{-2.00}$ &" in front_latex([row], [], None, ALL)


def test_objectives_of_the_users_own():
    """The measure is the first that only a measurement gives; axes know their directions."""
    metrics = {"joules": 3.5, "score": -2.0, "params": 100.0}
    measure, axes = axes_of((("joules", False), ("score", True)), [metrics])
    assert (measure["name"], measure["maximize"], measure["share"]) == ("joules", False, False)
    assert [(a["name"], a["maximize"], a["log"]) for a in axes] == [
        ("score", True, False), ("params", False, True)]  # fmt: skip
    row = {"id": "ab", "metrics": metrics, "epochs": 1, "front": True}
    assert front_of([row], [measure, *axes]) == [row]
    lines = front_table([row], "ab", [measure, *axes]).splitlines()
    assert lines[0].split() == ["id", "joules", "believed", "score", "params", "epochs"]
    assert lines[2].split() == ["*", "ab", "3.5", "-", "-2", "100", "1"]
    named = axes_of((("a_b", False), ("50%", True)), [])
    assert r"network & a\_b & 50\% \\" in front_latex([], [], None, [named[0], *named[1]])


def test_latex_escapes_names():
    bare = {**METRICS}
    del bare["accuracy"]
    text = front_latex([ROW], [{"name": "a_b%\\input{x}", "metrics": bare}], "ab", ALL)
    assert r"\textbf{ab} & 50.00 & 1\,234\,567 & 2.0 & 900 \\" in text
    assert r"a\_b\%\textbackslash{}input\{x\} & -- &" in text


def test_a_staircase_has_the_corners_of_what_is_dominated():
    points = [(1, 10), (2, 30), (3, 20), (4, 40)]
    assert staircase(points, smaller=True) == [(1, 10), (2, 10), (2, 30), (4, 30), (4, 40)]
    assert staircase(points, smaller=False) == [(4, 40)]
