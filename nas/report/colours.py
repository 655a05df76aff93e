"""One meaning, one colour, in every picture and page.

Hues of Okabe and Ito 2008, which colour-blind readers tell apart, darker where on white they had
less than 3 : 1 (WCAG 1.4.11); each meaning also has its own mark, so that grey print tells them
apart too. The order of evaluation runs along cividis
(Nunez et al. 2018), whose lightness changes evenly.
"""

from __future__ import annotations

INK, MUTED = "#222222", "#8a8a8a"
FRONT, BEST, REFERENCE, PUBLISHED, BASELINE = (
    "#0072b2", "#d55e00", "#007d5a", "#a34a82", "#595959",
)  # fmt: skip
TRAINING, VALIDATION = "#2a8fc9", "#332288"  # dashed, solid
SERIES = (FRONT, BEST, REFERENCE, "#cc79a7", "#a97800", VALIDATION, MUTED, INK)
KINDS = {  # of blocks; a user's own are INK
    "conv": FRONT, "pool": BEST, "residual": REFERENCE, "inverted": "#cc79a7", "head": "#a97800",
    "separable": VALIDATION, "ghost": TRAINING, "convnext": PUBLISHED, "resize": MUTED,
    "image": MUTED,
}  # fmt: skip
CIVIDIS = ("#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958")
ORDER = CIVIDIS[5::-1]  # first to last on white: the last stand out, the first still have 3 : 1

LIGHT = {
    "muted": MUTED, "front": FRONT, "best": BEST, "reference": REFERENCE,
    "published": PUBLISHED, "baseline": BASELINE, "params": VALIDATION, "macs": TRAINING,
    "order": " ".join(ORDER),
    **{f"series{i}": colour for i, colour in enumerate(SERIES)},
}  # fmt: skip
DARK = {  # the same hues, lighter
    "muted": "#9aa0a6", "front": "#4fa8e0", "best": "#f08a3c", "reference": "#35c79b",
    "published": "#dd8fc0", "baseline": "#c4c4c4", "params": "#a59cf0", "macs": "#86cdf2",
    "order": " ".join([*CIVIDIS[3:], "#fee838", "#fff3a0"]),
    **{f"series{i}": colour for i, colour in enumerate((
        "#4fa8e0", "#f08a3c", "#35c79b", "#e6a4c8", "#f0bc4b", "#86cdf2", "#9aa0a6", "#e8eaed",
    ))},
}  # fmt: skip
