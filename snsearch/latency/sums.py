"""A profile's prediction as sums over a network's blocks, for solvers that try many widths at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from snsearch.latency.arrays import ArrayTerms, array_terms, completed
from snsearch.latency.kernels import KEPT_WEIGHTS, PACKS, ROWS
from snsearch.latency.profile import Profile
from snsearch.latency.terms import Rates
from snsearch.network import Architecture, Op

_WEIGHTS = ("weight_bytes", "linear_bytes", "gate_weight_bytes")

# Terms, or the lesser of several, whose sum over a network never falls as a stage gets wider: what narrower
# channels of one convolution save, the wider ones of another cost at least.
_RISING: dict[str, tuple[tuple[str, ...], ...]] = {
    "quantities": (
        *((name,) for name in ("dense_pointwise_macs", "grouped_pointwise_macs", "dense_3x3_macs")),
        *((name,) for name in ("dense_spatial_macs", "weight_bytes", "linear_bytes", "element_bytes", "gate_bytes")),
        ("grouped_spatial_macs", "depthwise_macs"),
        ("conv_bytes", "depthwise_bytes"),
        ("operators",),
    ),
    "kernels": (
        tuple(f"rows_{rows}_macs" for rows in ROWS),
        tuple(f"read_{pack}_bytes" for pack in PACKS),
        ("grouped_spatial_macs", *(f"depthwise_{pack}_macs" for pack in PACKS)),
        ("first_macs", "dense_3x3_macs", "dense_spatial_macs"),
        ("shuffle_bytes", "wide_shuffle_bytes", "single_shuffle_bytes"),
        *((name,) for name in ("weight_bytes", "element_bytes", "pool_bytes", "gate_bytes", "gate_weight_bytes")),
        *((name,) for name in ("linear_bytes", "group_calls", "operators", "gate_operators", "spatial_operators")),
        *((name,) for name in ("edge_bytes", "runs", "networks")),
    ),
}


class LatencySum(NamedTuple):
    """Milliseconds that are a sum over blocks, and what a network has beside them."""

    of_block: Callable[[Sequence[Op]], Any]
    beside_ms: float


def latency_sums(profile: Profile, arch: Architecture) -> tuple[LatencySum, ...]:
    """Sums of which the largest is the predicted latency of a network, in milliseconds.

    There are two where a rate belongs to weights beyond what a cache keeps: with such weights, and without.

    Args:
        profile: that predicts.
        arch: gives input and classes; its widths are not read.
    """
    rates = dict(profile.rates)
    once = completed(ArrayTerms(), arch, profile)
    beside = sum(rate * once.get(term, 0) for term, rate in rates.items()) / 1e6
    sums = [LatencySum(_of_block(profile, 0.0), beside)]
    if streamed := rates.get("streamed_weight_bytes", 0.0):
        sums.append(LatencySum(_of_block(profile, streamed), beside - streamed * KEPT_WEIGHTS / 1e6))
    return tuple(sums)


@lru_cache(maxsize=64)
def _of_block(profile: Profile, streamed: float) -> Callable[[Sequence[Op]], Any]:
    """Milliseconds of a block whose weights cost that much more; the same function for the same profile."""
    rates = dict(profile.rates)
    prices = rates | {term: rates.get(term, 0.0) + streamed for term in _WEIGHTS}

    def of_block(ops: Sequence[Op]) -> Any:
        terms = array_terms(ops, profile)
        return sum(rate * terms[term] for term, rate in prices.items() if rate and term in terms) / 1e6

    return of_block


@lru_cache(maxsize=64)
def refused_terms(profile: Profile) -> Callable[[Sequence[Op]], Any]:
    """How much a block has of the terms that the profile refuses; every network that it predicts has 0 of them."""

    def of_block(ops: Sequence[Op]) -> Any:
        terms = array_terms(ops, profile)
        return sum(terms[term] for term in profile.unseen if term in terms)

    return of_block


def rising_rates(profile: Profile) -> Rates:
    """Rates whose prediction is never above the profile's, and never falls as a stage gets wider."""
    rates = dict(profile.rates)
    return {term: min(rates.get(one, 0.0) for one in alike) for alike in _RISING[profile.counting] for term in alike}
