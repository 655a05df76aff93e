"""The run directory, and what a search asked for and was not told."""

import errno
import json
import os
from dataclasses import replace

import pytest
from conftest import ROOT

from nas.common.errors import UserError
from nas.search import store as module
from nas.search.settings import Settings
from nas.search.store import Pending, RunDirectory, run_of
from nas.space.space import SearchSpace
from nas.training.task import Fidelity, Task


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


def test_a_crash_keeps_what_was_predicted(path, pending, proposed):
    foretold = replace(task(proposed, 1), predicted={"accuracy": (0.6, 0.5, 0.65)})
    pending.start(foretold)
    assert Pending.load(path, {}).tasks == {1: foretold}


def test_who_dies_leaves_a_mark_and_an_end_in_good_order_none(path, pending, proposed):
    """Neither is an attempt of the candidate's: only a worker's death is."""
    pending.start(task(proposed, 0, attempt=2))
    pending.start(task(proposed, 1))
    pending.done(1)
    died = Pending.load(path, {1})
    assert died.abandoned
    assert died.tasks == {0: task(proposed, 0, 2)}
    pending.close()
    ended = Pending.load(path, {1})
    assert not ended.abandoned
    assert ended.tasks == {0: task(proposed, 0, 2)}
    ended.close()  # started nothing
    assert Pending.load(path, {1}).tasks == ended.tasks


def test_a_file_of_version_0_1(path, proposed):
    """There an attempt was counted at the start, and taken back at the end."""
    plain = {"index": 3, "seed": 7, "genome": proposed.to_dict(),
             "fidelity": {"epochs": 2, "fraction": 0.5}}  # fmt: skip
    for attempt, abandoned in ((0, False), (1, True)):
        path.write_text(json.dumps({**plain, "attempt": attempt}) + "\n")
        found = Pending.load(path, set())
        assert found.tasks == {3: task(proposed, 3)}
        assert found.abandoned == abandoned


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


QUICK = ROOT / "search_spaces/quick.yaml"


def test_two_searches_of_one_second_get_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [RunDirectory.create(None, Settings(seed=3), QUICK) for _ in range(3)]
    assert len({run.path for run in runs}) == 3
    assert all(run.path.name.split("-", 2)[2].startswith("quick-s3") for run in runs)
    assert (tmp_path / "experiments/latest").resolve() == runs[-1].path.resolve()


def test_an_empty_folder_is_taken_and_a_used_one_is_refused(tmp_path):
    run = RunDirectory.create(tmp_path, Settings(), QUICK)
    assert run.settings() == Settings()
    with pytest.raises(UserError, match="exists and is not empty"):
        RunDirectory.create(tmp_path, Settings(), QUICK)


def test_a_file_system_without_links_is_a_note(tmp_path, monkeypatch, caplog):
    def refused(*arguments, **options):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "symlink", refused)
    caplog.set_level("INFO", "nas")
    run = RunDirectory.create(None, Settings(), QUICK)
    assert run.settings() == Settings()
    assert "Operation not permitted" in caplog.text
    assert not (tmp_path / "experiments/latest").exists()


def test_a_space_that_was_made_in_python_comes_back(tmp_path, quick):
    run = RunDirectory.create(tmp_path / "run", Settings(), quick)
    assert SearchSpace.load(run.file("space.yaml")).to_yaml() == quick.to_yaml()


def edit(name, old, new):
    def change(run):
        text = run.file(name).read_text()
        assert old in text
        run.file(name).write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edit("config.yaml", "seed: 0", "seed: 1"), "seed: the run has 0, not 1"),
        (edit("config.yaml", "epochs: 3", "epochs: 4"), "fidelity.epochs: the run has 3, not 4"),
        (edit("config.yaml", "batch_size: ", "batch_size: 1"), "recipe"),
        (lambda run: run.file("config.yaml").write_text(""), "seed: the run has 1, not 0"),
        (edit("space.yaml", "16", "24"), "space.yaml: not the file that the run began with"),
        (edit("initial.json", "[]", "[ ]"), "initial.json: not the file that the run began with"),
    ],
)  # fmt: skip
def test_what_was_edited_does_not_go_on(tmp_path, damage, message):
    seed = 1 if "has 1" in message else 0
    run = RunDirectory.create(tmp_path / "run", Settings(seed=seed), QUICK, data="d")
    run.check_unchanged("d")
    with pytest.raises(UserError, match="data set synthetic: not the one"):
        run.check_unchanged("other")
    damage(run)
    with pytest.raises(UserError, match=message):
        run.check_unchanged("d")


def test_what_may_change_goes_on(tmp_path):
    run = RunDirectory.create(tmp_path / "run", Settings(), QUICK)
    run.store(Settings(evaluations=99, workers=3, candidate_time=5.0))
    run.check_unchanged(None)


def test_a_pipe_in_the_run_is_refused(tmp_path):
    run = RunDirectory.create(tmp_path / "run", Settings(), QUICK)
    for name in ("initial.json", "config.yaml"):
        run.file(name).unlink()
        os.mkfifo(run.file(name))
    with pytest.raises(UserError, match="not a regular file"):
        run.initial()
    with pytest.raises(UserError, match="not a run directory"):
        RunDirectory.open(run.path)


def test_a_link_out_of_the_run_is_refused(tmp_path):
    """nas.retrain and nas.tune would write there."""
    run = RunDirectory.create(tmp_path / "run", Settings(), QUICK)
    (tmp_path / "elsewhere").mkdir()
    run.file("best.json").write_text("{}")
    assert run_of(run.file("best.json")).path == run.path
    assert run_of(tmp_path / "best.json") is None
    run.file("retrain").symlink_to(tmp_path / "elsewhere")
    for opening in (lambda: RunDirectory.open(run.path), lambda: run_of(run.file("best.json"))):
        with pytest.raises(UserError, match="retrain: a link that leaves the run directory"):
            opening()
