"""The candidates of a search: every design of a space, solved for the budget before any is trained."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from snsearch.errors import InfeasibleBudgetError, SpecError
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.solving import Solution, solve
from snsearch.solver.spec import SpaceSpec

MATCH_LIMIT = 0.05  # candidates further than this from the MFLOPs or latency are left out: they are not comparable


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """The designs of a search, with their solutions."""

    choices: Mapping[str, Sequence[Any]]  # field of Design -> its options
    solutions: dict[Design, Solution]
    cost: dict[Design, float]  # the second objective; needs no training
    first: dict[str, Design]  # architecture key -> the first of the designs that solve to it
    published: tuple[Design, ...]  # one per group count: default depth, no SE, the scale that fits the budget
    left_out: dict[Design, str]  # designs without a solution, and why

    @property
    def count(self) -> int:
        """The number of different architectures."""
        return len(self.first)


def candidates_of(
    space: SpaceSpec,
    budget: Budget,
    *,
    tight: bool,
    search_shuffle: bool,
    cost: Callable[[Solution], float],
) -> Candidates:
    """Every design of the space, solved for the budget.

    Args:
        space: the design space.
        budget: the bounds.
        tight: solve within 0.1 % of the MFLOPs, where the budget names MFLOPs.
        search_shuffle: also try every design without the channel shuffle.
        cost: the second objective of a solution.

    Raises:
        InfeasibleBudgetError: no design comes near the budget. Gives the reason of one.
        SpecError: `search_shuffle` for a space without the switch, or a space whose search is open.
    """
    if space.opened:
        raise SpecError(
            f"the search of space {space.name} is open ({', '.join(space.opened)}): its designs are drawn, and "
            "cannot be listed; take a space with lists alone, such as shufflenet-v1"
        )
    choices: dict[str, tuple[Any, ...]] = {
        "groups": space.search_groups,
        "depth": space.search_depths,
        "se": space.search_se,
    }
    if space.search_scales:
        choices["scale"] = space.search_scales
    if search_shuffle:
        space.check_option("shuffle")
        choices["shuffle"] = (True, False)
    solutions: dict[Design, Solution] = {}
    first: dict[str, Design] = {}
    left_out: dict[Design, str] = {}
    for values in product(*choices.values()):
        design = Design(**dict(zip(choices, values, strict=True)))
        try:
            solution = solve(space, budget, design, tight=tight and budget.macs is not None)
        except InfeasibleBudgetError as error:
            left_out[design] = str(error)
            continue
        if solution.binding == "mflops" and abs(solution.deviation or 0.0) > MATCH_LIMIT:
            left_out[design] = f"comes no nearer than {solution.deviation:+.1%} to the budget"
            continue
        if solution.binding == "latency" and solution.latency is not None:
            short = 1 - solution.latency.ms / budget.latency_limit_ms
            if short > MATCH_LIMIT:
                left_out[design] = f"comes no nearer than {-short:+.1%} to the latency"
                continue
        solutions[design] = solution
        first.setdefault(solution.architecture.key, design)
    if not solutions:
        raise InfeasibleBudgetError(
            f"no design of {space.name} meets {budget.describe()}; for one: {next(iter(left_out.values()))}"
        )
    return Candidates(
        choices=choices,
        solutions=solutions,
        cost={design: cost(solution) for design, solution in solutions.items()},
        first=first,
        published=tuple(_published(space, budget, choices, solutions)),
        left_out=left_out,
    )


def _published(
    space: SpaceSpec, budget: Budget, choices: Mapping[str, Sequence[Any]], solutions: dict[Design, Solution]
) -> Iterator[Design]:
    for groups in choices["groups"]:
        design = Design(groups=groups, depth=choices["depth"][0], shuffle=True if "shuffle" in choices else None)
        if space.search_scales:
            try:
                fit = solve(space, budget, design).scale
            except InfeasibleBudgetError:
                continue
            nearest = min(space.search_scales, key=lambda scale: abs(math.log(scale / fit)))
            design = replace(design, scale=nearest)
        if design in solutions:
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
