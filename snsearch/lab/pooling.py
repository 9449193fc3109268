"""A surrogate over designs: predicts a candidate's score, and what training it would gain.

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
    if further is not None:
        columns = np.hstack([columns, further])
    deviations = columns.std(0)
    moving = deviations > 1e-9
    standardised: Array = (columns[:, moving] - columns[:, moving].mean(0)) / deviations[moving]
    return standardised


def predict(seen: Array, scores: Array, wanted: Array, noise: Array | None = None) -> tuple[Array, Array]:
    """(M,) mean and standard deviation of the noise-free score at the `wanted` features.

    The kernel is linear plus radial, with one length scale for all features: twenty candidates cannot identify seven.
    Deterministic.

    Args:
        seen: (N, F) features of the scored networks.
        scores: (N,) their scores.
        wanted: (M, F) features to predict at.
        noise: (N,) known variances of single scores, added to the fitted noise.
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
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound means no such effect
        process.fit(seen, (scores - middle) / size)
    mean, deviation = process.predict(wanted, return_std=True)
    noise_level = process.kernel_.k2.noise_level  # predict() includes it in the deviation
    noise_free: Array = np.sqrt(np.maximum(deviation**2 - noise_level, 1e-12))
    return middle + mean * size, noise_free * size


def pooled(matrix: Array, scores: Array) -> Array:
    """(N,) scores smoothed by the process; unchanged for fewer than six."""
    if len(scores) < 6 or not matrix.size or np.ptp(scores) == 0:
        return scores
    return predict(matrix, scores, matrix)[0]


def long_run_ranks(archs: Sequence[Architecture], errors: Array, params: Sequence[int]) -> Array:
    """(N,) predicted ranks of networks after long training (1 is best), from the errors of short trainings.

    The rank by parameters counts half: at equal FLOPs parameters stand for width, which short trainings undervalue
    (found on the reference sets).
    """
    places = rankdata(pooled(design_matrix(archs), errors)) + WIDTH_WEIGHT * rankdata(-np.asarray(params))
    return np.asarray(rankdata(places), dtype=np.float64)
