"""One meaning, one colour, in every picture and page.

Hues of Okabe and Ito 2008, which colour-blind readers tell apart; each meaning also has its own
mark, so that grey print tells them apart too. The order of evaluation runs along cividis
(Nunez et al. 2018), whose lightness rises evenly.
"""

from __future__ import annotations

INK, MUTED = "#222222", "#8a8a8a"
FRONT, BEST, REFERENCE, PUBLISHED, BASELINE = (
    "#0072b2", "#d55e00", "#009e73", "#aa4d88", "#595959",
)  # fmt: skip
SERIES = (FRONT, BEST, REFERENCE, "#cc79a7", "#e69f00", "#56b4e9", MUTED, INK)
DASHES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))  # a second key beside the hue
