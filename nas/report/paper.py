"""A run's figures and the table of its front, as a paper has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from nas.common.files import make_folder, replace_file
from nas.report.course import course_picture
from nas.report.front import front_latex, front_of
from nas.report.pareto import pareto_picture


def write_paper(folder: Path, overview: dict[str, Any]) -> Path:
    """PDF and SVG figures, and front.tex, of what nas.search.overview gives; the folder."""
    make_folder(folder)
    with matplotlib.rc_context(
        {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "nas"}
    ):  # text stays text
        for kind in ("pdf", "svg"):
            pareto_picture(folder / f"front.{kind}", overview)
            pareto_picture(folder / f"front_published.{kind}", overview, published=True)
            course_picture(folder / f"course.{kind}", overview)
    axes = [overview["measure"], *overview["axes"]]
    references = [r for r in overview["references"] if axes[0]["name"] in r["metrics"]]
    front = front_of(overview["networks"], axes)
    replace_file(folder / "front.tex", front_latex(front, references, overview["best"], axes))
    return folder
