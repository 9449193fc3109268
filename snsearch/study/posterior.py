"""What short and full trainings of some networks say of full trainings of all networks of a space.

A Gaussian process over networks and lengths of training (after Swersky, Snoek and Adams 2013, arXiv:1406.3896, and
Kennedy and O'Hagan 2000). The error of a network, trained to a share of the full length, is a level of that share,
plus the network's own quality, plus what short training gets wrong of it, plus the noise of the training:

    e(x, share, seed) = level(share) + quality(x) + (1 - share) bias(x) + noise(x, seed)

Quality and bias are linear and smooth in the network's features, with a rest of its own for every network. So what
short training gets wrong is learned from those few that are trained in full, for the others as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from snsearch.network import Architecture, count_costs

Array = npt.NDArray[np.float64]

# Of the variance between networks: linear and smooth quality, a network's own; linear bias, a network's own; noise
# of a training, and of a point on its way. What the data says moves them; the spread is of their logarithms.
_SHARES = np.log([0.2, 0.2, 0.5, 0.1, 0.1, 0.25, 0.01])
_SPREAD = 1.0
_REACH = 5.0  # how far a logarithm moves at most
_LEVELS = 25.0  # of a share's level, which is as good as unknown
_JITTER = 1e-4
_FEW = 8  # observations, below which the variances are those of above


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """The error of one network at one length of its training."""

    network: int  # index in the space
    share: float  # of the full training
    error: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Posterior:
    """What is known of the networks' errors after a full training, less what is common to all."""

    mean: Array  # (M,)
    covariance: Array  # (M, M)
    noise: float  # standard deviation of one full training

    def draws(self, count: int, seed: int) -> Array:
        """(count, M) samples of the errors."""
        size = len(self.mean)
        level = float(np.trace(self.covariance)) / size
        with _threads().limit(limits=1, user_api="blas"):
            factor = np.linalg.cholesky(self.covariance + (1e-6 * level + 1e-12) * np.eye(size))
            random = np.random.default_rng(seed)
            drawn: Array = self.mean + random.standard_normal((count, size)) @ factor.T
            return drawn


def features_of(archs: Sequence[Architecture]) -> Array:
    """(M, F) standardised features of networks; those that do not vary are left out."""
    return standardised([raw_features(arch) for arch in archs])


def standardised(rows: npt.ArrayLike) -> Array:
    """(M, F) the raw features of networks, standardised; those that do not vary are left out."""
    columns = np.array(rows, dtype=np.float64)
    deviations = columns.std(0)
    moving = deviations > 1e-9
    found: Array = (columns[:, moving] - columns[:, moving].mean(0)) / deviations[moving]
    return found


def raw_features(arch: Architecture) -> tuple[float, ...]:
    """Logarithms of groups, units, widths and parameters; switches.

    Groups and SE have two features each: their mean over the stages, and how much they rise from first to last.
    """
    logs, gates = [math.log2(count) for count in arch.groups], [float(one > 0) for one in arch.se_reduction]
    groups = fmean(logs)
    return (
        groups,
        logs[-1] - logs[0],
        math.log2(sum(arch.stage_repeats)),
        math.log2(arch.stem_channels),
        math.log2(arch.stage_channels[-1]),
        math.log2(count_costs(arch).params),
        fmean(gates),
        gates[-1] - gates[0],
        float(arch.shuffle),
        groups * float(arch.shuffle),
    )


class Space:
    """Networks and how alike they are."""

    def __init__(self, features: Array) -> None:
        size, width = features.shape
        width = max(1, width)
        squared = ((features[:, None] - features[None]) ** 2).sum(-1)
        self.features = features
        self.linear: Array = features @ features.T / width
        self.smooth: Array = np.exp(-squared / (2 * width))
        self.own: Array = np.eye(size)

    def posterior(self, observations: Sequence[Observation]) -> Posterior:
        """What the observations say of every network. Deterministic.

        On one core: for so few numbers, threads cost many times what they save.
        """
        with _threads().limit(limits=1, user_api="blas"):
            return self._posterior(observations)

    def _posterior(self, observations: Sequence[Observation]) -> Posterior:
        at = np.array([one.network for one in observations])
        shares = np.array([one.share for one in observations])
        errors = np.array([one.error for one in observations])
        _, of_level = np.unique(np.round(shares, 6), return_inverse=True)
        levels = np.eye(of_level.max() + 1)[of_level]
        rest = errors - levels @ (levels.T @ errors / levels.sum(0))
        scale = math.sqrt(float(rest @ rest) / max(1, len(errors) - levels.shape[1])) or 1e-3
        scaled = (errors - errors.mean()) / scale
        linear, smooth, own = (kind[np.ix_(at, at)] for kind in (self.linear, self.smooth, self.own))
        short = np.outer(1 - shares, 1 - shares)
        same = (at[:, None] == at[None]).astype(float)
        way = np.diag((shares < 1).astype(float))
        parts = np.stack([linear, smooth, own, short * linear, short * own, same, way]).reshape(len(_SHARES), -1)
        fixed = _LEVELS * levels @ levels.T + _JITTER * np.eye(len(errors))

        def kernel(logs: Array) -> Array:
            whole: Array = (np.exp(logs) @ parts).reshape(fixed.shape) + fixed
            return whole

        def surprise(logs: Array) -> tuple[float, Array]:
            """How unlikely the errors are, and its gradient."""
            factor = np.linalg.cholesky(kernel(logs))
            white = solve_triangular(factor, scaled, lower=True)
            inverse = cho_solve((factor, True), np.eye(len(errors)))
            weights = inverse @ scaled
            slope = np.exp(logs) * (parts @ (inverse - np.outer(weights, weights)).ravel()) / 2
            unlikely = ((logs - _SHARES) ** 2).sum() / 2 / _SPREAD**2
            value = float(white @ white / 2 + np.log(np.diag(factor)).sum() + unlikely)
            return value, slope + (logs - _SHARES) / _SPREAD**2

        logs = _SHARES
        if len(errors) >= _FEW:
            bounds = [(middle - _REACH, middle + _REACH) for middle in _SHARES]
            logs = minimize(surprise, _SHARES, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40}).x
        factor = np.linalg.cholesky(kernel(logs))
        a = np.exp(logs)
        prior = a[0] * self.linear + a[1] * self.smooth + a[2] * self.own
        across = prior[:, at]
        white = solve_triangular(factor, across.T, lower=True)
        return Posterior(
            mean=across @ cho_solve((factor, True), scaled) * scale,
            covariance=(prior - white.T @ white) * scale**2,
            noise=math.sqrt(a[5]) * scale,
        )
