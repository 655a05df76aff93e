"""A run as people look at it: frames that fit a terminal, and pictures for a notebook."""

import nas


def measure(genome):
    number = int(genome.id, 16) / 16**12
    return {"accuracy": number, "macro_f1": number / 2, "balanced_accuracy": number / 3}


def made(tmp_path, **options):
    return nas.search(
        "quick", evaluator=measure, evaluations=6, seed_genomes=[], algorithm="random",
        run_dir=tmp_path / "run", objectives=[{"name": "accuracy"}, {"name": "params"}],
        progress=False, **options,
    )  # fmt: skip


def test_a_printed_frame_fits_and_shows_what_matters(tmp_path):
    run = made(tmp_path)
    for frame in (run.front, run.evaluations):
        assert frame.index.name == "id"
        assert max(map(len, str(frame).splitlines())) <= 110
        assert "..." not in str(frame)
        assert "genome" not in str(frame)
    header, *rows = str(run.front).splitlines()
    assert header.split()[:3] == ["accuracy", "believed", "params"]
    assert len(rows) == len(run.front)
    assert list(run.front["accuracy"]) == sorted(run.front["accuracy"], reverse=True)
    name = run.front.index[0]
    assert run.front.genome[name].id == name
    assert type(run.front.query("params > 0")).__name__ == "DataFrame"


def test_a_front_shows_itself_as_picture_and_table(tmp_path):
    page = made(tmp_path).front._repr_html_()
    assert page.startswith('<img alt="quick on ')
    assert "<table" in page
    assert "Genome(" not in page


def test_a_run_is_a_path_and_goes_on(tmp_path, capsys):
    run = made(tmp_path)
    again = nas.search(resume=run, evaluator=measure, evaluations=8)
    assert len(again.evaluations) == 8
    assert "8/8 networks" in capsys.readouterr().err


def test_names_are_those_of_the_command_line(tmp_path):
    """--epochs and --fraction are keys of `fidelity`."""
    run = made(tmp_path, epochs=5, fraction=0.5)
    assert (run.settings.fidelity.epochs, run.settings.fidelity.fraction) == (5, 0.5)
