"""The front under noise: how often each candidate is on it, and the band that it lies in.

Errors are drawn within their noise (a parametric bootstrap). What was seen is first drawn towards the mean of all
candidates, by as much as noise explains of their spread: the lowest error that was seen is low by chance, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Errors = Sequence[tuple[float, float]]  # error and its standard deviation

DRAWS = 1000
_SEED = 0
_STEPS = 60  # of the band


def _draws(errors: Errors) -> Array:
    """(DRAWS, N) errors that may be the true ones.

    The variance between candidates is what noise leaves of the variance that was seen, and no less than the standard
    error of that estimate: few candidates cannot show that they are all alike.
    """
    seen, deviations = np.array(errors, dtype=np.float64).T
    noise = np.maximum(deviations**2, 1e-12)
    random = np.random.default_rng(_SEED).standard_normal((DRAWS, len(seen)))
    if len(seen) == 1:
        alone: Array = seen + random * deviations
        return alone
    variance = float(seen.var(ddof=1))
    between = max(variance - float(noise.mean()), variance * math.sqrt(2 / (len(seen) - 1)) / 2, 1e-12)
    trust = between / (between + noise)
    middle = float(np.average(seen, weights=1 / (between + noise)))
    drawn: Array = middle + trust * (seen - middle) + random * np.sqrt(noise * trust)
    return drawn


def front_shares(errors: Errors, costs: Sequence[float]) -> list[float]:
    """Of draws of the errors the share in which each candidate is on the front; costs are taken as they are."""
    if not errors:
        return []
    order = np.lexsort(([error for error, _ in errors], costs))
    drawn = _draws(errors)[:, order]
    best = np.minimum.accumulate(drawn, axis=1)
    on_front = np.ones_like(drawn, dtype=bool)
    on_front[:, 1:] = drawn[:, 1:] < best[:, :-1]
    shares = np.empty(len(order))
    shares[order] = on_front.mean(0)
    return [float(share) for share in shares]


def front_band(errors: Errors, costs: Sequence[float]) -> list[dict[str, float]]:
    """The lowest error within each cost: the middle of the draws, and where 95 % of them lie."""
    if not errors:
        return []
    order = np.argsort(costs, kind="stable")
    sorted_costs = np.array(costs)[order]
    best = np.minimum.accumulate(_draws(errors)[:, order], axis=1)
    low, middle, high = np.clip(np.quantile(best, [0.025, 0.5, 0.975], axis=0), 0.0, 1.0)
    last = np.append(np.nonzero(np.diff(sorted_costs))[0], len(sorted_costs) - 1)  # of those that cost the same
    if len(last) > _STEPS:
        last = last[np.unique(np.linspace(0, len(last) - 1, _STEPS).round().astype(int))]
    return [
        {"cost": float(sorted_costs[at]), "low": float(low[at]), "middle": float(middle[at]), "high": float(high[at])}
        for at in last
    ]
