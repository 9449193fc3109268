"""Chooses the members of a set: from `shufflenet-v1`, and as many from `shufflenet-free`.

Of v1 the published designs come first, then others with every choice (groups, scale, depth, SE) as evenly present as
may be; of the open space random draws, the same for every set where they can be solved. All are solved for the set's
budget at 224x224, with the channels and classes of its data, as a search does.
"""

from __future__ import annotations

from itertools import islice

from benchmarks.matched.package import (
    candidates_of,
    deployed_on,
    label_of,
    load_budget,
    load_space,
    matched_set,
    sample,
)
from snsearch.lab.bench import files

COUNT = 36  # of each space
SPACE = "shufflenet-v1"
OPEN_SPACE = "shufflenet-free"
WITHIN = 0.001  # of the MFLOPs


def chosen(mflops: float, channels: int, classes: int, count: int = COUNT) -> tuple[files.Member, ...]:
    """The members for data of those channels and classes."""
    budget = deployed_on(load_budget(f"{mflops:g}"), channels, classes)
    candidates = candidates_of(
        load_space(SPACE), budget, tight=True, search_shuffle=False, cost=lambda solution: float(solution.costs.macs)
    )
    published = [candidates.first[candidates.solutions[one].architecture.key] for one in candidates.published]
    others = [design for design in matched_set(candidates, candidates.count) if design not in published]
    return tuple(
        files.Member(
            label=f"v1 {label_of(design)}",
            space=SPACE,
            published=design in published,
            key=candidates.solutions[design].architecture.key,
            macs=candidates.solutions[design].costs.macs,
            params=candidates.solutions[design].costs.params,
        )
        for design in (*published, *others)[:count]
    )


def drawn(mflops: float, channels: int, classes: int, count: int = COUNT) -> tuple[files.Member, ...]:
    """Random members of the open space for data of those channels and classes."""
    space, budget = load_space(OPEN_SPACE), deployed_on(load_budget(f"{mflops:g}"), channels, classes)
    found = sample(space, budget, 100 * count)
    near = (one for one in found if one.deviation is not None and abs(one.deviation) <= WITHIN)
    return tuple(
        files.Member(
            label=f"free {number:02} {label_of(solution.design).split()[0]}",
            space=OPEN_SPACE,
            published=False,
            key=solution.architecture.key,
            macs=solution.costs.macs,
            params=solution.costs.params,
        )
        for number, solution in enumerate(islice(near, count), start=1)
    )
