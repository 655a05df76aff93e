"""The public Python API: lazy, and callable whichever way its modules were imported."""

import subprocess
import sys

import pytest
from conftest import ROOT

import nas

DOORS = {
    "search": "nas.search.run",
    "retrain": "nas.deploy.retrain",
    "export": "nas.deploy.export",
}


def says(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize(
    "first",
    ["import nas", "import nas.{name}", "import {home}", "from nas import {name}",
     "import nas, {home}; import nas.{name}"],
)  # fmt: skip
def test_a_command_is_a_function_too_in_any_order_of_imports(name, first):
    """The function complains of what is missing: it was reached."""
    code = f"""
{first.format(name=name, home=DOORS[name])}
import nas, nas.common.errors, types
assert isinstance(nas.{name}, types.ModuleType)
try:
    nas.{name}()
except (TypeError, nas.common.errors.UserError) as error:
    print(str(error).split("(")[0].split(":")[0])
import {DOORS[name]}
assert nas.{name} is __import__("sys").modules["nas.{name}"]
"""
    assert says(code) == [name]


def test_what_is_given_arrives(monkeypatch):
    monkeypatch.setattr("nas.deploy.retrain.retrain", lambda *given, **named: (given, named))
    assert nas.retrain(1, out=2) == ((1,), {"out": 2})


def test_classes_come_from_their_rooms():
    assert {name: getattr(nas, name).__module__ for name in nas.__all__ if name[0].isupper()} == {
        "Genome": "nas.arch.genome",
        "Optimizer": "nas.evolution.optimizer",
        "Recipe": "nas.training.recipe",
        "Recognizer": "nas.realtime.recognizer",
        "Run": "nas.search.run",
        "SearchSpace": "nas.space.space",
    }
    assert set(nas.__all__) <= set(dir(nas))
    with pytest.raises(AttributeError, match="module 'nas' has no attribute 'Serach'"):
        nas.Serach  # noqa: B018


def test_importing_nas_loads_none_of_it():
    heavy = "{'torch', 'ray', 'cv2', 'numpy', 'onnxruntime', 'yaml'}"
    assert says(f"import nas, sys; print(len({heavy} & set(sys.modules)))") == ["0"]
