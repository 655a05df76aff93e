import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from nas.report.metrics import (
    calibration_error,
    class_scores,
    classification_report,
    mean_interval,
    summarise,
    wilson_interval,
)


def one_hot(predicted, n=3):
    return np.eye(n)[predicted] * 0.8 + 0.2 / n


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 4, 500), rng.dirichlet(np.ones(4), 500)
    found = classification_report(labels, p, ("a", "b", "c", "d"))
    predicted = p.argmax(1)
    assert found["accuracy"] == accuracy_score(labels, predicted)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["weighted_f1"] == pytest.approx(f1_score(labels, predicted, average="weighted"))
    assert found["accuracy_interval"][0] < found["accuracy"] < found["accuracy_interval"][1]
    assert sum(map(sum, found["confusion"])) == found["n"] == 500


def test_by_hand():
    found = classification_report([0, 0, 1, 1, 2], one_hot([0, 1, 1, 1, 0]), ("a", "b", "c"))
    assert found["confusion"] == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]  # rows are true classes
    assert found["accuracy"] == 0.6
    assert found["per_class"]["b"] == {
        "precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8), "support": 2,
    }  # fmt: skip
    assert found["per_class"]["c"]["f1"] == 0.0
    assert found["nll"] == pytest.approx(-(3 * np.log(0.8 + 0.2 / 3) + 2 * np.log(0.2 / 3)) / 5)


def test_a_class_that_does_not_occur_is_no_error():
    found = classification_report([0, 1], one_hot([0, 1]), ("a", "b", "c"))
    assert found["per_class"]["c"] == {"precision": 0.0, "recall": None, "f1": None, "support": 0}
    assert found["macro_f1"] == 1.0  # of the two that occur
    assert found["weighted_f1"] == 1.0
    assert found["macro_precision"] == found["macro_recall"] == 1.0


def test_interval_of_fer2013():
    low, high = wilson_interval(2459, 3589)  # 68.5 %
    assert (high - low) / 2 == pytest.approx(0.0152, abs=2e-4)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0)


def test_calibration_error_by_hand():
    # 10 at confidence 0.9 of which 6 are right, 10 at 0.5 of which 5 are: 0.5 * 0.3 + 0.5 * 0.
    right = np.array([1] * 6 + [0] * 4 + [1] * 5 + [0] * 5)
    assert calibration_error(right, np.repeat([0.9, 0.5], 10)) == pytest.approx(0.15)
    # 6 of 10 at 0.9, 9 of 10 at 0.6: too sure and too unsure do not make up for one another.
    right = np.array([1] * 6 + [0] * 4 + [1] * 9 + [0])
    assert calibration_error(right, np.repeat([0.9, 0.6], 10)) == pytest.approx(0.3)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        classification_report([0], [[np.nan, 1.0]], ("a", "b"))
    with pytest.raises(ValueError, match="do not fit"):
        classification_report([], np.empty((0, 2)), ("a", "b"))


def test_mean_and_spread_of_seeds():
    assert summarise([0.5, 0.6, 0.7]) == {"mean": pytest.approx(0.6), "std": pytest.approx(0.1)}
    assert summarise([0.5]) == {"mean": 0.5, "std": None}


def test_a_mean_with_its_interval():
    found = mean_interval([1.0, 2.0, 3.0])
    assert (found["count"], found["mean"]) == (3, 2.0)
    assert found["high"] - found["mean"] == pytest.approx(4.302653 / 3**0.5, rel=1e-5)  # t, 2 df
    assert mean_interval([1.0]) == {"count": 1, "mean": 1.0, "low": None, "high": None}
    found = mean_interval([0.6, 0.7], share=True)  # 0.65 +- 12.7062 * 0.05
    assert (found["low"], found["high"]) == (pytest.approx(0.0146898, abs=1e-6), 1.0)
    assert mean_interval([0.6, 0.7])["high"] == pytest.approx(1.2853102)


def test_rare_classes_count_as_much_in_macro_f1_and_balanced_accuracy():
    """By hand. 8 images of class 0, all right; 2 of class 1, one right; none of class 2."""
    found = class_scores([[8, 0, 0], [1, 1, 0], [0, 0, 0]])
    assert found == {
        "accuracy": pytest.approx(0.9),
        "macro_f1": pytest.approx((16 / 17 + 2 / 3) / 2),
        "balanced_accuracy": pytest.approx((1 + 0.5) / 2),
    }
    always_the_first = class_scores([[9, 0], [1, 0]])
    assert always_the_first["accuracy"] == 0.9
    assert always_the_first["balanced_accuracy"] == 0.5
    assert always_the_first["macro_f1"] == pytest.approx(18 / 19 / 2)
