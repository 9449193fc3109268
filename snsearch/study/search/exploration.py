"""Where a search spends its effort: which network is trained next, and how far."""

from __future__ import annotations

from collections.abc import Iterator

from snsearch.interrupt import EndNow
from snsearch.study.effort import Effort
from snsearch.study.lengths import Lengths
from snsearch.study.networks import View
from snsearch.study.search.trainings import FOR_SEARCH, Trainings
from snsearch.study.search.turns import Turns
from snsearch.study.steps import FULL, Standing, is_informed, is_used_up, next_step, parents_of, step_seed
from snsearch.training import Work

_IN_VAIN = 200  # draws in a row that propose nothing to train


class Exploration:
    """Steps of trainings by the search's own seed, as many as its effort has."""

    def __init__(self, trainings: Trainings, lengths: Lengths, effort: Effort) -> None:
        self._trainings, self._lengths, self._effort = trainings, lengths, effort
        self._ended = "the effort is spent"
        self._in_vain = 0  # draws in a row
        plan = trainings.plan
        self._turns = Turns(plan.workers if plan.executor is None else None)

    def run(self) -> str:
        """Spends the effort; returns why it ended."""
        try:
            self._trainings.do(self._works())
        except EndNow:
            raise
        except KeyboardInterrupt:
            self._turns.count_all()
            raise
        self._turns.count_all()
        return self._ended

    def _works(self) -> Iterator[Work | None]:
        """Yields the next training; None while the choice has to wait for trainings under way."""
        trainings = self._trainings
        of_surrogate = trainings.plan.settings.sampler == "surrogate"
        while True:
            while self._turns.full:
                if not self._turns.count():
                    yield None
            if trainings.clock.late(FOR_SEARCH):
                self._ended = self._out_of_time()
                return
            work = self._chosen() if of_surrogate else self._drawn()
            if work is not None:
                yield self._turns.put(work)
            elif not trainings.going:
                return
            elif not self._turns.count():
                yield None

    # A network that the surrogate chooses.

    def _chosen(self) -> Work | None:
        trainings, lengths = self._trainings, self._lengths
        view, standing = self._standing()
        step = next_step(standing, view.space, step_seed(trainings.plan.settings.seed, standing.known))
        if step is not None:
            return trainings.step(lengths, view.numbers[step.network], step.share)
        if is_used_up(standing):
            self._ended = self._used_up()
        return None

    def _standing(self) -> tuple[View, Standing]:
        """The networks to choose among, and how far each is trained; draws further ones when they are due."""
        trainings = self._trainings
        ledger, seed = trainings.ledger, trainings.plan.settings.seed
        while True:
            view = ledger.view(self._lengths, trainings.going)
            standing = ledger.standing(
                view, self._effort.start, self._lengths, trainings.going, self._effort.trainings
            )
            if not ledger.is_due():
                return view, standing
            parents: list[int] = []
            if is_informed(standing):
                known = view.space.posterior(standing.observations)
                parents = parents_of(standing, known, step_seed(seed, standing.known))
            elif any(network not in standing.reached for network in standing.begin):
                return view, standing
            ledger.refill([view.numbers[at] for at in parents])

    # A network that Optuna's sampler draws.

    def _drawn(self) -> Work | None:
        """Trains it in full; None if the effort left is too small, or the space is exhausted."""
        trainings, ledger = self._trainings, self._trainings.ledger
        left = self._effort.trainings - ledger.spent(trainings.going)
        current = ledger.current()
        for network, record in current.items():
            if record.status == "running" and network not in trainings.going:
                return trainings.step(self._lengths, network, FULL)
        is_drawn = ledger.networks.is_drawn
        while left >= FULL - 1e-9:
            if not is_drawn and len(current) >= trainings.plan.candidates.count:
                self._ended = self._used_up()
                return None
            if self._in_vain >= _IN_VAIN:
                self._ended = "the sampler proposes nothing new"
                return None
            record, chosen = ledger.draw()
            if chosen is not None:
                self._in_vain = 0
                return trainings.step(self._lengths, chosen, FULL)
            trainings.observer.report("ended", record)
            self._in_vain += 1
        return None

    # Why it ended.

    def _used_up(self) -> str:
        ledger = self._trainings.ledger
        if ledger.networks.is_drawn:
            return f"all {len(ledger.current())} networks that were found in the space are trained"
        return f"all {self._trainings.plan.candidates.count} networks of the space are trained"

    def _out_of_time(self) -> str:
        groups = ", ".join(f"g={groups}" for groups in self._trainings.ledger.lacking())
        if not groups:
            return "the time limit leaves no room for more"
        return f"the time limit leaves no room for more; not compared with the published designs for {groups}"
