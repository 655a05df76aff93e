"""A network drawn as SVG: a box for each unit, as high as its map, as wide as its channels."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, sqrt

from nas.report.colours import INK, KINDS, MUTED

TALLEST = 96.0  # px, of the image's box
GAP, LEFT, TOP = 12.0, 14.0, 34.0
LABEL = 92.0  # px below the boxes, for slanted names


@dataclass(frozen=True)
class Drawn:
    """A unit: its name and kind, its output (channels, height, width), whether it has a skip."""

    name: str
    kind: str
    shape: tuple[int, int, int]
    skip: bool = False


def network_svg(title: str, units: Sequence[Drawn]) -> str:
    """The first unit is the image; a kind has one colour in all drawings, arcs are skips."""
    side = max(unit.shape[1] for unit in units)
    middle = TOP + TALLEST / 2
    x, parts = LEFT, list[str]()
    for unit in units:
        channels, height, _ = unit.shape
        width = 5.0 + 5.0 * log2(channels + 1)
        tall = max(6.0, TALLEST * sqrt(height / side))
        colour = KINDS.get(unit.kind, INK)
        parts.append(
            f'<rect x="{x:.1f}" y="{middle - tall / 2:.1f}" width="{width:.1f}" '
            f'height="{tall:.1f}" rx="2" fill="{colour}"/>'
        )
        if unit.skip:
            left, right, top = x - GAP / 2, x + width + GAP / 2, middle - tall / 2 - 7
            control = top - (middle - top) / 3  # so that the arc reaches just above the box
            parts.append(
                f'<path d="M{left:.1f} {middle:.1f} C{left:.1f} {control:.1f} {right:.1f} '
                f'{control:.1f} {right:.1f} {middle:.1f}" fill="none" stroke="{INK}" '
                'stroke-width="1.2"/>'
            )
        at = f"{x + width / 2:.1f} {TOP + TALLEST + 12:.1f}"
        shape = "\u00d7".join(map(str, unit.shape)) if height > 1 else str(channels)
        parts.append(
            f'<text transform="translate({at}) rotate(40)" font-size="11" fill="{INK}">'
            f'{html.escape(unit.name)} <tspan fill="{MUTED}">{shape}</tspan></text>'
        )
        x += width + GAP
    line = f'<path d="M{LEFT} {middle} H{x - GAP:.1f}" stroke="{MUTED}"/>'
    wide, high = x + LABEL, TOP + TALLEST + LABEL + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" '
        f'viewBox="0 0 {wide:.0f} {high:.0f}" font-family="sans-serif" role="img">'
        f'<rect width="100%" height="100%" fill="white"/>'
        f'<text x="{LEFT}" y="14" font-size="12" fill="{INK}">{html.escape(title)}</text>'
        f"{line}{''.join(parts)}</svg>"
    )
