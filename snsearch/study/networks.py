"""The networks of a search by number: all of a listed space, else a pool drawn and refilled.

The pool of an open space begins with random designs. Once the search knows something, more are drawn now and then:
half at random again, half next to the best ones so far, which finds better ones sooner than random designs alone
(White, Neiswanger and Savani 2021, arXiv:1910.11858). A pool follows from the search's seed and the trials that it
was drawn next to, so a search that goes on has the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from snsearch.codec import encode
from snsearch.errors import InfeasibleBudgetError
from snsearch.network import Architecture, Costs
from snsearch.solver import POOL, REFILL, Candidate, Candidates, Values, matched_set, pool_seed
from snsearch.study.posterior import Space, raw_features, standardised
from snsearch.study.records import Refill

EVERY = 8  # networks that are begun between two refills
_KEPT = 1 + POOL // REFILL  # refills, with room for what is taken from them


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network that is trained or may be."""

    values: Values  # of the search's parameters
    architecture: Architecture
    costs: Costs
    cost: float  # the second objective
    deviation: float | None
    binding: str | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, found: Candidate) -> Network:
        """A candidate that was solved."""
        solution = found.solution
        return cls(
            values=found.values,
            architecture=solution.architecture,
            costs=solution.costs,
            cost=found.cost,
            deviation=solution.deviation,
            binding=solution.binding,
            notes=solution.notes,
        )

    def attributes(self) -> dict[str, Any]:
        """What its trial keeps; the architecture is last, so that a trial that has one has all."""
        return {
            "costs": encode(self.costs),
            "cost": self.cost,
            "deviation": self.deviation,
            "binding": self.binding,
            "notes": list(self.notes),
            "architecture": encode(self.architecture),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The networks that a step chooses among: all of a listed space, else those tried and those that may be begun."""

    numbers: Sequence[int]
    space: Space

    def positions(self) -> dict[int, int]:
        """The position of every network."""
        return {number: at for at, number in enumerate(self.numbers)}


class Networks:
    """The networks that a search knows of. Their numbers hold for one run."""

    def __init__(self, candidates: Candidates, seed: int) -> None:
        self._source, self._seed = candidates.source, seed
        self.is_drawn = candidates.source.is_drawn
        self.all = [Network.of(one) for one in candidates.networks]
        self._of_key = {one.architecture.key: at for at, one in enumerate(self.all)}
        # The networks of the published designs, by group count.
        self.published = [self._of_key[candidates.solutions[d].architecture.key] for d in candidates.published]
        self.order = self._order(candidates)
        first = [at for at in range(len(self.all)) if at not in self.published]
        self._features: dict[int, tuple[float, ...]] = {}
        self._drawn: list[tuple[Refill, list[int]]] = [(Refill(begun=0, near=()), first)]

    def _order(self, candidates: Candidates) -> list[int]:
        """Networks in the order in which they are begun: the published ones, then some that represent every choice.

        What is drawn represents them as it comes.
        """
        if self.is_drawn:
            return list(range(len(self.all)))
        designs = {design: at for at, design in enumerate(candidates.first.values())}
        balanced = matched_set(candidates, candidates.count, self._seed)
        return list(dict.fromkeys([*self.published, *(designs[design] for design in balanced)]))

    def find(self, key: str) -> int | None:
        """The network with this architecture."""
        return self._of_key.get(key)

    def add(self, network: Network) -> int:
        """The number of a network that may be new."""
        number = self._of_key.setdefault(network.architecture.key, len(self.all))
        if number == len(self.all):
            self.all.append(network)
        return number

    def view(self, numbers: Sequence[int]) -> View:
        """Some of the networks, and how alike they are."""
        for number in numbers:
            if number not in self._features:
                self._features[number] = raw_features(self.all[number].architecture)
        return View(numbers=numbers, space=Space(standardised([self._features[number] for number in numbers])))

    @property
    def refills(self) -> tuple[Refill, ...]:
        """What was drawn, as far as it is kept."""
        return tuple(refill for refill, _ in self._drawn)

    def refill(self, refill: Refill, near: Sequence[Values]) -> None:
        """Draws further networks, next to those of these values."""
        drawn: list[int] = []
        with suppress(InfeasibleBudgetError):
            for one in self._source.drawn(pool_seed(self._seed, refill.begun), REFILL, near):
                drawn.append(self.add(Network.of(one)))
        self._drawn = [*self._drawn, (refill, drawn)][-_KEPT:]

    def restore(self, refills: Sequence[Refill], values: Callable[[int], Values]) -> None:
        """Draws again what was drawn before; `values` are those of a trial."""
        if not refills:
            return
        self._drawn = [one for one in self._drawn if one[0] == refills[0]]
        for refill in refills[len(self._drawn) :]:
            self.refill(refill, [values(number) for number in refill.near])

    def is_due(self, begun: int) -> bool:
        """Whether it is time for further networks once `begun` of them have been begun."""
        return self.is_drawn and begun - self._drawn[-1][0].begun >= EVERY

    def untried(self, tried: Collection[int]) -> list[int]:
        """What may be begun: the published designs, then what was drawn last."""
        if not self.is_drawn:
            return [number for number in range(len(self.all)) if number not in tried]
        drawn = dict.fromkeys(number for _, numbers in self._drawn for number in numbers)
        pool = [number for number in drawn if number not in tried and number not in self.published]
        return [*(number for number in self.published if number not in tried), *pool[-POOL:]]
