"""The pilot of a search: finds how long its trainings are, by two networks that differ."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from snsearch.errors import StudyError
from snsearch.study.lengths import (
    PILOT_SHARE,
    Attempt,
    Lengths,
    chance_of,
    is_long_enough,
    longer,
    pilots_of,
    short_share,
)
from snsearch.study.search.pieces import Failed
from snsearch.study.search.trainings import FOR_SEARCH, Trainings
from snsearch.training import ProxyResult, Recipe, Work
from snsearch.units import format_duration

_GRACE = 10.0  # seconds that the first trainings may take, whatever the limit
_FIRST_POINT = 1e-6  # a share that the first point of a curve has, or more


class Pilot:
    """Trains the first networks to half of the full length, which is doubled until it is long enough."""

    def __init__(self, trainings: Trainings) -> None:
        self._trainings = trainings
        networks = trainings.ledger.networks
        self._networks = pilots_of(networks.order[: max(2, len(networks.published))])
        self._found: dict[int, ProxyResult] = {}
        self._failed: dict[int, Failed] = {}

    def run(self) -> Lengths | None:
        """Finds the lengths, and keeps its trainings as the first results of the search.

        Returns None if the time limit is too short for them. Raises StudyError if all of them fail.
        """
        trainings = self._trainings
        settings, dataset, clock = trainings.plan.settings, trainings.plan.dataset, trainings.clock
        recipe, chance = settings.recipe, chance_of(dataset.scored)
        tried: list[Attempt] = []
        if not self._has_room(recipe):
            return None
        while True:
            results = self._train(recipe)
            images = round(results[0].share * recipe.images * recipe.epochs)
            tried.append(Attempt(images=images, error=fmean(one.error for one in results)))
            as_long_again = clock.left(FOR_SEARCH) >= 2 * PILOT_SHARE * clock.round(len(self._networks))
            if not settings.pilot or not as_long_again or is_long_enough(results, chance, len(tried)):
                break
            recipe = longer(recipe, len(dataset.train))
            recipe = settings.changes.of(recipe) if settings.changes else recipe
        lengths = Lengths(
            recipe=recipe,
            short=short_share(results, chance),
            chance=chance,
            tried=tuple(tried),
            test_chance=chance_of(dataset.test),
        )
        trainings.study.settle_lengths(lengths)
        trainings.observer.said(f"{lengths.describe()}; {self._duration(lengths, results)}")
        clock.restart()  # keeping them counts them again
        for network in self._networks:
            if network in self._found:
                trainings.keep(network, self._found[network])
        for network, failed in self._failed.items():
            trainings.fail(network, failed)
        return lengths

    def _duration(self, lengths: Lengths, results: Sequence[ProxyResult]) -> str:
        """How long a full training takes here, and the whole search."""
        plan = self._trainings.plan
        seconds = self._trainings.clock.round(1)
        effort = plan.effort.settled(plan.trials, lengths.short)
        work = effort.at_most - sum(result.share for result in results)
        whole = format_duration(work * seconds / plan.workers)
        return (
            f"a full training takes about {format_duration(seconds)} here, the rest of the search up to about {whole}"
        )

    def no_room(self) -> str:
        """Why `run` returned None, for the user."""
        recipe = self._trainings.plan.settings.recipe
        takes = format_duration(PILOT_SHARE * self._trainings.clock.round(len(self._networks)))
        count, images = len(self._networks), round(PILOT_SHARE * recipe.images * recipe.epochs)
        return (
            f"the time limit leaves no room for its first {count} trainings: of {images:,} images each, they take "
            f"about {takes} here. Nothing is lost: the same command with a longer --time-limit goes on; a "
            "new study may take shorter trainings (--full-images)"
        )

    def _has_room(self, recipe: Recipe) -> bool:
        """Whether the time limit is long enough for the trainings, by the time of their first points."""
        if self._trainings.plan.time_limit is None:
            return True
        clock = self._trainings.clock
        self._do(recipe, _FIRST_POINT)
        self._time()
        done = min((result.share for result in self._found.values()), default=PILOT_SHARE)
        return max(_GRACE, clock.left()) >= (PILOT_SHARE - done) * clock.round(len(self._networks))

    def _train(self, recipe: Recipe) -> Sequence[ProxyResult]:
        """Trains all networks to half; returns the results of those that did not fail."""
        self._do(recipe, PILOT_SHARE)
        self._time()
        if not self._found:
            raise StudyError(f"the pilot's trainings failed: {next(iter(self._failed.values())).reason}")
        return [self._found[network] for network in self._networks if network in self._found]

    def _time(self) -> None:
        """Lets the clock go by these trainings alone: earlier ones were shorter."""
        self._trainings.clock.restart()
        for result in self._found.values():
            self._trainings.clock.took(None, result)

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
