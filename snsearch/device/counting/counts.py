"""The counts of one repeat of a program, and the weights that make them milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from snsearch.codec import Count, number, text

Events = Annotated[int, number("a count of at least 0", 0)]
Weight = Annotated[float, number("milliseconds per million, at least 0", 0)]


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighing:
    """Milliseconds per million instructions and misses, and the errors on held-out networks."""

    device: Annotated[str, text("the device whose figures were fitted on")]
    source: Annotated[str, text("where those figures come from")]
    instructions: Weight
    l1_misses: Weight
    l2_misses: Weight
    mape: Annotated[float, number("a mean absolute relative error, such as 0.1", 0)]
    # Divides and multiplies a figure: the ends of its 95 % interval.
    interval_factor: Annotated[float, number("a number of at least 1", 1)]
    networks: Count

    @property
    def provenance(self) -> str:
        """The label of its milliseconds."""
        return (
            f"predicted from counted cost, {self.device}, ±{self.mape * 100:.0f} % (mean error of {self.networks} "
            f"published figures, each held out; {self.source})"
        )

    def milliseconds(self, counts: Counts) -> tuple[float, float, float]:
        """The predicted milliseconds and the ends of their 95 % interval."""
        ms = (
            self.instructions * counts.instructions
            + self.l1_misses * counts.l1_misses
            + self.l2_misses * counts.l2_misses
        ) / 1e6
        return ms, ms / self.interval_factor, ms * self.interval_factor
