"""Means of a study's errors over seeds, and standard deviations that include both kinds of noise.

A proxy error depends on the test images and on the seed of the training. The noise of the images follows from their
number. The noise of seeds is estimated from candidates that were trained with several, pooled over the study.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from snsearch.intervals import Z95, error_of_share, student_95
from snsearch.training import ProxyResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A candidate's mean error and loss over its seeds, and the standard deviation of the mean error."""

    error: float
    loss: float
    seeds: int
    deviation: float

    @property
    def deviation_95(self) -> float:
        """Half the width of the error's 95 % interval."""
        return Z95 * self.deviation

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the error, from 0 to 1."""
        return max(0.0, self.error - self.deviation_95), min(1.0, self.error + self.deviation_95)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedNoise:
    """The standard deviation of the error between seeds, pooled over the candidates that have several."""

    deviation: float
    degrees: int  # of freedom: trainings with another seed
    candidates: int

    @property
    def widened(self) -> float:
        """The deviation widened for few trainings: times the ratio of Student's to the normal 97.5 % point."""
        return self.deviation * student_95(self.degrees) / Z95


def seed_noise(candidates: Sequence[Sequence[ProxyResult]]) -> SeedNoise | None:
    """The pooled noise of seeds; None below two degrees of freedom.

    One pair gives a 95 % interval 13 times as wide as its difference.
    """
    repeated = [[result.error for result in results] for results in candidates if len(results) > 1]
    degrees = sum(len(errors) - 1 for errors in repeated)
    if degrees < 2:
        return None
    squares = sum(variance(errors) * (len(errors) - 1) for errors in repeated)
    return SeedNoise(deviation=math.sqrt(squares / degrees), degrees=degrees, candidates=len(repeated))


def scores_of(candidates: Sequence[Sequence[ProxyResult]]) -> list[Score]:
    """One score per candidate, from its results with one or several seeds on the same test images."""
    noise = seed_noise(candidates)
    scores = []
    for results in candidates:
        error = fmean(result.error for result in results)
        from_images = error_of_share(error, results[0].test_images)
        from_seeds = 0.0 if noise is None else noise.widened / math.sqrt(len(results))
        scores.append(
            Score(
                error=error,
                loss=fmean(result.loss for result in results),
                seeds=len(results),
                deviation=math.hypot(from_images, from_seeds),
            )
        )
    return scores
