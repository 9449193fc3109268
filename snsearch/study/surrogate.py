"""A surrogate over designs: what the other candidates of a set say about one, and which is worth a training.

Cheap scores are noisy, but candidates share choices: every network without a shuffle, say, tells something about
the others without one. A Gaussian process over the designs, fitted to all scores of a set, separates what follows
from the choices from what is noise, and its mean ranks better than the scores that it was fitted to.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from scipy.stats import rankdata

from snsearch.network import Architecture

Array = npt.NDArray[np.float64]
WIDTH_WEIGHT = 0.5


def features_of(arch: Architecture) -> tuple[float, ...]:
    """What a surrogate sees of a network: logarithms of its groups, units, first convolution and widths; switches."""
    groups = math.log2(arch.groups)
    widths = [math.log2(channels) for channels in arch.stage_channels]
    return (
        groups,
        math.log2(sum(arch.stage_repeats)),
        math.log2(arch.stem_channels),
        float(bool(arch.se_reduction)),
        float(arch.shuffle),
        groups * float(arch.shuffle),
        widths[-1],
    )


def design_matrix(archs: Sequence[Architecture], further: Array | None = None) -> Array:
    """(N, F) features of networks, and further (N, K) ones, standardised; what never changes is left out."""
    columns = np.array([features_of(arch) for arch in archs], dtype=np.float64)
    if further is not None:
        columns = np.hstack([columns, further])
    deviations = columns.std(0)
    moving = deviations > 1e-9
    standardised: Array = (columns[:, moving] - columns[:, moving].mean(0)) / deviations[moving]
    return standardised


def predict(seen: Array, scores: Array, wanted: Array, noise: Array | None = None) -> tuple[Array, Array]:
    """Mean and standard deviation (M,) of the score without its noise, at (M, F) features, from (N, F) seen ones.

    `noise` holds further variances (N,) of single scores. A linear and a radial kernel with one length for all
    features: twenty candidates cannot tell seven lengths. The same input gives the same result.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    middle, size = scores.mean(), float(scores.std())
    if size == 0 or not seen.size:
        return np.full(len(wanted), middle), np.full(len(wanted), size)
    features = seen.shape[1]
    kernel = (
        ConstantKernel(0.3 / features, (1e-4, 1e1)) * DotProduct(1.0, "fixed")
        + ConstantKernel(0.3, (1e-3, 1e1)) * RBF(math.sqrt(features), (0.5, 20.0))
        + WhiteKernel(0.3, (1e-3, 2.0))
    )
    alpha = 1e-8 if noise is None else 1e-8 + noise / size**2
    process = GaussianProcessRegressor(kernel, alpha=alpha, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound says: no such effect
        process.fit(seen, (scores - middle) / size)
    mean, deviation = process.predict(wanted, return_std=True)
    of_noise = process.kernel_.k2.noise_level  # the last term, which predict() counts among the deviation
    without: Array = np.sqrt(np.maximum(deviation**2 - of_noise, 1e-12))
    return middle + mean * size, without * size


def pooled(matrix: Array, scores: Array) -> Array:
    """(N,) scores without what the process takes for noise; as they are where there are fewer than six."""
    if len(scores) < 6 or not matrix.size or np.ptp(scores) == 0:
        return scores
    return predict(matrix, scores, matrix)[0]


def long_run_ranks(archs: Sequence[Architecture], errors: Array, params: Sequence[int]) -> Array:
    """(N,) expected places of networks after long training, best first, from short trainings' errors.

    Half a place for every place in the order of parameters: at equal FLOPs they stand for width, which short
    trainings undervalue (found on the reference sets).
    """
    places = rankdata(pooled(design_matrix(archs), errors)) + WIDTH_WEIGHT * rankdata(-np.asarray(params))
    return np.asarray(rankdata(places), dtype=np.float64)


def expected_improvement(
    means: Array, deviations: Array, costs: Array, best: Sequence[tuple[float, float]], corner: tuple[float, float]
) -> Array:
    """(M,) expected gain in hypervolume from candidates whose costs are known and whose scores are normal.

    `best` are the (score, cost) points found so far, `corner` the worst score and cost that count. At its cost a
    candidate lowers the front's staircase from there on by what it is better, so that the gain is a sum over the
    stairs of their width times the classic expected improvement (Jones et al. 1998) on their height.
    """
    worst, dearest = corner
    known = sorted(best, key=lambda point: (point[1], point[0]))
    heights, starts = [worst], [-math.inf]
    for score, cost in known:
        if score < heights[-1]:
            heights.append(score)
            starts.append(cost)
    ends = [*starts[1:], dearest]
    gain = np.zeros_like(means)
    deviations = np.maximum(deviations, 1e-12)  # what is certain is better or it is not
    for height, start, end in zip(heights, starts, ends, strict=True):
        width = np.maximum(0.0, np.minimum(end, dearest) - np.maximum(start, costs))
        z = (height - means) / deviations
        gain += width * ((height - means) * ndtr(z) + deviations * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))
    return gain
