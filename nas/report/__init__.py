"""What people look at: tables, pictures and the model card. No torch here.

matplotlib and the like are imported when a picture is first drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.common.lazy import lazy_names
from nas.report.table import table  # at once: its module has the same name

if TYPE_CHECKING:
    from nas.report.ablation import ablation_picture, ablation_table
    from nas.report.axes import axes_of
    from nas.report.card import model_card
    from nas.report.course import course_picture
    from nas.report.explorer import comparison_page, explorer_page
    from nas.report.front import front_latex, front_of, front_table, plain_row
    from nas.report.pareto import objectives_figure, pareto_picture
    from nas.report.plots import (
        as_html,
        confusion_png,
        curves_png,
        hypervolume_png,
        saliency_png,
    )

__all__ = [
    "ablation_picture",
    "ablation_table",
    "as_html",
    "axes_of",
    "comparison_page",
    "confusion_png",
    "course_picture",
    "curves_png",
    "explorer_page",
    "front_latex",
    "front_of",
    "front_table",
    "hypervolume_png",
    "model_card",
    "objectives_figure",
    "pareto_picture",
    "plain_row",
    "saliency_png",
    "table",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ablation_picture": "nas.report.ablation",
        "ablation_table": "nas.report.ablation",
        "as_html": "nas.report.plots",
        "axes_of": "nas.report.axes",
        "comparison_page": "nas.report.explorer",
        "confusion_png": "nas.report.plots",
        "course_picture": "nas.report.course",
        "curves_png": "nas.report.plots",
        "explorer_page": "nas.report.explorer",
        "front_latex": "nas.report.front",
        "front_of": "nas.report.front",
        "front_table": "nas.report.front",
        "hypervolume_png": "nas.report.plots",
        "model_card": "nas.report.card",
        "objectives_figure": "nas.report.pareto",
        "pareto_picture": "nas.report.pareto",
        "plain_row": "nas.report.front",
        "saliency_png": "nas.report.plots",
    },
)
