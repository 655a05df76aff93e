"""Own blocks from a module of the user's: `--plugin package.module` on their own command line.

Importing the module registers them. Only a command line or Python names modules; no file does.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nas.common.errors import UserError, told

_LOADED: dict[str, None] = {}  # in order


def load_plugins(names: Iterable[str]) -> None:
    """Import these modules, from the working folder too. UserError where there is no such module,
    or its own code raises.

    A worker in a process of its own needs the same: give it `loaded_plugins()`.
    """
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise UserError(
                f"--plugin {name}: expected a module such as my_blocks or package.module"
            )
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.append(here)
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(f"--plugin {name}: cannot import it: {error}") from None
        except Exception as error:  # of the module's own code
            raise UserError(f"--plugin {name}: cannot import it: {told(error)}") from None
        _LOADED[name] = None


def loaded_plugins() -> tuple[str, ...]:
    """The modules that `load_plugins` imported, in that order."""
    return tuple(_LOADED)


def add_plugin_option(parser: argparse.ArgumentParser) -> None:
    """Give a command `--plugin`; the module is imported while the arguments are read."""
    parser.add_argument(
        "--plugin", action=_Import, default=[], metavar="MODULE",
        help="a Python module with blocks of your own, see examples/own_block.py; may be repeated",
    )  # fmt: skip


class _Import(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
        option_string: str | None = None,
    ) -> None:  # fmt: skip
        load_plugins([values])
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), values])
