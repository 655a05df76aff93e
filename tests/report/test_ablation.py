import cv2
import pytest

from nas.report.ablation import ablation_picture, ablation_table

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
    ablation_picture(tmp_path / "a.png", result, "a title")
    assert cv2.imread(str(tmp_path / "a.png")).std() > 5
    ablation_picture(
        tmp_path / "b.png", {"measure": ACCURACY, "seeds": [0], "rows": []}, "nothing yet"
    )
