"""The statistics of timing samples: medians with their intervals, and spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95  # of the interval around a median
_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """The median of samples with its bootstrap interval, and their spread."""

    median_ms: float
    low_ms: float
    high_ms: float
    iqr_share: float  # interquartile range over the median
    samples: int
    outliers: int  # more than 1.5 interquartile ranges outside the quartiles; not removed
    most_ms: float

    @property
    def interval_share(self) -> float:
        """The interval's width over the median."""
        return (self.high_ms - self.low_ms) / self.median_ms


def statistics_of(rounds: Sequence[Sequence[int]]) -> Statistics:
    """The statistics of samples in nanoseconds, by round.

    The interval is a bootstrap over whole rounds: what disturbs one run of a round also disturbs the next. Its random
    numbers depend on the number of rounds only.
    """
    values = np.asarray(rounds, dtype=np.float64) / 1e6  # every round has the same number of samples
    samples = values.ravel()
    median = float(np.median(samples))
    lower, upper = (float(value) for value in np.quantile(samples, (0.25, 0.75)))
    reach = 1.5 * (upper - lower)
    random = np.random.default_rng(len(rounds))
    drawn: NDArray[Any] = values[random.integers(len(rounds), size=(_RESAMPLES, len(rounds)))]
    medians = np.median(drawn.reshape(_RESAMPLES, -1), axis=1)
    low, high = (float(end) for end in np.quantile(medians, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)))
    return Statistics(
        median_ms=median,
        low_ms=min(low, median),
        high_ms=max(high, median),
        iqr_share=(upper - lower) / median,
        samples=len(samples),
        outliers=int(np.sum((samples < lower - reach) | (samples > upper + reach))),
        most_ms=float(samples.max()),
    )
