"""Who is trained in full by further seeds at a search's end, and until when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from snsearch.study.posterior import Posterior

_LIKELY = 0.5  # that a cheaper network is no worse than the best but for the margin


def references_of(groups: Sequence[Sequence[int]], costs: Sequence[float], cost: float) -> tuple[int, int]:
    """Of some published designs, the two that a network of that cost is compared with; they may be one.

    The first is that of g=3, or the middle one of another line-up; the second is the one nearest in cost.

    Args:
        groups: of the published designs: group counts per stage.
        costs: of the published designs.
    """
    usual = next((at for at, counts in enumerate(groups) if set(counts) == {3}), len(groups) // 2)
    return usual, min(range(len(costs)), key=lambda at: abs(costs[at] - cost))


def contenders(known: Posterior, tried: Sequence[int], costs: Sequence[float], margin: float) -> list[int]:
    """The network that is expected to be best, and one beside it, of those that were tried.

    That is the cheapest which is more likely than not to be no worse but for the margin, else the second best.
    """
    ranked = sorted(tried, key=lambda network: known.mean[network])
    best = ranked[0]
    variance = np.diag(known.covariance)
    apart = np.sqrt(np.maximum(variance + variance[best] - 2 * known.covariance[best], 1e-18))
    likely = ndtr((known.mean[best] + margin - known.mean) / apart)
    cheaper = [network for network in ranked[1:] if costs[network] < costs[best] and likely[network] >= _LIKELY]
    if cheaper:
        return [best, min(cheaper, key=lambda network: costs[network])]
    return ranked[:2]
