"""fer-nas: genetic-algorithm neural architecture search for facial expression recognition.

The public Python API. Names are imported when they are first used.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from nas.common.environment import VERSION, bound_threads
from nas.common.lazy import lazy_names

if TYPE_CHECKING:
    from nas.arch.genome import Genome
    from nas.common.errors import UserError
    from nas.deploy.export import export
    from nas.evolution.objectives import Constraint, Objective
    from nas.evolution.optimizer import Optimizer
    from nas.realtime.recognizer import Recognizer
    from nas.search.ablation import ablate
    from nas.search.results import Run
    from nas.search.retrain import retrain
    from nas.search.run import search
    from nas.space.space import SearchSpace
    from nas.training.recipe import Recipe

__all__ = [
    "Constraint", "Genome", "Objective", "Optimizer", "Recipe", "Recognizer", "Run", "SearchSpace",
    "UserError", "__version__", "ablate", "export", "retrain", "search",
]  # fmt: skip

__version__ = VERSION

# OpenCV reads it when it is loaded; its own limit lets a small file unpack to three gigabytes.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(8192 * 8192))
bound_threads()

_name = lazy_names(
    __name__,
    {
        "Constraint": "nas.evolution.objectives",
        "Genome": "nas.arch.genome",
        "Objective": "nas.evolution.objectives",
        "Optimizer": "nas.evolution.optimizer",
        "Recipe": "nas.training.recipe",
        "Recognizer": "nas.realtime.recognizer",
        "Run": "nas.search.results",
        "SearchSpace": "nas.space.space",
        "UserError": "nas.common.errors",
    },
)


def __getattr__(name: str) -> object:
    """The classes; and the commands that are functions too, which are modules (callable_module)."""
    if name in ("ablate", "export", "retrain", "search"):
        return import_module(f"nas.{name}")
    return _name(name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
