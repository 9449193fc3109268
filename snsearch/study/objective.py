"""The second objective of a search, weighed against the error and known before any training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from snsearch.codec import suggestion
from snsearch.errors import SpecError
from snsearch.latency import Profile
from snsearch.network import Costs
from snsearch.solver import Solution
from snsearch.units import three_digits

COUNTED = "counted"
LATENCY = "latency"  # the one objective that needs a profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What the second objective is, and what kind of figure.

    Args:
        name: decides whether two studies measure the same.
        label: a sentence with the provenance.
        axis: the unit, and in parentheses where the figure comes from.
        of: the objective of a solved network in that unit; less is better.
        profile: of a predicted latency.
    """

    name: str
    label: str
    axis: str
    of: Callable[[Solution], float]
    profile: Profile | None = None


def unit_of(axis: str) -> str:
    """The unit of an objective's axis: "ms" of "ms (Snapdragon 820, predicted)"."""
    return axis.partition(" (")[0]


def mac_and_bytes_cost(costs: Costs) -> float:
    """Millions of MACs plus megabytes moved: what a core with one MAC a byte of bandwidth would be busy with."""
    return (costs.macs + costs.bytes_moved) / 1e6


# The objectives that need no profile, by name. Their units keep figures within a few digits.
OBJECTIVES: dict[str, Objective] = {
    COUNTED: Objective(
        name=COUNTED,
        label="MAC-and-bytes cost: MMACs + MB moved (counted; no device was named, so this is not a latency)",
        axis="MMACs + MB moved (counted)",
        of=lambda solution: mac_and_bytes_cost(solution.costs),
    ),
    "params": Objective(
        name="params",
        label="Parameters in millions, counted from the channels",
        axis="M parameters (counted)",
        of=lambda solution: solution.costs.params / 1e6,
    ),
    "peak-memory": Objective(
        name="peak-memory",
        label="Peak activation memory in KiB, counted at the deployed resolution and the budget's precision",
        axis="KiB of peak activations (counted)",
        of=lambda solution: solution.costs.peak_activation_bytes / 1024,
    ),
}


def objective_named(name: str, profile: Profile | None = None) -> Objective:
    """The objective of that name; a latency is the one that the profile predicts. Raises SpecError."""
    if name == LATENCY and profile is not None:
        return latency_objective(profile)
    if name not in OBJECTIVES:
        raise SpecError(f"no objective is named {name!r}{suggestion(name, (LATENCY, *OBJECTIVES))}")
    return OBJECTIVES[name]


def latency_objective(profile: Profile) -> Objective:
    """The latency that a profile predicts."""
    # What a profile is judged by does not affect predictions, so leave it out of the digest.
    digest = hashlib.sha256(replace(profile, judged_ms=None).to_toml().encode()).hexdigest()[:8]
    judged = (
        ""
        if profile.judged_ms is None
        else ", judged on networks of {} to {} ms".format(*map(three_digits, profile.judged_ms))
    )
    return Objective(
        name=f"{LATENCY} {profile.name} {digest}",
        label=f"Latency in ms, {profile.provenance}; 95 % interval of one prediction: a factor of "
        f"{profile.interval_factor:.2f} either way{judged}",
        axis=f"ms ({profile.device}, predicted)",
        of=lambda solution: profile.predict(solution.architecture).ms,
        profile=profile,
    )
