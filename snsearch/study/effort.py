"""How much work a search is: full trainings for the search, and seeds for its finalists. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

EffortName = Literal["quick", "standard", "thorough"]

_FIRST = 0.4  # share of the search's work that goes into the first, short trainings
_FEWEST = 6  # networks that are begun


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """A fixed amount of work, whatever the clock says.

    Args:
        trainings: full trainings' worth of work of the search.
        seeds: full trainings of each finalist at most, by seeds that the search did not use.
        start: networks that are begun before anything else; 0: not known before the short length is.
    """

    trainings: float
    seeds: int
    start: int = 0

    @property
    def at_most(self) -> float:
        """Full trainings' worth of work of the search and its finalists."""
        return self.trainings + self.seeds * FINALISTS

    def settled(self, trials: int | None, short: float) -> Effort:
        """The same effort where a short training has that share; with `trials`, as many networks are begun."""
        usual = max(_FEWEST, round(_FIRST * self.trainings / short))
        if trials is None:
            return replace(self, start=usual)
        further = max(0, trials - usual)
        return replace(self, start=trials, trainings=self.trainings + further * short)


EFFORTS: dict[str, Effort] = {
    "quick": Effort(trainings=5.0, seeds=2),
    "standard": Effort(trainings=12.0, seeds=5),
    "thorough": Effort(trainings=30.0, seeds=8),
}
STANDARD: EffortName = "standard"
FULL_IMAGES = 30_000  # of a full training, before the pilot
MARGIN = 0.5  # points of error below which two networks are equal: about the noise of one full training
FINALISTS = 4  # at most: two contenders and two published designs
