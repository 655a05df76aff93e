"""What is in flight, and what a crash leaves of it."""

import json
from dataclasses import replace

import pytest

from nas.search import pending as module
from nas.search.pending import Pending
from nas.training.task import Fidelity, Task


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pending.jsonl"


@pytest.fixture
def pending(path):
    """Open until the test has looked at what it left, as after a crash."""
    opened = Pending(path, set())
    yield opened
    opened.close()


def task(genome, index, attempt=1):
    return Task(index, genome, Fidelity(2, 0.5), 7, attempt)


def test_a_crash_leaves_what_was_started_and_its_attempts(path, pending, proposed):
    for index in range(4):
        pending.start(task(proposed, index))
    pending.done(1)
    pending.start(task(proposed, 2, attempt=2))
    again = Pending(path, {0, 1})
    assert again.tasks == {2: task(proposed, 2, 2), 3: task(proposed, 3)}


def test_a_crash_keeps_what_was_predicted(path, pending, proposed):
    foretold = replace(task(proposed, 1), predicted={"accuracy": (0.6, 0.5, 0.65)})
    pending.start(foretold)
    assert Pending(path, {}).tasks == {1: foretold}


def test_who_dies_leaves_a_mark_and_an_end_in_good_order_none(path, pending, proposed):
    """Neither is an attempt of the candidate's: only a worker's death is."""
    pending.start(task(proposed, 0, attempt=2))
    pending.start(task(proposed, 1))
    pending.done(1)
    died = Pending(path, {1})
    assert died.abandoned
    assert died.tasks == {0: task(proposed, 0, 2)}
    pending.close()
    ended = Pending(path, {1})
    assert not ended.abandoned
    assert ended.tasks == {0: task(proposed, 0, 2)}
    ended.close()  # started nothing
    assert Pending(path, {1}).tasks == ended.tasks


def test_a_file_of_version_0_1(path, proposed):
    """There an attempt was counted at the start, and taken back at the end."""
    plain = {"index": 3, "seed": 7, "genome": proposed.to_dict(),
             "fidelity": {"epochs": 2, "fraction": 0.5}}  # fmt: skip
    for attempt, abandoned in ((0, False), (1, True)):
        path.write_text(json.dumps({**plain, "attempt": attempt}) + "\n")
        found = Pending(path, set())
        assert found.tasks == {3: task(proposed, 3)}
        assert found.abandoned == abandoned


@pytest.mark.parametrize(
    "damage", [b"{ not whole", b"\0\0\0\n", b"[]\n", b"null\n", b'{"index":3}\n', b"\xff\n"]
)
def test_a_damaged_line_is_left_out(path, pending, proposed, damage):
    pending.start(task(proposed, 0))
    path.write_bytes(path.read_bytes() + damage)
    assert Pending(path, set()).tasks == {0: task(proposed, 0)}


def test_the_file_does_not_grow_for_ever(path, pending, proposed, monkeypatch):
    monkeypatch.setattr(module, "LINES_BEFORE_REWRITE", 10)
    for index in range(100):
        pending.start(task(proposed, index))
        if index:
            pending.done(index - 1)
    assert path.read_bytes().count(b"\n") < 20
    assert Pending(path, set()).tasks[99] == replace(task(proposed, 99), attempt=1)
