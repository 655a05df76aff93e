"""`python -m nas` and `fer-nas`: the commands, and how to run one."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

from nas import __version__
from nas.common.cli import exit_code, say
from nas.common.errors import one_of

# In the order in which they are met.
COMMANDS = {
    "data": "prepare, describe and preview data sets",
    "plan": "what a search costs on this machine, before anything is spent",
    "search": "search a space for networks that are accurate, small and fast",
    "inspect": "a run's Pareto front as table and picture; genomes; the reference networks",
    "ablate": "which genes made a network good: each set back to another's value, trained",
    "retrain": "train a network fully, report on the test split once, export ONNX",
    "teach": "store what trained networks say of training images, as soft labels",
    "tune": "tune the training recipe of one network",
    "evaluate": "score trained networks, alone and as an ensemble",
    "explain": "which pixels a network's answers rest on, class by class",
    "export": "a trained network as ONNX, float32 and int8, scored and timed",
    "realtime": "label the faces of a camera, stream, video or picture; --web in the browser",
    "fps": "frames per second of the machine that is the target",
    "bench": "optimizers, the driver's cost and the demo, measured",
    "doctor": "check this machine and say what to fix; compare two runs",
}


def module_of(command: str) -> str:
    """The module that has the command's `main(argv)`."""
    spec = find_spec(f"nas.{command}")
    assert spec is not None
    return f"nas.{command}.__main__" if spec.submodule_search_locations else f"nas.{command}"


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        say("usage: fer-nas COMMAND ... (or python -m nas.COMMAND ...)\n")
        say("\n".join(f"  {name:{width}}  {line}" for name, line in COMMANDS.items()))
        say("\nfer-nas COMMAND --help says more; fer-nas --version says which this is")
        return 0
    if argv[0] == "--version":
        say(f"fer-nas {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        raise one_of("fer-nas", argv[0], COMMANDS, "command")
    code: int = import_module(module_of(argv[0])).main(argv[1:])
    return code


def script() -> int:
    """The console script."""
    return exit_code(main)


if __name__ == "__main__":
    sys.exit(script())
