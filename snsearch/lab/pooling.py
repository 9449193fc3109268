"""A Gaussian process over designs that smooths the scores of candidates.

Cheap scores are noisy, but candidates share design choices. A Gaussian process over the designs, fitted to all
scores, separates the effect of the choices from noise; its mean ranks better than the scores that it was fitted to.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from snsearch.network import Architecture
from snsearch.study import standardised

Array = npt.NDArray[np.float64]
WIDTH_WEIGHT = 0.5


def features_of(arch: Architecture) -> tuple[float, ...]:
    """The features of a network: logarithms of groups, units, first convolution and last width; switches.

    Groups and SE per stage have two features: their mean, and how much they rise from the first stage to the last.
    """
    logs, gates = [math.log2(count) for count in arch.groups], [float(one > 0) for one in arch.se_reduction]
    groups = fmean(logs)
    widths = [math.log2(channels) for channels in arch.stage_channels]
    return (
        groups,
        math.log2(sum(arch.stage_repeats)),
        math.log2(arch.stem_channels),
        fmean(gates),
        float(arch.shuffle),
        groups * float(arch.shuffle),
        widths[-1],
        logs[-1] - logs[0],
        gates[-1] - gates[0],
    )


def design_matrix(archs: Sequence[Architecture], further: Array | None = None) -> Array:
    """(N, F) standardised features of networks and of further (N, K) columns; constant columns are left out."""
    columns = np.array([features_of(arch) for arch in archs], dtype=np.float64)
    return standardised(columns if further is None else np.hstack([columns, further]))


def predict(seen: Array, scores: Array, wanted: Array) -> Array:
    """(M,) mean score at the `wanted` features.

    The kernel is linear plus radial, with one length scale for all features: twenty candidates cannot identify seven.
    Deterministic.

    Args:
        seen: (N, F) features of the scored networks.
        scores: (N,) their scores.
        wanted: (M, F) features to predict at.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    middle, size = scores.mean(), float(scores.std())
    if size == 0 or not seen.size:
        return np.full(len(wanted), middle)
    features = seen.shape[1]
    kernel = (
        ConstantKernel(0.3 / features, (1e-4, 1e1)) * DotProduct(1.0, "fixed")
        + ConstantKernel(0.3, (1e-3, 1e1)) * RBF(math.sqrt(features), (0.5, 20.0))
        + WhiteKernel(0.3, (1e-3, 2.0))
    )
    process = GaussianProcessRegressor(kernel, alpha=1e-8, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound means no such effect
        process.fit(seen, (scores - middle) / size)
    mean: Array = middle + process.predict(wanted) * size
    return mean


def pooled(matrix: Array, scores: Array) -> Array:
    """(N,) scores smoothed by the process; unchanged for fewer than six."""
    if len(scores) < 6 or not matrix.size or np.ptp(scores) == 0:
        return scores
    return predict(matrix, scores, matrix)


def long_run_ranks(archs: Sequence[Architecture], errors: Array, params: Sequence[int]) -> Array:
    """(N,) predicted ranks of networks after long training (1 is best), from the errors of short trainings.

    The rank by parameters counts half: at equal FLOPs parameters stand for width, which short trainings undervalue
    (found on the reference sets).
    """
    places = rankdata(pooled(design_matrix(archs), errors)) + WIDTH_WEIGHT * rankdata(-np.asarray(params))
    return np.asarray(rankdata(places), dtype=np.float64)
