"""The second objective of a search: what is weighed against the error, known before anything is trained."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from snsearch.latency import Profile
from snsearch.network import Costs
from snsearch.solver import Solution
from snsearch.units import three_digits

COUNTED = "counted"  # the name of the objective that needs no device


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What the second objective is, and what kind of figure."""

    name: str  # decides whether two studies measure the same
    label: str  # with its provenance
    axis: str
    profile: Profile | None = None

    def of(self, solution: Solution) -> float:
        """The objective of a solved network; less is better."""
        if self.profile is None:
            return mac_and_bytes_cost(solution.costs)
        return self.profile.predict(solution.architecture).ms


def mac_and_bytes_cost(costs: Costs) -> float:
    """Millions of MACs plus megabytes moved: what a core with one MAC a byte of bandwidth would be busy with."""
    return (costs.macs + costs.bytes_moved) / 1e6


def counted_objective() -> Objective:
    """MMACs plus megabytes moved."""
    return Objective(
        name=COUNTED,
        label="MAC-and-bytes cost: MMACs + MB moved (counted; no device was named, so this is not a latency)",
        axis="MMACs + MB moved (counted)",
    )


def latency_objective(profile: Profile) -> Objective:
    """The latency that a profile predicts."""
    # What a profile is judged by changes no figure, and makes no other study.
    digest = hashlib.sha256(replace(profile, judged_ms=None).to_toml().encode()).hexdigest()[:8]
    judged = (
        ""
        if profile.judged_ms is None
        else ", judged on networks of {} to {} ms".format(*map(three_digits, profile.judged_ms))
    )
    return Objective(
        name=f"latency {profile.name} {digest}",
        label=f"Latency in ms, {profile.provenance}; 95 % interval of one prediction: a factor of "
        f"{profile.interval_factor:.2f} either way{judged}",
        axis=f"ms ({profile.device}, predicted)",
        profile=profile,
    )
