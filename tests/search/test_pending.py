"""What a search asked for and was not told: over crashes, damage and many starts."""

from dataclasses import replace

import pytest

from nas.search import pending as module
from nas.search.archive import Fidelity
from nas.search.pending import Pending
from nas.training.evaluator import Task


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pending.jsonl"


@pytest.fixture
def pending(path):
    """Open until the test has looked at what it left, as after a crash."""
    opened = Pending.load(path, set())
    yield opened
    opened.close()


def task(genome, index, attempt=1):
    return Task(index, genome, Fidelity(2, 0.5), 7, attempt)


def test_a_crash_leaves_what_was_started_and_its_attempts(path, pending, proposed):
    for index in range(4):
        pending.start(task(proposed, index))
    pending.done(1)
    pending.start(task(proposed, 2, attempt=2))
    again = Pending.load(path, {0, 1})
    assert again.tasks == {2: task(proposed, 2, 2), 3: task(proposed, 3)}
    assert again.asked == 4


def test_an_end_in_good_order_takes_the_attempt_back(path, pending, proposed):
    pending.start(task(proposed, 0, attempt=2))
    pending.start(task(proposed, 1))
    pending.done(1)
    pending.close()
    again = Pending.load(path, {1})
    assert again.tasks == {0: task(proposed, 0, 1)}
    again.close()  # started nothing
    assert Pending.load(path, {1}).tasks == again.tasks


@pytest.mark.parametrize(
    "damage", [b"{ not whole", b"\0\0\0\n", b"[]\n", b'{"index":3}\n', b"\xff\n"]
)
def test_a_damaged_line_is_left_out(path, pending, proposed, damage):
    pending.start(task(proposed, 0))
    path.write_bytes(path.read_bytes() + damage)
    assert Pending.load(path, set()).tasks == {0: task(proposed, 0)}


def test_the_file_does_not_grow_for_ever(path, pending, proposed, monkeypatch):
    monkeypatch.setattr(module, "LINES_BEFORE_REWRITE", 10)
    for index in range(100):
        pending.start(task(proposed, index))
        if index:
            pending.done(index - 1)
    assert path.read_bytes().count(b"\n") < 20
    assert Pending.load(path, set()).tasks[99] == replace(task(proposed, 99), attempt=1)
