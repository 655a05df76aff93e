"""The phrases of messages."""

from nas.common.errors import did_you_mean


def test_the_nearest_word_is_told_by_its_name_or_its_place():
    """Of a mapping, such as metrics with their values, the names are the words."""
    assert did_you_mean("acuracy", {"accuracy": 0.5}) == " (did you mean 'accuracy'?)"
    assert did_you_mean("epoch", ["lr", "epochs"], {"epochs": "fidelity.epochs"}) == (
        " (did you mean 'fidelity.epochs'?)"
    )
    assert did_you_mean("nothing", ["lr", "epochs"]) == did_you_mean(3, [3]) == ""
