"""Who is trained in full by further seeds at a search's end, and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from snsearch.study.posterior import Posterior

_LIKELY = 0.5  # that a cheaper network is no worse than the best but for the margin


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """The published designs that a pick is compared with, as networks."""

    usual: int  # the published g=3, or the middle one of another line-up
    nearest: int  # the one nearest to the best in cost


def references_of(
    best: int, published: Sequence[int], groups: Mapping[int, Sequence[int]], costs: Sequence[float]
) -> References:
    """The references for a network; `groups` has the group counts of each published one's stages."""
    usual = next((network for network in published if set(groups[network]) == {3}), published[len(published) // 2])
    nearest = min(published, key=lambda network: abs(costs[network] - costs[best]))
    return References(usual=usual, nearest=nearest)


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
