"""The candidates of a search: the designs of a space, solved for the budget before any is trained."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from typing import Any

from snsearch.errors import InfeasibleBudgetError
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.parameters import Parameter, Values, parameters_of, values_of
from snsearch.solver.solving import Solution, solve
from snsearch.solver.source import Candidate, Source
from snsearch.solver.spec import SpaceSpec

POOL, REFILL = 256, 64  # networks that are drawn at first, and at a time later


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """The networks of a search, with their designs: all of them, or some that were drawn where they are too many."""

    source: Source
    parameters: tuple[Parameter, ...]  # the source's, which reach to the published designs' values
    values: dict[Design, Values]  # of the parameters
    solutions: dict[Design, Solution]
    cost: dict[Design, float]  # the second objective; needs no training
    first: dict[str, Design]  # architecture key -> the first of the designs that solve to it
    published: tuple[Design, ...]  # one per group count: default depth, no SE, the scale that fits the budget
    left_out: dict[Design, str]  # designs without a solution, and why

    @property
    def count(self) -> int:
        """The number of different architectures."""
        return len(self.first)

    @property
    def networks(self) -> tuple[Candidate, ...]:
        """The different architectures."""
        return tuple(
            Candidate(values=self.values[one], solution=self.solutions[one], cost=self.cost[one])
            for one in self.first.values()
        )


def candidates_of(
    space: SpaceSpec,
    budget: Budget,
    *,
    tight: bool,
    search_shuffle: bool,
    cost: Callable[[Solution], float],
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Candidates:
    """The designs of the space, solved for the budget: all of them, or the published ones and a pool that is drawn.

    Args:
        space: the design space.
        budget: the bounds.
        tight: solve within 0.1 % of the MFLOPs, where the budget names MFLOPs.
        search_shuffle: also try designs without the channel shuffle.
        cost: the second objective of a solution.
        seed: of what is drawn.
        progress: hears how many networks of a pool are drawn, and of how many.

    Raises:
        InfeasibleBudgetError: no design comes near the budget. Gives the reason of one.
        SpecError: `search_shuffle` for a space without the switch.
    """
    parameters = parameters_of(space, search_shuffle=search_shuffle)
    source = Source(space=space, budget=budget, tight=tight, cost=cost, parameters=parameters)
    if source.is_drawn:
        return _pool(source, seed, progress)
    found: list[Candidate] = []
    left_out: dict[Design, str] = {}
    for options in product(*(one.options for one in parameters)):
        values = dict(zip((one.name for one in parameters), options, strict=True))
        try:
            found.append(source.solved(values))
        except InfeasibleBudgetError as error:
            left_out[Design(**values)] = str(error)
    if not found:
        raise InfeasibleBudgetError(
            f"no design of {space.name} meets {budget.describe()}; of one design: {next(iter(left_out.values()))}"
        )
    designs = {one.solution.design for one in found}
    return _candidates(source, parameters, found, [one for one in _published(source) if one in designs], left_out)


def _pool(source: Source, seed: int, progress: Callable[[int, int], None]) -> Candidates:
    """The published designs that meet the budget, and drawn ones."""
    parameters, published, left_out = source.parameters, [], dict[Design, str]()
    for design in _published(source):
        values = values_of(source.space, parameters, design)
        try:
            published.append(source.solved(values, design))
        except InfeasibleBudgetError as error:
            left_out[design] = str(error)
    drawn: list[Candidate] = []
    try:
        for one in source.drawn(pool_seed(seed, 0), POOL):
            drawn.append(one)
            progress(len(drawn), POOL)
    except InfeasibleBudgetError:
        if not published:
            raise
    wider = tuple(reduce(lambda one, own: one.widened(own.values[one.name]), published, one) for one in parameters)
    designs = [one.solution.design for one in published]
    return _candidates(source, wider, [*published, *drawn], designs, left_out)


def pool_seed(seed: int, begun: int) -> str:
    """What a pool is drawn from that is made when that many networks were begun."""
    return f"{seed} {begun}"


def _candidates(
    source: Source,
    parameters: tuple[Parameter, ...],
    found: Sequence[Candidate],
    published: Sequence[Design],
    left_out: dict[Design, str],
) -> Candidates:
    first: dict[str, Design] = {}
    for one in found:
        first.setdefault(one.key, one.solution.design)
    return Candidates(
        source=source,
        parameters=parameters,
        values={one.solution.design: one.values for one in found},
        solutions={one.solution.design: one.solution for one in found},
        cost={one.solution.design: one.cost for one in found},
        first=first,
        published=tuple(published),
        left_out=left_out,
    )


def _published(source: Source) -> Iterator[Design]:
    """One design per group count: default depth, no SE, the scale that fits the budget, of a list the nearest."""
    space = source.space
    depth = space.search_depths[0] if space.search_depths else space.depths[0][0]
    shuffle = True if any(one.name == "shuffle" for one in source.parameters) else None
    for groups in space.search_groups:
        design = Design(groups=groups, depth=depth, shuffle=shuffle)
        if space.search_scales or space.search_scale:
            try:
                scale = solve(space, source.budget, design).scale
            except InfeasibleBudgetError:
                continue
            if space.search_scales:
                scale = min(space.search_scales, key=lambda one: abs(math.log(one / scale)))
            design = replace(design, scale=scale)
        yield design


def digest_of(space: SpaceSpec) -> str:
    """Sixteen hexadecimal digits that identify the content of a space's file."""
    content = f"{space!r} {space.opened}" if space.opened else repr(space)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def deployed_on(budget: Budget, channels: int, classes: int) -> Budget:
    """The budget at a data set's input channels and classes."""
    return replace(budget, input_channels=channels, classes=classes)


def matched_set(candidates: Candidates, count: int, seed: int = 0) -> tuple[Design, ...]:
    """`count` designs of different networks, with the options of every choice as evenly represented as possible.

    Draws one by one, from the designs shuffled by the seed, the one whose options were drawn least so far. The same
    seed gives the same set; a larger count extends it.
    """
    left = list(candidates.first.values())
    random.Random(seed).shuffle(left)
    drawn: list[Design] = []
    seen: Counter[tuple[str, Any]] = Counter()
    while left and len(drawn) < count:
        best = min(left, key=lambda design: sum(seen[choice] for choice in _choices(design)))
        left.remove(best)
        drawn.append(best)
        seen.update(_choices(best))
    return tuple(drawn)


def _choices(design: Design) -> list[tuple[str, Any]]:
    # Count pairs too: otherwise twenty designs with every option equally often could have all their SE at g=1.
    single = [(name, getattr(design, name)) for name in ("groups", "depth", "se", "scale", "shuffle")]
    return [*single, *((f"{a[0]} {b[0]}", (a[1], b[1])) for i, a in enumerate(single) for b in single[:i])]
