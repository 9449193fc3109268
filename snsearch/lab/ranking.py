"""Agreement of two rankings: rank correlations, regret, and the ceiling that noise sets.

Lower scores are better. All intervals are 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from snsearch.intervals import percentiles_95

Array = npt.NDArray[np.float64]
BOOTSTRAPS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """Agreement of a proxy's ranking of a set of candidates with the reference ranking."""

    kendall_tau: float  # tau-b, mean over the proxy's seeds
    interval: tuple[float, float]
    spearman: float
    spearman_interval: tuple[float, float]
    regret_top1: float  # reference error of the proxy's first choice, less that of the best
    regret_top3: float  # ... of the best among its first three


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """The highest rank correlation that the noise of the reference allows."""

    mean: float  # of the reference mean with that of as many other seeds
    one_seed: float  # of one seed with another, as observed
    seed_deviation: float  # of one seed's score, pooled over the candidates
    spread: float  # standard deviation between candidates, without the noise


def signs(scores: Array) -> Array:
    """(..., N, N) signs of the differences of (..., N) scores."""
    differences: Array = np.sign(scores[..., :, None] - scores[..., None, :])
    return differences


def kendall_tau(first: Array, second: Array) -> float:
    """Kendall's tau-b (1945) of two (N,) scores; 0 if one of them is constant."""
    return float(_tau(signs(first), signs(second), np.ones((1, len(first))))[0])


def _tau(first: Array, second: Array, weights: Array) -> Array:
    """(B,) tau-b of two (N, N) or (B, N, N) sign matrices; candidates have (B, N) weights."""
    pairs = weights[:, :, None] * weights[:, None, :]
    common = (pairs * first * second).sum((1, 2))
    untied = (pairs * np.abs(first)).sum((1, 2)) * (pairs * np.abs(second)).sum((1, 2))
    taus: Array = np.divide(common, np.sqrt(untied), out=np.zeros_like(common), where=untied > 0)
    return taus


def spearman(first: Array, second: Array) -> float:
    """Spearman's rank correlation of two (N,) scores; 0 if one of them is constant."""
    return float(_spearman(first[None], second[None])[0])


def _spearman(first: Array, second: Array) -> Array:
    """(B,) rank correlations of (B, N) scores."""
    a, b = rankdata(first, axis=1), rankdata(second, axis=1)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    sizes = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    rhos: Array = np.divide((a * b).sum(1), sizes, out=np.zeros_like(sizes), where=sizes > 0)
    return rhos


def regret(proxy: Array, reference: Array, k: int) -> float:
    """The best reference score among the proxy's first k, minus the best of all."""
    first = np.argsort(proxy, kind="stable")[:k]
    return float(reference[first].min() - reference.min())


def agreement(proxy: Array, reference: Array, *, seed: int = 0) -> Agreement:
    """Agreement of a proxy's (P, N) scores, one row per seed, with the mean of a reference's (R, N).

    A user runs the proxy with one seed, so figures are means over its seeds. Intervals are percentiles of a bootstrap
    over candidates, the proxy's seed and the reference's seeds.
    """
    mean = reference.mean(0)
    random = np.random.default_rng(seed)
    count = len(mean)
    drawn = random.integers(count, size=(BOOTSTRAPS, count))
    rows = random.integers(len(reference), size=(BOOTSTRAPS, len(reference)))
    ones = proxy[random.integers(len(proxy), size=BOOTSTRAPS)]
    others = reference[rows].mean(1)
    weights = (drawn[:, :, None] == np.arange(count)).sum(1).astype(np.float64)
    taus = _tau(signs(ones), signs(others), weights)
    rhos = _spearman(np.take_along_axis(ones, drawn, 1), np.take_along_axis(others, drawn, 1))
    return Agreement(
        kendall_tau=float(np.mean([kendall_tau(row, mean) for row in proxy])),
        interval=percentiles_95(taus),
        spearman=float(np.mean([spearman(row, mean) for row in proxy])),
        spearman_interval=percentiles_95(rhos),
        regret_top1=float(np.mean([regret(row, mean, 1) for row in proxy])),
        regret_top3=float(np.mean([regret(row, mean, 3) for row in proxy])),
    )


def noise_ceiling(reference: Array, *, seed: int = 0) -> Ceiling:
    """The ceiling of a reference's (R, N) scores, one row per seed. Raises ValueError for R below 2.

    The ceiling of the mean is simulated: the means, shrunk to the noise-free spread of the candidates, are drawn
    twice with normal noise of R seeds.
    """
    seeds, count = reference.shape
    if seeds < 2:
        raise ValueError("a noise ceiling needs two seeds of the reference")
    means = reference.mean(0)
    noise = float(reference.var(0, ddof=1).mean())
    observed = float(means.var(ddof=1))
    spread = max(0.0, observed - noise / seeds)
    shrunk = means.mean() + (means - means.mean()) * np.sqrt(spread / observed if observed > 0 else 0.0)
    random = np.random.default_rng(seed)
    drawn = shrunk + random.normal(0.0, np.sqrt(noise / seeds), (2, BOOTSTRAPS, count))
    between = [kendall_tau(reference[i], reference[j]) for i in range(seeds) for j in range(i)]
    return Ceiling(
        mean=float(np.mean([kendall_tau(one, other) for one, other in zip(*drawn, strict=True)])),
        one_seed=float(np.mean(between)),
        seed_deviation=float(np.sqrt(noise)),
        spread=float(np.sqrt(spread)),
    )
