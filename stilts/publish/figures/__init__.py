"""Figures of the book, drawn from tables and saved with their data."""

from stilts.publish.figures.design import draw_costs, draw_coverage, draw_throughput
from stilts.publish.figures.questions import (
    draw_complexity_gaps,
    draw_distance_scatter,
    draw_forgetting,
    draw_group_gains,
    draw_order_gains,
    draw_order_languages,
    draw_question_forest,
    draw_scheme_matrices,
    draw_similarity_scatter,
    draw_source_gains,
)
from stilts.publish.figures.style import DIVERGING, choose_ink, save
from stilts.publish.figures.transfer import (
    draw_agreement,
    draw_claims,
    draw_english_gaps,
    draw_language_gains,
    draw_layer_profiles,
    draw_transfer_matrix,
)

__all__ = [
    "DIVERGING",
    "draw_agreement",
    "draw_claims",
    "draw_complexity_gaps",
    "draw_costs",
    "draw_coverage",
    "draw_distance_scatter",
    "draw_english_gaps",
    "draw_forgetting",
    "draw_group_gains",
    "choose_ink",
    "draw_language_gains",
    "draw_layer_profiles",
    "draw_order_gains",
    "draw_order_languages",
    "draw_question_forest",
    "save",
    "draw_scheme_matrices",
    "draw_similarity_scatter",
    "draw_source_gains",
    "draw_throughput",
    "draw_transfer_matrix",
]
