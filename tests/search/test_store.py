"""The run directory: its files, what may change when it goes on."""

import errno
import os
from pathlib import Path

import pytest

from nas.common.errors import UserError
from nas.search.settings import Settings
from nas.search.store import RunDirectory, data_of, default_out, run_of
from nas.space.space import SearchSpace

QUICK = SearchSpace.load("quick")


def test_two_searches_of_one_second_get_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [RunDirectory.create(None, Settings(seed=3), QUICK) for _ in range(3)]
    assert len({run.path for run in runs}) == 3
    assert all(run.path.name.split("-", 2)[2].startswith("quick-s3") for run in runs)
    for run in runs[:2]:
        run.point_latest()
    assert (tmp_path / "experiments/latest").resolve() == runs[1].path.resolve()


def test_a_link_to_a_run_is_resolved_where_it_is_opened(tmp_path, monkeypatch):
    """What is printed of it names this run, and not that of the next search."""
    monkeypatch.chdir(tmp_path)
    run = RunDirectory.create(None, Settings(), QUICK)
    run.point_latest()
    run.file("best.json").write_text("{}")
    latest = Path("experiments/latest")
    Path("mine").symlink_to(latest)
    for opened in (
        RunDirectory.open(latest), RunDirectory.open(Path("mine")), run_of(latest / "best.json"),
        RunDirectory.open(tmp_path / latest),
    ):  # fmt: skip
        assert opened.path in (run.path, tmp_path / run.path)


def test_an_empty_folder_is_taken_and_a_used_one_is_refused(tmp_path):
    run = RunDirectory.create(tmp_path, Settings(), QUICK)
    assert run.settings() == Settings()
    with pytest.raises(UserError, match="exists and is not empty"):
        RunDirectory.create(tmp_path, Settings(), QUICK)


def ended_by_an_error(path, *more):
    run = RunDirectory.create(path, Settings(), QUICK)
    for name in more:
        run.file(name).parent.mkdir(exist_ok=True)
        run.file(name).write_text("")
    with pytest.raises(UserError), run:
        raise UserError("no worker starts")


def test_a_run_that_ends_before_its_first_evaluation_leaves_what_was_there(tmp_path):
    ended_by_an_error(tmp_path / "new", "machine.json", "tensorboard/events")
    assert not (tmp_path / "new").exists()
    (tmp_path / "given").mkdir()
    ended_by_an_error(tmp_path / "given")
    assert list((tmp_path / "given").iterdir()) == []


@pytest.mark.parametrize("name", ["weights.pt", "evaluations.jsonl", "mine/notes"])
def test_a_run_with_more_in_it_than_is_ours_stays_whole(tmp_path, name):
    ended_by_an_error(tmp_path / "run", name)
    assert (tmp_path / "run" / name).exists()
    assert RunDirectory.open(tmp_path / "run").settings() == Settings()


def test_a_file_system_without_links_is_a_note(tmp_path, monkeypatch, caplog):
    def refused(*arguments, **options):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "symlink", refused)
    caplog.set_level("INFO", "nas")
    run = RunDirectory.create(None, Settings(), QUICK)
    run.point_latest()
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


@pytest.mark.parametrize(
    ("folder", "name"), [("retrain/abc", "genome.json"), ("retrain", "abc/genome.json")]
)
def test_a_network_is_of_its_run_whatever_folder_one_is_in(tmp_path, monkeypatch, folder, name):
    """Else it would be trained on other data."""
    run = RunDirectory.create(tmp_path / "run", Settings(data="mine"), QUICK)
    run.file("retrain/abc").mkdir(parents=True)
    monkeypatch.chdir(run.file(folder))
    assert data_of(Path(name)) == "mine"
    assert default_out(Path(name), "other") == run.file("retrain/other")


def test_a_link_out_of_the_run_is_refused(tmp_path):
    """nas.retrain and nas.tune would write there."""
    run = RunDirectory.create(tmp_path / "run", Settings(), QUICK)
    (tmp_path / "elsewhere").mkdir()
    run.file("best.json").write_text("{}")
    assert run_of(run.file("best.json")).path == run.path
    assert run_of(run.file("retrain/abc/genome.json")).path == run.path
    assert run_of(tmp_path / "best.json") is None
    assert run_of(run.file("other/abc/genome.json")) is None
    run.file("retrain").symlink_to(tmp_path / "elsewhere")
    for opening in (lambda: RunDirectory.open(run.path), lambda: run_of(run.file("best.json"))):
        with pytest.raises(UserError, match="retrain: a link that leaves the run directory"):
            opening()
