"""The drawing of a network: a box for each unit, as wide as its channels, arcs for skips."""

import re
import xml.etree.ElementTree as ET

from nas.report.colours import KINDS
from nas.report.network import Drawn, network_svg

UNITS = [
    Drawn("image", "image", (1, 48, 48)),
    Drawn("conv", "conv", (32, 24, 24)),
    Drawn("inverted <5>", "inverted", (64, 12, 12), skip=True),
    Drawn("conv", "conv", (64, 12, 12)),
    Drawn("classifier", "head", (7, 1, 1)),
]


def test_boxes_arcs_and_labels():
    root = ET.fromstring(network_svg("a & b", UNITS))
    ns = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(f"{ns}rect")[1:]  # the first is the ground
    widths = [float(box.get("width")) for box in boxes]
    heights = [float(box.get("height")) for box in boxes]
    assert heights == sorted(heights, reverse=True)  # as the maps get smaller
    assert widths[0] < widths[1] < widths[2] == widths[3] > widths[4]
    assert boxes[1].get("fill") == boxes[3].get("fill") != boxes[2].get("fill")
    arcs = [p for p in root.findall(f"{ns}path") if " C" in p.get("d")]
    assert len(arcs) == 1
    texts = ["".join(text.itertext()) for text in root.findall(f"{ns}text")]
    assert texts[0] == "a & b"
    assert texts[3] == "inverted <5> 64\u00d712\u00d712"
    assert texts[-1] == "classifier 7"
    right = max(float(b.get("x")) + w for b, w in zip(boxes, widths, strict=True))
    assert right < float(re.match(r"[\d.]+", root.get("width"))[0])


def test_a_kind_has_one_colour_in_all_drawings():
    fills = re.findall(r'<rect x="[^>]*fill="([^"]+)"', network_svg("", UNITS[:1] + UNITS[2:]))
    assert fills == [KINDS[kind] for kind in ("image", "inverted", "conv", "head")]
    assert len({KINDS[kind] for kind in KINDS if kind not in ("image", "resize")}) == len(KINDS) - 2
