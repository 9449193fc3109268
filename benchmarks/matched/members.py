"""Chooses the `shufflenet-v1` members of a set.

The published designs come first, then others with every choice (groups, scale, depth, SE) as evenly present as may
be. All are solved for the set's budget at 224x224, with the channels and classes of its data, as a search does.
"""

from __future__ import annotations

from benchmarks.matched import tables
from benchmarks.matched.package import candidates_of, deployed_on, label_of, load_budget, load_space, matched_set

COUNT = 36
SPACE = "shufflenet-v1"


def chosen(mflops: float, channels: int, classes: int, count: int = COUNT) -> tuple[tables.Member, ...]:
    """The members for data of those channels and classes."""
    budget = deployed_on(load_budget(f"{mflops:g}"), channels, classes)
    candidates = candidates_of(
        load_space(SPACE), budget, tight=True, search_shuffle=False, cost=lambda solution: float(solution.costs.macs)
    )
    published = [candidates.first[candidates.solutions[one].architecture.key] for one in candidates.published]
    others = [design for design in matched_set(candidates, candidates.count) if design not in published]
    return tuple(
        tables.Member(
            label=f"v1 {label_of(design)}",
            space=SPACE,
            published=design in published,
            key=candidates.solutions[design].architecture.key,
            macs=candidates.solutions[design].costs.macs,
            params=candidates.solutions[design].costs.params,
        )
        for design in (*published, *others)[:count]
    )
