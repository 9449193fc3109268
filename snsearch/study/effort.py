"""How much work a search is: full trainings for the search, and seeds for its finalists. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EffortName = Literal["quick", "standard", "thorough"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """A fixed amount of work, whatever the clock says.

    Args:
        start: networks that are begun before anything else.
        trainings: full trainings' worth of work of the search.
        seeds: full trainings of each finalist at most, by seeds that the search did not use.
    """

    start: int
    trainings: float
    seeds: int

    def of_trials(self, trials: int | None, short: float) -> Effort:
        """The same effort, in which at least `trials` networks are begun; `short` is what each of them costs."""
        if trials is None:
            return self
        further = max(0, trials - self.start)
        return Effort(start=trials, trainings=self.trainings + further * short, seeds=self.seeds)


EFFORTS: dict[str, Effort] = {
    "quick": Effort(start=6, trainings=5.0, seeds=2),
    "standard": Effort(start=12, trainings=12.0, seeds=5),
    "thorough": Effort(start=24, trainings=30.0, seeds=8),
}
STANDARD: EffortName = "standard"
FULL_IMAGES = 30_000  # of a full training, before the pilot
MARGIN = 0.5  # points of error below which two networks are equal: about the noise of one full training
FINALISTS = 4  # at most: two contenders and two published designs
