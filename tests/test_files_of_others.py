"""One way to read what others made, and one to write: nas/common/files.py, by a look at the code.

Bounded reading of regular files, atomic writing. Whatever goes past them stands below, with why.
"""

import ast

import pytest
from conftest import ROOT

PAST = {"read_text", "read_bytes", "write_text", "write_bytes", "savefig", "to_csv", "imread",
        "imwrite", "load_file"}  # fmt: skip
ALLOWED = {
    "common/environment.py": "/proc and /sys",
    "search/planning.py": "/proc",
    "common/files.py": "the one way itself",
    "report/plots.py": "writes where `replacing` says, or into memory",
    "realtime/web.py": "files of the package, and OpenCV's cascade",
    "deploy/checkpoint.py": "a library that reads a path which check_file has looked at",
    "data/dataset.py": "writes where `replacing` says",
    "realtime/sinks.py": "tables that grow by whole lines",
    "bench/scale.py": "the benchmark's own folder",
    "search/final.py": "a log that its process writes, and its last bytes",
    "training/tuning.py": "to_csv into memory",
    "bench/search.py": "to_csv into memory",
}
FILES = sorted((ROOT / "nas").rglob("*.py"))


def past_the_one_way(tree):
    """Lines with calls of built-in `open`, of a method that opens a path, or of another loader."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in {"open", "load_file"}:
                yield node.lineno
            # Our own functions of these names are called by name, not as methods.
            if isinstance(called, ast.Attribute) and called.attr in PAST:
                yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT / "nas")))
def test_files_are_read_and_written_in_one_way(path):
    lines = list(past_the_one_way(ast.parse(path.read_text())))
    name = str(path.relative_to(ROOT / "nas"))
    assert not lines or name in ALLOWED, f"{path}:{lines}: use nas/common/files.py, or say why not"


def test_the_list_is_no_longer_than_needed():
    for name in ALLOWED:
        assert list(past_the_one_way(ast.parse((ROOT / "nas" / name).read_text()))), name
