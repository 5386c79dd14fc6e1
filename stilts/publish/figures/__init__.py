"""Figures of the book, drawn from tables alone; each is saved with its data."""

from stilts.publish.figures.design import costs, coverage, throughput
from stilts.publish.figures.questions import (
    complexity_gaps,
    distance_scatter,
    forgetting,
    group_gains,
    order_gains,
    order_languages,
    scheme_matrices,
    similarity_scatter,
    source_gains,
)
from stilts.publish.figures.style import DIVERGING, ink_on, save
from stilts.publish.figures.transfer import (
    agreement,
    claims,
    english_gaps,
    language_gains,
    layer_profiles,
    transfer_matrix,
)

__all__ = [
    "DIVERGING",
    "agreement",
    "claims",
    "complexity_gaps",
    "costs",
    "coverage",
    "distance_scatter",
    "english_gaps",
    "forgetting",
    "group_gains",
    "ink_on",
    "language_gains",
    "layer_profiles",
    "order_gains",
    "order_languages",
    "save",
    "scheme_matrices",
    "similarity_scatter",
    "source_gains",
    "throughput",
    "transfer_matrix",
]
