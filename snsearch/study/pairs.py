"""Paired differences: networks trained with the same seeds and judged on the same images.

The error of network m with seed s is error(m) + seed(s) + rest(m, s). In a difference what the seeds share cancels;
the rest is estimated from all networks that have the seeds (a two-way layout). The images are a sample too: what an
image adds to the difference is averaged over the seeds, and varies over the images. Both kinds of noise are added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snsearch.intervals import Z95, degrees_of_rest, error_of_share, mean_square_of_rest, student_95
from snsearch.training import ProxyResult

Finals = Mapping[int, Sequence[ProxyResult]]  # trial number -> full trainings, one a seed


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The error of one network less that of another, in shares; negative: the first is better."""

    mean: float
    half: float  # of the 95 % interval
    of_images: float  # half of the interval that the images alone would leave, however many seeds there are
    seeds: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        return self.mean - self.half, self.mean + self.half

    def within(self, margin: float) -> bool:
        """Whether the two are equal but for that much."""
        return max(map(abs, self.interval)) <= margin

    def beyond(self, margin: float) -> bool:
        """Whether the two differ by more than that."""
        low, high = self.interval
        return low > margin or high < -margin

    def no_worse(self, margin: float) -> bool:
        """Whether the first is worse by that much at most."""
        return self.interval[1] <= margin


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """The standard deviation of one training's error, what the seeds share left out, and its degrees of freedom."""

    deviation: float
    degrees: float


def common_seeds(finals: Finals) -> tuple[int, ...]:
    """The seeds that all networks have."""
    seeds = [{result.seed for result in results} for results in finals.values()]
    return tuple(sorted(set.intersection(*seeds))) if seeds else ()


def comparable(finals: Finals) -> Finals:
    """Of each network the trainings of one length: the longest of which all networks share a seed.

    A time limit may have cut some short that others, or a later run, have longer. Empty where they share none.
    """
    lengths = [{(_length(result), result.seed) for result in results} for results in finals.values()]
    shared = set.intersection(*lengths) if lengths else set()
    longest = max((length for length, _ in shared), default=None)
    if longest is None:
        return {}
    return {network: [r for r in results if _length(r) == longest] for network, results in finals.items()}


def _length(result: ProxyResult) -> float:
    return round(result.share, 6)


def noise_of(finals: Finals, otherwise: float) -> Noise:
    """The noise of trainings of networks that share seeds; with one seed, or one network, what it is taken to be."""
    seeds = common_seeds(finals)
    networks = len(finals)
    if len(seeds) < 2 or networks < 2:
        return Noise(deviation=otherwise, degrees=math.inf)
    errors = np.array([[_of_seed(results, seed).error for seed in seeds] for results in finals.values()])
    return Noise(deviation=math.sqrt(mean_square_of_rest(errors)), degrees=degrees_of_rest(networks, len(seeds)))


def difference(first: Sequence[ProxyResult], second: Sequence[ProxyResult], noise: Noise) -> Difference:
    """The paired difference over the seeds that both have; there is one at least."""
    seeds = common_seeds({0: first, 1: second})
    ours, theirs = ([_of_seed(results, seed) for seed in seeds] for results in (first, second))
    mean = float(np.mean([a.error - b.error for a, b in zip(ours, theirs, strict=True)]))
    of_seeds = noise.deviation * math.sqrt(2 / len(seeds))
    times = Z95 if math.isinf(noise.degrees) else student_95(noise.degrees)
    of_images = Z95 * _of_images(ours, theirs)
    return Difference(mean=mean, half=math.hypot(times * of_seeds, of_images), of_images=of_images, seeds=len(seeds))


def _of_images(ours: Sequence[ProxyResult], theirs: Sequence[ProxyResult]) -> float:
    """Standard error of the mean difference, over the images.

    Two images are added that the networks judge differently, one either way, at half a weight each (Agresti and Min
    2005): no disagreement on few images is no certainty.
    """
    images = min(result.test_images for result in (*ours, *theirs))
    bits = [result.bits for result in (*ours, *theirs)]
    if any(one is None or len(one) != images for one in bits):  # not kept: as if the images were others
        return math.sqrt(sum(r.error * (1 - r.error) / images for r in (ours[0], theirs[0])))
    wrong = [1.0 - np.asarray(one, dtype=np.float64) for one in bits]
    by_image = np.mean(wrong[: len(ours)], axis=0) - np.mean(wrong[len(ours) :], axis=0)
    count = images + 2
    variance = (float(by_image @ by_image) + 1) / count - (float(by_image.sum()) / count) ** 2
    return math.sqrt(variance / count)


def error_of(results: Sequence[ProxyResult], noise: Noise) -> tuple[float, tuple[float, float]]:
    """A network's mean error over its seeds, and its own 95 % interval, from 0 to 1."""
    mean = float(np.mean([result.error for result in results]))
    of_images = error_of_share(mean, results[0].test_images)
    times = Z95 if math.isinf(noise.degrees) else student_95(noise.degrees)
    half = math.hypot(times * noise.deviation / math.sqrt(len(results)), Z95 * of_images)
    return mean, (max(0.0, mean - half), min(1.0, mean + half))


def _of_seed(results: Sequence[ProxyResult], seed: int) -> ProxyResult:
    return next(result for result in results if result.seed == seed)
