"""The epochs of a training, as written and as a damaged file has them."""

import pytest

from nas.common.errors import UserError
from nas.training.history import FILE, read_history, write_history

ROWS = [{"epoch": n, "train_loss": 1 / n, "validation_accuracy": 0.5} for n in (1, 2, 3)]


def test_what_is_written_is_read(tmp_path):
    write_history(tmp_path, ROWS)
    assert read_history(tmp_path) == ROWS
    write_history(tmp_path, [{"epoch": 1, "train_loss": 1e30}])  # finite, and not yet diverged
    assert read_history(tmp_path) == [{"epoch": 1, "train_loss": 2.0**63}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "jsonl:4: not valid JSON"),
        ("[1]", "jsonl:4: expected an epoch's figures by name, got"),
        ('{"train_loss": 1}', "jsonl:4: epoch: must be a number, got None"),
        ('{"epoch": 1, "train_loss": "low"}', "jsonl:4: train_loss: must be a number, got 'low'"),
        ('{"epoch": 1, "train_loss": NaN}', "jsonl:4: train_loss: must be finite"),
        ('{"epoch": 1, "\\u001b[2J": 1}', "a figure: expected a name of"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, message):
    write_history(tmp_path, ROWS)
    with open(tmp_path / FILE, "a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError) as error:
        read_history(tmp_path)
    assert message in str(error.value)
