"""Where a search's candidates come from: designs of a space, solved by the values of parameters."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snsearch.errors import InfeasibleBudgetError
from snsearch.solver.budget import Budget
from snsearch.solver.design import Design
from snsearch.solver.parameters import Parameter, Values, draw_values, fields_of, has_one_group, near_values
from snsearch.solver.solving import Solution, solve
from snsearch.solver.spec import SpaceSpec

MATCH_LIMIT = 0.05  # candidates further than this from the MFLOPs or latency are left out: they are not comparable
LISTED = 1000  # designs, more of which are drawn
_VAIN = 2000  # draws in a row that give no new network: the space has hardly any more


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A network of a search that is solved."""

    values: Values  # of the search's parameters
    solution: Solution
    cost: float  # the second objective; needs no training

    @property
    def key(self) -> str:
        """Of its architecture."""
        return self.solution.architecture.key


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where candidates come from: designs of a space by the values of their parameters."""

    space: SpaceSpec
    budget: Budget
    tight: bool
    cost: Callable[[Solution], float]
    parameters: tuple[Parameter, ...]

    def solved(self, values: Values, design: Design | None = None) -> Candidate:
        """The candidate of these values, or of a design with them. Raises InfeasibleBudgetError, with the reason."""
        design = design or Design(**fields_of(values))
        if self.is_drawn and has_one_group(values):
            design = replace(design, shuffle=None)  # it shuffles nothing
        solution = solve(self.space, self.budget, design, tight=self.tight and self.budget.macs is not None)
        if solution.binding == "mflops" and abs(solution.deviation or 0.0) > MATCH_LIMIT:
            raise InfeasibleBudgetError(f"comes no nearer than {solution.deviation:+.1%} to the budget")
        if solution.binding == "latency" and solution.latency is not None:
            short = 1 - solution.latency.ms / self.budget.latency_limit_ms
            if short > MATCH_LIMIT:
                raise InfeasibleBudgetError(f"comes no nearer than {-short:+.1%} to the latency")
        return Candidate(values=values, solution=solution, cost=self.cost(solution))

    @property
    def is_drawn(self) -> bool:
        """Whether the designs are too many to be listed."""
        return bool(self.space.opened) or math.prod(len(one.options) for one in self.parameters) > LISTED

    def drawn(self, seed: str, count: int, near: Sequence[Values] = ()) -> Iterator[Candidate]:
        """Different networks that are drawn at random, each solved as it is asked for.

        Every second one is a neighbour of one of `near`, where there are any. The same seed gives the same ones; they
        are fewer where the space has hardly any more. Raises InfeasibleBudgetError where none meets the budget.
        """
        rng, keys, tried = random.Random(seed), set[str](), set[tuple[Any, ...]]()
        vain, reason = 0, ""
        while len(keys) < count and vain < _VAIN:
            by_hand = near and len(keys) % 2
            values = (
                near_values(self.parameters, near[len(keys) // 2 % len(near)], rng)
                if by_hand
                else draw_values(self.parameters, rng)
            )
            vain += 1
            if tuple(values.values()) in tried:
                continue
            tried.add(tuple(values.values()))
            try:
                found = self.solved(values)
            except InfeasibleBudgetError as error:
                reason = str(error)
                continue
            if found.key not in keys:
                keys.add(found.key)
                vain = 0
                yield found
        if not keys:
            raise InfeasibleBudgetError(
                f"no design of {self.space.name} meets {self.budget.describe()}, of {_VAIN:,} that were drawn; for "
                f"one: {reason}"
            )
