"""What separates networks that were trained with the same seeds: a contrast of their errors, with its noise.

An error is taken to be the network's own, plus what the seed does to every network alike (the order of the images),
plus noise. Contrasts are taken within a seed, so that the second part cancels, as in a paired test. Noise is pooled
over networks of a kind and differs between kinds: a plain network's seeds may spread several times as far as a
residual one's. The kind that was trained most tells what the seeds do; its noise is what network and seed do not
explain. Of two networks of that kind alone this makes Student's paired test; with more of them the noise is known
better. Kinds are put together after Welch and Satterthwaite, which is an approximation: with three seeds, an interval
that says 95 % holds 93 % where a network alone in its kind is several times as noisy as the others.

The test images are the same for all: an interval speaks of other seeds, for these images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

import numpy as np
from scipy.special import stdtr, stdtrit

Errors = Mapping[str, Mapping[int, float]]  # by network and seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """The variance of one training's error that neither network nor seed explains."""

    variance: float
    degrees: float  # of freedom


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A weighted sum of networks' errors whose weights add up to zero, as seen, and the noise of it."""

    estimate: float
    noise: Noise
    seeds: int

    @property
    def half_width_95(self) -> float:
        """Half the width of the 95 % interval, by Student's t."""
        return math.sqrt(self.noise.variance) * float(stdtrit(self.noise.degrees, 0.975))

    @property
    def confidence(self) -> float:
        """That the true contrast is positive: the one-sided probability, by Student's t."""
        if self.noise.variance == 0:
            return 0.5 if self.estimate == 0 else float(self.estimate > 0)
        return float(stdtr(self.noise.degrees, self.estimate / math.sqrt(self.noise.variance)))


def noise_of(errors: Errors, kinds: Mapping[str, str]) -> dict[str, Noise]:
    """The noise of each kind of network; a kind is missing where it was not trained often enough to tell.

    Trainings may be missing. Degrees of freedom of the kind that was trained most are its trainings less the rank of
    network + seed, (networks - 1) (seeds - 1) where none is missing; of another, its trainings less its networks.
    """
    trainings = Counter(dict.fromkeys(kinds.values(), 0))
    for network, by_seed in errors.items():
        trainings[kinds[network]] += len(by_seed)
    [(reference, count)] = trainings.most_common(1)
    if count == 0:
        return {}
    of_reference = {network: by_seed for network, by_seed in errors.items() if kinds[network] == reference}
    own, seed_effects = _additive(of_reference)
    found = {} if own is None else {reference: own}
    for kind in trainings:
        if kind != reference:
            centred = [
                [error - seed_effects[seed] for seed, error in by_seed.items() if seed in seed_effects]
                for network, by_seed in errors.items()
                if kinds[network] == kind
            ]
            several = [values for values in centred if len(values) > 1]
            if several:
                degrees = sum(len(values) - 1 for values in several)
                squares = sum(variance(values) * (len(values) - 1) for values in several)
                found[kind] = Noise(variance=squares / degrees, degrees=degrees)
    return found


def _additive(errors: Errors) -> tuple[Noise | None, dict[int, float]]:
    """The noise, where it can be told, and what each seed does: least squares of network + seed."""
    rows = [(network, seed, error) for network, by_seed in errors.items() for seed, error in by_seed.items()]
    networks = list(dict.fromkeys(network for network, _, _ in rows))
    seeds = list(dict.fromkeys(seed for _, seed, _ in rows))
    design = np.zeros((len(rows), len(networks) + len(seeds)))
    for row, (network, seed, _) in enumerate(rows):
        design[row, networks.index(network)] = design[row, len(networks) + seeds.index(seed)] = 1
    observed = np.array([error for _, _, error in rows])
    fitted, _, rank, _ = np.linalg.lstsq(design, observed, rcond=None)
    effects = {seed: float(fitted[len(networks) + index]) for index, seed in enumerate(seeds)}
    degrees = len(rows) - int(rank)
    if degrees < 1:
        return None, effects
    squares = float(np.square(observed - design @ fitted).sum())
    return Noise(variance=squares / degrees, degrees=degrees), effects


def common_seeds(errors: Errors, weights: Mapping[str, float]) -> list[int]:
    """The seeds that every network of a contrast was trained with, rising."""
    return sorted(set.intersection(*(set(errors.get(network, {})) for network in weights)))


def estimate_of(errors: Errors, weights: Mapping[str, float], seeds: Sequence[int]) -> float:
    """The weighted sum of errors, averaged over seeds."""
    return fmean(sum(weight * errors[network][seed] for network, weight in weights.items()) for seed in seeds)


def contrast_of(
    errors: Errors, weights: Mapping[str, float], kinds: Mapping[str, str], noise: Mapping[str, Noise]
) -> Contrast | None:
    """The contrast over the seeds that all its networks share; None without such seeds, or a kind's noise."""
    assert abs(sum(weights.values())) < 1e-9
    seeds = common_seeds(errors, weights)
    if not seeds or not all(kinds[network] in noise for network in weights):
        return None
    squares: dict[str, float] = {}
    for network, weight in weights.items():
        squares[kinds[network]] = squares.get(kinds[network], 0.0) + weight**2
    parts = [
        Noise(variance=noise[kind].variance * square / len(seeds), degrees=noise[kind].degrees)
        for kind, square in squares.items()
    ]
    return Contrast(estimate=estimate_of(errors, weights, seeds), noise=_sum_of(parts), seeds=len(seeds))


def difference_of(one: Contrast, other: Contrast) -> Contrast:
    """One contrast less another of other networks."""
    return Contrast(
        estimate=one.estimate - other.estimate,
        noise=_sum_of([one.noise, other.noise]),
        seeds=min(one.seeds, other.seeds),
    )


def _sum_of(parts: Sequence[Noise]) -> Noise:
    """The noise of a sum of independent parts; degrees of freedom after Welch (1947) and Satterthwaite (1946)."""
    total = sum(part.variance for part in parts)
    if len(parts) == 1 or total == 0:
        return Noise(variance=total, degrees=min(part.degrees for part in parts))
    return Noise(variance=total, degrees=total**2 / sum(part.variance**2 / part.degrees for part in parts))
