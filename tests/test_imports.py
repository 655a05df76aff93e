"""The packages of nas/ import in one direction (docs/design.md has the picture), in no cycle.

Imports inside functions are those of the doors (the command files), of lazy names, of Ray and of
kagglehub. What a command does not need, it does not load.
"""

import ast
import graphlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from conftest import ROOT

# Each package, and the packages that it may import from.
MAY_IMPORT = {
    "common": set(),
    "report": {"common"},
    "arch": {"common", "report"},
    "space": {"common", "report", "arch"},
    "data": {"common", "report", "arch"},
    "training": {"common", "report", "arch", "data"},
    "deploy": {"common", "report", "arch", "data", "training"},
    "evolution": {"common", "report", "arch", "space"},
    "search": {"common", "report", "arch", "space", "data", "training", "deploy", "evolution"},
    "realtime": {"common", "deploy"},  # of deploy these two files
    "bench": {"common", "report", "arch", "space", "data", "training", "deploy", "evolution",
              "search", "realtime"},
}  # fmt: skip
REALTIME_NEEDS = {"nas.deploy.runtime", "nas.deploy.preprocessing"}
# Evolution is pure: genotypes and metrics in, proposals out.
NOT_IN_EVOLUTION = {"torch", "ray", "onnxruntime", "cv2", "os", "pathlib", "shutil", "tempfile"}
LAZY = {"ray", "kagglehub"}  # seconds to load, or an extra that is seldom installed

LONGEST = 350  # lines of a file

# Not on Windows; common/environment.py does without.
POSIX_ALONE = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "posix", "syslog"}


@dataclass(frozen=True)
class Import:
    """of: a module of ours or a library's. inside: the function that it stands in, if any."""

    by: str
    of: str
    inside: str

    def __str__(self) -> str:
        return f"{self.by} -> {self.of}"


FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "nas").rglob("*.py"))
}


def imports(name: str) -> Iterator[Import]:
    """Those of one module, in functions and under TYPE_CHECKING too."""

    def walk(node: ast.AST, inside: str) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(name, alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert not child.level, f"{name}: a relative import"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    yield Import(name, whole if whole in FILES else str(child.module), inside)
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from walk(child, child.name if function else inside)

    yield from walk(ast.parse(FILES[name].read_text()), "")


ALL = [found for name in FILES for found in imports(name)]


def room(module: str) -> str:
    """The package of a library module; "" for a command and for what is not ours."""
    parts = module.split(".")
    return parts[1] if parts[0] == "nas" and len(parts) > 1 and parts[1] in MAY_IMPORT else ""


def is_door(module: str) -> bool:
    return not room(module) or module.endswith(".__main__")


def wrong_way(found: Import) -> bool:
    ours, theirs = room(found.by), room(found.of)
    if not ours:
        return False
    if ours == "evolution" and found.of.split(".")[0] in NOT_IN_EVOLUTION:
        return True
    if not found.of.startswith("nas.") or ours == theirs:
        return False
    if ours == "realtime" and theirs == "deploy":
        return found.of not in REALTIME_NEEDS
    return theirs not in MAY_IMPORT[ours]  # a command's room is "": nobody imports a command


def hidden(found: Import) -> bool:
    """Inside a function where it should stand at the head of the file."""
    return (
        found.inside not in ("", "__getattr__")
        and not is_door(found.by)
        and found.of.split(".")[0] not in LAZY
    )


def test_every_package_has_its_place() -> None:
    assert {room(name) for name in FILES} - {""} == set(MAY_IMPORT)


def test_no_file_is_long() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in FILES.items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_imports_run_in_one_direction() -> None:
    assert not {str(found) for found in ALL if wrong_way(found)}


@pytest.mark.parametrize(
    ("by", "of", "wrong"),
    [
        ("nas.common.files", "nas.report.table", True),
        ("nas.space.space", "nas.data.dataset", True),
        ("nas.training.trainer", "nas.space.space", True),
        ("nas.evolution.optimizer", "torch", True),
        ("nas.search.store", "nas.inspect", True),
        ("nas.realtime.pipeline", "nas.deploy.checkpoint", True),
        ("nas.realtime.pipeline", "nas.deploy.runtime", False),
        ("nas.bench.scale", "nas.search.store", False),
        ("nas.inspect", "nas.search.store", False),
    ],
)
def test_a_new_arrow_against_it_is_seen(by: str, of: str, wrong: bool) -> None:
    assert wrong_way(Import(by, of, "")) == wrong


def test_what_windows_lacks_is_imported_in_one_place() -> None:
    found = {str(found) for found in ALL if found.of.split(".")[0] in POSIX_ALONE}
    assert found == {"nas.common.environment -> resource"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: {found.of for found in ALL if found.by == name} & set(FILES) for name in FILES}
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the modules


def test_imports_inside_functions_are_the_doors() -> None:
    assert [str(found) for found in ALL if hidden(found)] == []


def test_a_function_of_a_command_imports_what_does_its_job_at_once() -> None:
    """One statement: the command reads arguments and prints, the library does the rest."""
    several = []
    for name in filter(is_door, FILES):
        for node in ast.walk(ast.parse(FILES[name].read_text())):
            if isinstance(node, ast.FunctionDef):
                ours = [n for n in ast.walk(node) if isinstance(n, ast.ImportFrom) and n.module
                        and n.module.startswith("nas")]  # fmt: skip
                several += [f"{name}: {node.name}"] if len(ours) > 1 else []
    assert several == []


@pytest.mark.parametrize(
    ("by", "of", "inside", "seen"),
    [
        ("nas.search.driver", "torch", "loop", True),
        ("nas.deploy.export", "nas.deploy.runtime", "export", True),
        ("nas.search.driver", "torch", "", False),
        ("nas.search.cluster", "ray", "start", False),
        ("nas.realtime", "nas.realtime.recognizer", "__getattr__", False),
        ("nas.search.__main__", "nas.search.run", "main", False),
        ("nas.doctor", "cv2", "finds_faces", False),
    ],
)
def test_a_new_import_inside_a_function_is_seen(by: str, of: str, inside: str, seen: bool) -> None:
    assert hidden(Import(by, of, inside)) == seen
