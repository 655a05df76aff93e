"""The pages say what is so: their snippets run, their links lead somewhere."""

import dataclasses
import re
import shlex
import shutil
from importlib import import_module

import cv2
import numpy as np
import pytest
from conftest import ROOT

import nas
from nas.__main__ import module_of
from nas.common.resources import SHIPPED_MODEL

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_COMMANDS = [*PAGES, ROOT / "data/README.md"]  # those of experiments are records
# As typed, but for what takes long: a small space, a few short trainings, one worker.
SHORTER = {
    '"fer", data': '"quick", data', "evaluations=50": "evaluations=2, epochs=1",
    "evaluations=30": "evaluations=2, epochs=1", "workers=2": "workers=1", "seeds=3": "seeds=1",
    'recipe="modern"': "recipe=recipe",
}  # fmt: skip


def snippets(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if snippets(p)], ids=lambda page: page.name)
def test_the_snippets_of_a_page_run_one_after_another(page, tmp_path, monkeypatch, faces_file):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    shutil.copy(faces_file, tmp_path / "data/fer2013.npz")
    picture = np.full((120, 160, 3), 128, np.uint8)
    for name in ("photo.jpg", "leaf.jpg"):
        cv2.imwrite(name, picture)
    (tmp_path / "leaves_net").mkdir()
    shutil.copy(SHIPPED_MODEL, tmp_path / "leaves_net/model.onnx")
    recipe = dataclasses.replace(nas.Recipe.load("short"), epochs=1)
    names = {"picture": picture, "recipe": recipe, "__name__": "__main__"}
    for code in snippets(page):
        for long, short in SHORTER.items():
            code = code.replace(long, short)
        exec(compile(code, page.name, "exec"), names)


def commands(page):
    """(name, arguments) of each `python -m nas.NAME ...` of a page, in fences and in lines."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, rest in re.findall(r"python -m nas\.(\w+)\b(?!\.)([^`\n|#]*)", text):
        yield name, shlex.split(rest.replace("...", ""))


@pytest.mark.parametrize("page", [p for p in WITH_COMMANDS if [*commands(p)]],
                         ids=lambda page: str(page.relative_to(ROOT)))  # fmt: skip
def test_the_commands_of_a_page_are_understood(page, capsys):
    """Read as the command reads them, to the end; each option is one of its own."""
    for name, arguments in commands(page):
        with pytest.raises(SystemExit) as ended:
            import_module(module_of(name)).main([*arguments, "--help"])
        assert ended.value.code == 0
        helped = capsys.readouterr().out
        for flag in (a.partition("=")[0] for a in arguments if a.startswith("--")):
            assert re.search(rf"(?<![\w-]){flag}(?![\w-])", helped), (name, flag)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_a_page_begins_with_what_the_reader_can_do_after_it(page):
    _, first, *_ = page.read_text(encoding="utf-8").split("\n\n")
    assert first.startswith("After this page you "), first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Files that are there, headings that the page has."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {
                re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings
            }
