"""The predicted latencies of a population: its terms in arrays, each equal to the network's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snsearch.latency.arrays import ArrayTerms, array_terms, completed
from snsearch.latency.profile import Profile
from snsearch.latency.terms import predict_ms
from snsearch.network import Op, Population, over_blocks


def predict_population(profile: Profile, population: Population) -> npt.NDArray[np.float64]:
    """Milliseconds of each network; NaN where it cannot be built, or has a term that the profile refuses.

    Each is exactly what `Profile.predict` gives for the network.
    """
    rates = dict(profile.rates)
    names = [*dict.fromkeys((*(term for term, rate in rates.items() if rate), *profile.unseen, *_WEIGHTS))]
    found = np.empty(len(population))

    def figures(ops: Sequence[Op]) -> Sequence[Any]:
        terms = array_terms(ops, profile)
        return [terms.get(name, 0) for name in names]

    for part, totals, buildable in over_blocks(population, figures, len(names)):
        sums = ArrayTerms({name: totals[:, index].astype(np.float64) for index, name in enumerate(names)})
        terms = completed(sums, population.like, profile)
        ms = np.broadcast_to(predict_ms({term: rate for term, rate in rates.items() if rate}, terms), buildable.shape)
        refused = sum((np.not_equal(terms.get(term, 0), 0) for term in profile.unseen), np.zeros_like(buildable))
        found[part] = np.where(buildable & ~refused.astype(np.bool_), ms, np.nan)
    return found


_WEIGHTS = ("weight_bytes", "linear_bytes", "gate_weight_bytes")
