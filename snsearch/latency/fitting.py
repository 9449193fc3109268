"""Measured latencies -> rates: a non-negative least-squares fit on relative errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from snsearch.latency.forms import Form
from snsearch.latency.terms import Rates, Terms

# "judged": a network that is held out in its turn. "known": a network that is never held out, such as the only one
# with some operator, which no other could predict. "piece": a microbenchmark, never held out either.
Role = Literal["judged", "known", "piece"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One measured latency, and the terms of the model that was run."""

    name: str
    family: str
    role: Role
    macs: int
    pixels: int  # of the input image
    ms: float
    terms: Terms
    far_terms: tuple[tuple[int, Terms], ...] = ()  # cache size in bytes and the terms for it, for forms with a cache
    kernel_terms: Terms | None = None  # for forms that count kernels
    weight: float = 1.0  # a sample of weight 4 counts as four

    def under(self, form: Form) -> Terms:
        """The terms that the form counts."""
        if form.counting == "kernels":
            assert self.kernel_terms is not None, "a form that counts kernels needs kernel terms"
            return self.kernel_terms
        return self.terms if form.cache_bytes is None else dict(self.far_terms)[form.cache_bytes]


def _matrix(form: Form, samples: Sequence[Sample]) -> NDArray[Any]:
    """A row per sample, a column per rate."""
    rows = [sample.under(form) for sample in samples]
    return np.array([[sum(row[term] for term in column) for column in form.columns] for row in rows])


def fit(form: Form, samples: Sequence[Sample]) -> Rates:
    """The non-negative rates with the least sum of squared relative errors."""
    columns = _matrix(form, samples)
    ms = np.array([sample.ms for sample in samples])
    weights = np.sqrt(np.array([sample.weight for sample in samples]))
    rows, wanted = columns / ms[:, None] * weights[:, None], weights
    if form.prior:
        # One further unknown, the device's speed relative to the prior's: every rate over its prior is drawn to it.
        prior = dict(form.prior)
        pull = np.zeros((len(form.columns), len(form.columns) + 1))
        for index, (column, strength) in enumerate(zip(form.columns, form.prior_strengths, strict=True)):
            pull[index, index] = math.sqrt(strength) / prior[column[0]] * 1e6
            pull[index, -1] = -math.sqrt(strength)
        rows = np.vstack([np.column_stack([rows, np.zeros(len(rows))]), pull])
        wanted = np.concatenate([wanted, np.zeros(len(form.columns))])
    scale = np.max(np.abs(rows), axis=0)
    scale[scale == 0] = 1.0  # the rate of a term that no sample has stays 0
    solved, _ = nnls(rows / scale, wanted)
    rates: dict[str, float] = {}
    for column, rate in zip(form.columns, (solved / scale * 1e6)[: len(form.columns)], strict=True):
        for term in column:
            rates[term] = rates.get(term, 0.0) + float(rate)
    return rates


def unseen_terms(form: Form, samples: Sequence[Sample]) -> tuple[str, ...]:
    """The form's terms that the samples cannot price: none of them has a term that shares a rate with it.

    A form with a prior has none.
    """
    if form.prior:
        return ()
    told = np.abs(_matrix(form, samples)).sum(axis=0)
    priced = {term for column, seen in zip(form.columns, told, strict=True) if seen > 0 for term in column}
    return tuple(dict.fromkeys(term for column in form.columns for term in column if term not in priced))
