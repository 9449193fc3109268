"""Columns of what a network costs, declared once for all tables that have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeVar

from snsearch.network.costs import Costs
from snsearch.tables import Column
from snsearch.units import format_bytes, format_count, format_mflops

R = TypeVar("R")
Figure = Literal["mflops", "params", "peak_activation_bytes", "model_size_bytes"]

_FIGURES: dict[Figure, tuple[str, Callable[[Costs], float], Callable[[Costs], str]]] = {
    "mflops": ("MFLOPs", lambda costs: round(costs.mflops, 4), lambda costs: format_mflops(costs.macs)),
    "params": ("parameters", lambda costs: costs.params, lambda costs: format_count(costs.params)),
    "peak_activation_bytes": (
        "peak activations",
        lambda costs: costs.peak_activation_bytes,
        lambda costs: format_bytes(costs.peak_activation_bytes),
    ),
    "model_size_bytes": (
        "model size",
        lambda costs: costs.weight_bytes,
        lambda costs: format_bytes(costs.weight_bytes),
    ),
}


def cost_column(figure: Figure, costs_of: Callable[[R], Costs], **changes: Any) -> Column[R]:
    """The column of a figure.

    Args:
        figure: of the costs; the column's name.
        costs_of: the costs of a record.
        changes: of the column's fields, such as its heading or `drop`.
    """
    heading, value, words = _FIGURES[figure]
    column = Column[R](
        figure,
        lambda record: value(costs_of(record)),
        heading=heading,
        text=lambda record: words(costs_of(record)),
        align="right",
    )
    return replace(column, **changes)
