"""Contrasts: differences of errors between networks trained with the same seeds, with their noise.

Model: error = network effect + seed effect (the order of the images, equal for all networks) + noise. Contrasts are
taken within a seed, so the seed effect cancels, as in a paired test. Noise is pooled over networks of one kind, and
differs between kinds: seeds of a plain network may spread several times as far as those of a residual one. Seed
effects are estimated from the kind with the most trainings. For two networks of that kind this is Student's paired
test; more networks give more degrees of freedom. Noise of several kinds is combined after Welch and Satterthwaite, an
approximation: with three seeds, a nominal 95 % interval covers 93 % if a network alone in its kind is several times
as noisy as the others.

All networks share the test images: intervals are about other seeds on these images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

import numpy as np
from scipy.special import stdtr

from snsearch.intervals import student_95

Errors = Mapping[str, Mapping[int, float]]  # by network and seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """The variance of one training's error that neither network nor seed explains."""

    variance: float
    degrees: float  # of freedom


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A weighted sum of networks' errors whose weights sum to zero, as observed, with its noise."""

    estimate: float
    noise: Noise
    seeds: int

    @property
    def half_width_95(self) -> float:
        """Half the width of the 95 % interval, by Student's t."""
        return math.sqrt(self.noise.variance) * student_95(self.noise.degrees)

    @property
    def confidence(self) -> float:
        """The one-sided probability that the true contrast is positive, by Student's t."""
        if self.noise.variance == 0:
            return 0.5 if self.estimate == 0 else float(self.estimate > 0)
        return float(stdtr(self.noise.degrees, self.estimate / math.sqrt(self.noise.variance)))


def noise_of(errors: Errors, kinds: Mapping[str, str]) -> dict[str, Noise]:
    """The noise of each kind of network; kinds with too few trainings are left out.

    Trainings may be missing. Degrees of freedom of the kind with the most trainings: trainings less the rank of the
    network + seed design, which is (networks - 1) (seeds - 1) if complete. Of other kinds: trainings less networks.
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
    """Noise (None without degrees of freedom) and the effect of each seed: least squares of network + seed."""
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
    """The seeds that every network of a contrast was trained with, in ascending order."""
    return sorted(set.intersection(*(set(errors.get(network, {})) for network in weights)))


def estimate_of(errors: Errors, weights: Mapping[str, float], seeds: Sequence[int]) -> float:
    """The weighted sum of errors, averaged over seeds."""
    return fmean(sum(weight * errors[network][seed] for network, weight in weights.items()) for seed in seeds)


def contrast_of(
    errors: Errors, weights: Mapping[str, float], kinds: Mapping[str, str], noise: Mapping[str, Noise]
) -> Contrast | None:
    """The contrast over the seeds that all its networks share; None without common seeds or a kind's noise."""
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
    """The difference of two contrasts of different networks."""
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
