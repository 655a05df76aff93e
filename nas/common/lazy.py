"""Names that are imported when they are first used, and command modules that are functions too.

`import nas` and `--help` must not wait for torch, OpenCV or ONNX Runtime.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`: each name comes from its home, a module or `module:name`."""

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return _load(homes[name], name)

    return get


def lazy_function(target: str) -> Callable[..., Any]:
    """`module:function`, imported at its first call."""

    def call(*given: Any, **named: Any) -> Any:
        return _load(target)(*given, **named)

    return call


def callable_module(module: str, target: str) -> None:
    """Make the module of that name, which must be loading or loaded, callable as `target`.

    target: `module:function`, imported at the first call. So `nas.retrain` is the command of
    `python -m nas.retrain`, and `nas.retrain(...)` the function, whoever imported it first. `help`
    and an editor are shown the function.
    """

    class CallableModule(ModuleType):
        __call__ = staticmethod(lazy_function(target))

        @property
        def __signature__(self) -> inspect.Signature:
            return inspect.signature(_load(target))

        @property
        def __doc__(self) -> str:  # type: ignore[override]
            first, _, rest = (inspect.getdoc(_load(target)) or "").partition("\n\n")
            given = self.__signature__.parameters.values()
            names = [p.replace(annotation=p.empty) for p in given]  # types are quoted, and long
            return f"{first}\n\n{module}{inspect.Signature(names)}\n\n{rest}"

    sys.modules[module].__class__ = CallableModule


def _load(home: str, name: str = "") -> Any:
    module, _, other = home.partition(":")
    return getattr(import_module(module), other or name)
