"""The pilot of a search: finds how long its trainings are, with two networks that differ."""

from __future__ import annotations

from collections.abc import Sequence

from snsearch.errors import StudyError
from snsearch.study.lengths import PILOTS, Attempt, Lengths, chance_of, is_long_enough, longer, short_share
from snsearch.study.search.pieces import Failed
from snsearch.study.search.trainings import FOR_SEARCH, Trainings
from snsearch.study.steps import FULL
from snsearch.training import ProxyResult, Recipe, Work
from snsearch.units import format_duration

_GRACE = 10.0  # seconds that the first trainings may take, whatever the limit
_FIRST_POINT = 1e-6  # a share that the first point of a curve has, or more


class Pilot:
    """Full trainings of the first networks, longer ones until they are long enough."""

    def __init__(self, trainings: Trainings) -> None:
        self._trainings = trainings
        self._networks = _ends(trainings.ledger.networks.order, len(trainings.ledger.networks.published))
        self._found: dict[int, ProxyResult] = {}
        self._failed: dict[int, Failed] = {}

    def run(self) -> Lengths | None:
        """Finds the lengths, and keeps the full trainings as the first results of the search.

        Returns None if the time limit is too short for them. Raises StudyError if all of them fail.
        """
        trainings = self._trainings
        settings, dataset, clock = trainings.plan.settings, trainings.plan.dataset, trainings.clock
        recipe, chance = settings.recipe, chance_of(dataset)
        tried: list[Attempt] = []
        if not self._has_room(recipe):
            return None
        while True:
            results = self._train(recipe)
            images = recipe.images * recipe.epochs
            tried.append(Attempt(images=images, error=sum(r.error for r in results) / len(results)))
            as_long_again = clock.left(FOR_SEARCH) >= 2 * clock.round(len(self._networks))
            if not settings.pilot or not as_long_again or is_long_enough(results, chance, len(tried)):
                break
            recipe = longer(recipe, len(dataset.train))
            recipe = settings.changes.of(recipe) if settings.changes else recipe
        lengths = Lengths(recipe=recipe, short=short_share(results, chance), chance=chance, tried=tuple(tried))
        trainings.study.settle_lengths(lengths)
        took = sum(result.seconds for result in results) / len(results)
        trainings.observer.said(f"{lengths.describe()}; such a training took {format_duration(took)} here")
        for network, result in self._found.items():
            trainings.keep(network, result)
        for network, failed in self._failed.items():
            trainings.fail(network, failed)
        return lengths

    def no_room(self) -> str:
        """Why `run` returned None, for the user."""
        recipe = self._trainings.plan.settings.recipe
        takes = format_duration(self._trainings.clock.round(len(self._networks)))
        return (
            f"the time limit leaves no room for its first {len(self._networks)} trainings: of "
            f"{recipe.images * recipe.epochs:,} images each, they take about {takes} here. Nothing is lost: the same "
            "command with a longer --time-limit goes on; a new study may take shorter trainings (--full-images)"
        )

    def _has_room(self, recipe: Recipe) -> bool:
        """Whether the time limit is long enough for the full trainings, by the time of their first points."""
        if self._trainings.plan.time_limit is None:
            return True
        clock = self._trainings.clock
        self._do(recipe, _FIRST_POINT)
        for result in self._found.values():
            clock.took(result.share, result.seconds)
        done = min((result.share for result in self._found.values()), default=FULL)
        return max(_GRACE, clock.left()) >= (FULL - done) * clock.round(len(self._networks))

    def _train(self, recipe: Recipe) -> Sequence[ProxyResult]:
        """Trains all networks in full; returns the results of those that did not fail."""
        self._do(recipe, FULL)
        if not self._found:
            raise StudyError(f"the pilot's trainings failed: {next(iter(self._failed.values())).reason}")
        return [self._found[network] for network in self._networks if network in self._found]

    def _do(self, recipe: Recipe, until: float) -> None:
        self._found.clear()
        self._failed.clear()
        self._trainings.do(self._work(network, recipe, until) for network in self._networks)

    def _work(self, network: int, recipe: Recipe, until: float) -> Work:
        trainings = self._trainings
        return trainings.work(
            trainings.piece(network, recipe, f"pilot {network}", trainings.plan.settings.seed, until, "validation"),
            keep=lambda result: self._found.__setitem__(network, result),
            fail=lambda failed: self._failed.__setitem__(network, failed),
        )


def _ends(order: Sequence[int], published: int) -> list[int]:
    """Two networks that differ: the first and the last of the published line-up."""
    return list(dict.fromkeys([order[0], *reversed(order[: max(2, published)])]))[:PILOTS]
