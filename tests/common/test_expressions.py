"""Names of expressions, as data sets have them."""

from nas.common.expressions import are_expressions, canonical


def test_one_word_for_one_expression():
    assert canonical("Surprised") == "surprise"
    assert canonical("AF") == canonical("Afraid") == "fear"
    assert canonical("Apple") == "apple"


def test_classes_of_faces_are_told_by_their_names():
    assert are_expressions(("Happiness", "other"))
    assert are_expressions(("Contempt",))
    assert not are_expressions(("pomme rouge", "größe", "日本"))
