"""Models of other data: what is said before they label faces."""

from nas.deploy.preprocessing import ModelInfo
from nas.realtime.session import cautions


def of(*classes):
    return cautions(ModelInfo(1, 48, 48, classes, training_data="mine"), drawn=True)


def test_a_model_of_faces_needs_none():
    assert of("Happy", "calm") == []
    assert of("grün", "fear") == []


def test_another_model_is_shown_faces_all_the_same():
    (line,) = of("cat", "dog")
    assert "tells apart cat, dog (data: mine); this demo finds faces" in line
    assert "a, b, c, d, e, f, g, ..." in of(*"abcdefghi")[0]


def test_letters_that_cannot_be_drawn_are_named():
    (line,) = of("happy", "嬉しい")
    assert "the font has no '嬉しい'" in line
    assert cautions(ModelInfo(1, 48, 48, ("happy", "嬉しい")), drawn=False) == []


def test_a_class_that_is_called_as_what_is_below_the_threshold_is_told():
    (line,) = of("happy", "uncertain")
    assert "has a class 'uncertain', as faces are called whose strongest class is below" in line
