"""The page of a search, or of several: one HTML file that needs no network, from plain data.

The file's own policy allows its one script and its one style by their hashes and nothing else, so
that text of a stranger's run, wherever it slipped through, could neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from nas.common.files import read_text
from nas.report import colours

PAGE = Path(__file__).parent / "page"
SCRIPTS = {
    "explorer.html": ("chart.js", "drawing.js", "tables.js", "explorer.js"),
    "compare.html": ("chart.js", "tables.js", "compare.js"),
}
UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}  # that could end the data block


def explorer_page(overview: dict[str, Any], live: bool = False) -> str:
    """HTML of what nas.search.overview gives. live: it asks its server for `data.json` again."""
    return _template("explorer.html").substitute(DATA=as_json({**overview, "live": live}))


def comparison_page(comparison: dict[str, Any]) -> str:
    """HTML of what nas.search.comparison gives."""
    return _template("compare.html").substitute(DATA=as_json(comparison))


def as_json(value: object) -> str:
    """JSON that is safe inside a <script> element. ValueError for a number that is not finite."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(UNSAFE)


@cache
def _template(name: str) -> Template:
    script = "\n".join(read_text(PAGE / part) for part in SCRIPTS[name])
    style = Template(read_text(PAGE / "explorer.css")).substitute(
        COLOURS=_variables(colours.LIGHT), DARK=_variables(colours.DARK)
    )
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    page = Template(read_text(PAGE / name))
    parts = {"POLICY": policy, "STYLE": style, "SCRIPT": script}
    escaped = {name: part.replace("$", "$$") for name, part in parts.items()}
    return Template(page.substitute(escaped, DATA="$DATA"))


def _variables(found: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in found.items())


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
