"""Settings that name files, so that a run finds them whatever folder it goes on from."""

from __future__ import annotations

import dataclasses
import os

from nas.data.sources import located
from nas.search.settings import Settings


def findable(settings: Settings) -> Settings:
    """With absolute paths for data, fps model and teacher; the names of data sets stay names."""
    data = settings.data if settings.evaluator else located(settings.data)
    fps_model, teacher = map(_absolute, (settings.fps_model, settings.recipe.teacher))
    recipe = dataclasses.replace(settings.recipe, teacher=teacher)
    return dataclasses.replace(settings, data=data, fps_model=fps_model, recipe=recipe)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)
