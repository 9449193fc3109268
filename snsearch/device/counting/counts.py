"""The counts of one repeat of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from snsearch.codec import number

Events = Annotated[int, number("a count of at least 0", 0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What one repeat executes, and its accesses to and misses in the caches of a core."""

    instructions: Events
    loads: Events
    stores: Events
    l1d_accesses: Events  # in lines: one load or store may span two
    l1d_misses: Events
    l1i_accesses: Events
    l1i_misses: Events
    l2_accesses: Events  # misses of either first level
    l2_misses: Events

    @property
    def l1_misses(self) -> int:
        """Misses in both first levels, which access the second level."""
        return self.l1d_misses + self.l1i_misses
