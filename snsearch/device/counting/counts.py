"""The counts of one repeat of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from snsearch.codec import number

Events = Annotated[int, number("a count of at least 0", 0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What one repeat executes and what misses in the caches of a core."""

    instructions: Events
    loads: Events
    stores: Events
    l1d_accesses: Events  # lines: more than loads and stores, where one straddles two
    l1d_misses: Events
    l1i_accesses: Events
    l1i_misses: Events
    l2_accesses: Events  # misses of either first level
    l2_misses: Events

    @property
    def l1_misses(self) -> int:
        """Misses of both first levels: what asks the second."""
        return self.l1d_misses + self.l1i_misses
