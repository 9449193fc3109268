"""The palette of charts: eight colors by number, as CSS variables of the page, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

COLORS = 8
RANGE = [f"var(--c{at})" for at in range(COLORS)]


def legend_of(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The names with the variables of their colors, in order."""
    return tuple((name, f"--c{at % COLORS}") for at, name in enumerate(names))


def by_number(field: str = "color") -> dict[str, Any]:
    """The encoding of a field that holds the numbers of colors."""
    scale = {"domain": [*range(COLORS)], "range": RANGE}
    return {"field": field, "type": "ordinal", "scale": scale, "legend": None}


def by_name(field: str, names: Sequence[str]) -> dict[str, Any]:
    """The encoding of a field that holds one of up to eight names."""
    scale = {"domain": list(names), "range": RANGE[: len(names)]}
    return {"field": field, "type": "nominal", "sort": None, "scale": scale, "legend": None}
