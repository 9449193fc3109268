"""What a study's scores are worth: means over seeds, and deviations that hold both kinds of noise.

Two things move a proxy error: which test images it was measured on, and the seed of the training. The first is
known from their number; the second only where candidates were trained again with other seeds, and is then taken to
be alike for all candidates of the study (pooled).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.special import stdtrit

from snsearch.study.pareto import front, possible_front
from snsearch.training import ProxyResult

Z95 = 1.959964  # two-sided 95 % of a normal distribution


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A candidate's mean over its seeds, and the standard deviation of that mean."""

    error: float
    loss: float
    seeds: int
    deviation: float

    @property
    def deviation_95(self) -> float:
        """Half the width of the error's 95 % interval."""
        return Z95 * self.deviation


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedNoise:
    """The spread of the error between seeds, pooled over the candidates that have several."""

    deviation: float
    degrees: int  # of freedom: trainings with another seed
    candidates: int

    @property
    def widened(self) -> float:
        """The deviation, widened for how few trainings it was estimated from.

        By the ratio of Student's to the normal distribution's 97.5 % point.
        """
        return self.deviation * float(stdtrit(self.degrees, 0.975)) / Z95


def seed_noise(candidates: Sequence[Sequence[ProxyResult]]) -> SeedNoise | None:
    """The pooled spread between seeds of candidates' results; None where there are too few to say anything.

    That is below two degrees of freedom: of one pair alone, the 95 % interval is 13 times as wide as their distance.
    """
    repeated = [[result.error for result in results] for results in candidates if len(results) > 1]
    degrees = sum(len(errors) - 1 for errors in repeated)
    if degrees < 2:
        return None
    squares = sum(variance(errors) * (len(errors) - 1) for errors in repeated)
    return SeedNoise(deviation=math.sqrt(squares / degrees), degrees=degrees, candidates=len(repeated))


def _test_deviation(error: float, images: int) -> float:
    """Standard error of a share of wrong test images, from their number alone.

    Agresti and Coull's (1998): two wrong and two right images are added, so that no error at all on a few images is
    not taken for certainty.
    """
    share = (error * images + 2) / (images + 4)
    return math.sqrt(share * (1 - share) / (images + 4))


def scores_of(candidates: Sequence[Sequence[ProxyResult]]) -> list[Score]:
    """One score a candidate, from its results with one or several seeds on the same test images."""
    noise = seed_noise(candidates)
    scores = []
    for results in candidates:
        error = fmean(result.error for result in results)
        from_images = _test_deviation(error, results[0].test_images)
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


def finalists(
    scores: Sequence[Score], costs: Sequence[float], count: int, order: Sequence[float] | None = None
) -> list[int]:
    """Indices of the candidates that are worth further seeds: the front, then what noise could put there.

    Each part by `order`, the least first; by error where none is given.
    """
    by = [score.error for score in scores] if order is None else order
    points = [(score.error, cost) for score, cost in zip(scores, costs, strict=True)]
    first = front(points)
    further = [i for i in possible_front(points, [score.deviation for score in scores], Z95) if i not in first]
    ranked = sorted(first, key=lambda i: by[i]) + sorted(further, key=lambda i: by[i])
    return ranked[:count]
