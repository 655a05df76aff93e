"""The phrases of messages."""

from nas.common.errors import did_you_mean, first_line


def test_the_nearest_word_is_told_by_its_name_or_its_place():
    """Of a mapping, such as metrics with their values, the names are the words."""
    assert did_you_mean("acuracy", {"accuracy": 0.5}) == " (did you mean 'accuracy'?)"
    assert did_you_mean("epoch", ["lr", "epochs"], {"epochs": "fidelity.epochs"}) == (
        " (did you mean 'fidelity.epochs'?)"
    )
    assert did_you_mean("nothing", ["lr", "epochs"]) == did_you_mean(3, [3]) == ""


def test_a_heading_is_told_with_what_it_heads():
    heading = "Error(s) in loading state_dict for Sequential:"
    missing = '\tMissing key(s) in state_dict: "0.weight".'
    told = first_line(RuntimeError(f"{heading}\n{missing}\n\tUnexpected key(s): none."))
    assert told == f"{heading} {missing.strip()}"
    assert first_line(RuntimeError("a line\nand another")) == "a line"
    assert first_line(RuntimeError("alone:")) == "alone:"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(RuntimeError(f"{heading}\n" + "x" * 10_000))) == 300
