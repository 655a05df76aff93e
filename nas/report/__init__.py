"""What people look at: tables, pictures and the model card. No torch here."""

from nas.report.ablation import ablation_picture, ablation_table
from nas.report.card import model_card
from nas.report.course import course_picture
from nas.report.explorer import comparison_page, explorer_page
from nas.report.front import front_latex, front_of, front_table
from nas.report.pareto import objectives_figure, pareto_picture
from nas.report.plots import (
    as_html,
    confusion_png,
    curves_png,
    hypervolume_png,
    saliency_png,
)
from nas.report.table import table

__all__ = [
    "ablation_picture",
    "ablation_table",
    "as_html",
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
    "saliency_png",
    "table",
]
