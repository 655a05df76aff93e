"""The space as a search has it: the file's, with its data's input and its settings' limits."""

from __future__ import annotations

import numpy as np

from nas.search.settings import Settings
from nas.space.space import SearchSpace


def searched_space(
    space: SearchSpace, settings: Settings, form: tuple[int, int, int, int] | None
) -> SearchSpace:
    """form: classes, channels, height and width of the data; None: an evaluator measures.

    UserError where the data do not fit, or where no network keeps the limits.
    """
    # Limits that the space knows too: then children are repaired, and not only refused.
    space = space.within({c.name: (c.at_least, c.at_most) for c in settings.constraints})
    if form is not None:
        space = space.for_data(*form)
    space.sample(np.random.default_rng(0))
    return space
