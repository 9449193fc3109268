"""True spread of networks' errors against seed noise, and how reliable a mean over seeds is.

Final errors e(member, seed) are taken apart by a two-way layout without replication: member + seed + rest. The
seeds' own effect (the same order of images and the same augmentation for all members) is no noise of a comparison.
With n seeds the mean squares of members and of the rest estimate
    noise^2 = MS(rest),    spread^2 = (MS(members) - MS(rest)) / n,
and the reliability of a member's mean over n seeds is spread^2 / (spread^2 + noise^2 / n): the squared correlation
with the true errors that is to be expected. Intervals: members drawn with replacement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snsearch.intervals import mean_square_of_rest, percentiles_95

Errors = npt.NDArray[np.float64]  # (members, seeds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """Standard deviations in the errors' unit, and the reliability of the mean over the seeds."""

    members: int
    seeds: int
    spread: float  # of the members' true errors; 0 where the noise explains all
    noise: float  # of one training of a member
    reliability: float


def components(errors: Errors) -> Components:
    """The variance components of errors. Raises ValueError for fewer than two members or seeds."""
    members, seeds = errors.shape
    if members < 2 or seeds < 2:
        raise ValueError(f"two members and two seeds are needed, not {members} and {seeds}")
    by_member = errors.mean(axis=1, keepdims=True)
    noise = mean_square_of_rest(errors)
    between = seeds * float(((by_member - errors.mean()) ** 2).sum()) / (members - 1)
    spread = max(0.0, (between - noise) / seeds)
    return Components(
        members=members,
        seeds=seeds,
        spread=math.sqrt(spread),
        noise=math.sqrt(noise),
        reliability=reliability_of(spread, noise, seeds),
    )


def reliability_of(spread: float, noise: float, seeds: int) -> float:
    """The reliability of a mean over seeds, of two variances; 0 where both are."""
    return spread / (spread + noise / seeds) if spread else 0.0


def interval(errors: Errors, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of the reliability, over members.

    A member that is drawn twice brings its noise along twice, so each draw's spread is a little too large: the
    interval errs upwards by about 1 / members of the noise.
    """
    random = np.random.default_rng(seed)
    found = [components(errors[random.integers(0, len(errors), len(errors))]).reliability for _ in range(draws)]
    return percentiles_95(found)
