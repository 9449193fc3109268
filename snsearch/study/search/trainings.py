"""The trainings of a search: hands them to the workers and keeps their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from snsearch.errors import StudyError
from snsearch.study.lengths import Lengths
from snsearch.study.observer import Observer
from snsearch.study.records import TrialRecord
from snsearch.study.search.carrying import carried, do_carried
from snsearch.study.search.clock import Clock
from snsearch.study.search.ledger import Ledger
from snsearch.study.search.pieces import Failed, Piece, checkpoint_of, do_piece
from snsearch.study.search.plan import Plan
from snsearch.study.storage import Study
from snsearch.training import Part, ProxyResult, Recipe, Work, Workers
from snsearch.units import format_stages

FOR_SEARCH = 0.5  # of a time limit
_FAILURES_IN_A_ROW = 3


class Trainings:
    """State that the phases of a search share: plan, study, workers, and the trainings under way."""

    def __init__(self, plan: Plan, study: Study, workers: Workers, observer: Observer) -> None:
        self.plan, self.study, self.observer = plan, study, observer
        self.ledger = Ledger(study, plan.candidates)
        self.clock = Clock(started=plan.started, limit=plan.time_limit, workers=plan.workers)
        self.going: dict[int, float] = {}  # networks that are being trained, and the share that they are trained to
        self.heard = plan.workers if plan.executor is None else 0  # workers that tell of their progress
        self._workers = workers
        self._failures = 0

    def do(self, works: Iterator[Work | None]) -> None:
        """Gives each free worker the next piece; None makes it wait until another training ends."""
        if self.plan.carries:
            self._workers.run(do_carried, (work and carried(work, self.plan.checkpoints) for work in works))
        else:
            self._workers.run(do_piece, works)

    def piece(self, network: int, recipe: Recipe, name: str, seed: int, until: float, part: Part) -> Piece:
        """A network's training up to a share of the recipe."""
        return Piece(
            name=name,
            architecture=self.ledger.architecture(network),
            recipe=recipe,
            seed=seed,
            until=until,
            score_on=part,
        )

    def work(self, piece: Piece, keep: Callable[[ProxyResult], None], fail: Callable[[Failed], None]) -> Work:
        """A piece for the workers, with the calls that keep its result or its failure."""

        def done(outcome: ProxyResult | Failed) -> None:
            if isinstance(outcome, Failed):
                fail(outcome)
            else:
                self._failures = 0
                keep(outcome)

        return Work(task=piece, done=done, lost=lambda reason: fail(Failed(reason=reason, short_of_memory=True)))

    def step(self, lengths: Lengths, network: int, share: float) -> Work:
        """Trains a candidate on, up to a share of the full length."""
        record = self.ledger.begin(network)
        self.going[network] = share
        return self.work(
            piece=self.piece(network, lengths.recipe, _name(record), self.plan.settings.seed, share, "validation"),
            keep=lambda result: self.keep(network, result),
            fail=lambda failed: self.fail(network, failed),
        )

    def keep(self, network: int, result: ProxyResult) -> None:
        """Keeps how a candidate does now."""
        before = self.ledger.current().get(network)
        self.clock.took(None if before is None else before.proxy, result)
        self.going.pop(network, None)
        record = self.ledger.keep(network, result)
        if result.finished:
            self.forget(network, result, "validation")
        self.observer.report("ended", record)

    def fail(self, network: int, failed: Failed) -> None:
        """Keeps a candidate's failure. Raises StudyError after several in a row."""
        self.going.pop(network, None)
        record = self.ledger.fail(network, failed.reason, short_of_memory=failed.short_of_memory)
        self.observer.report("ended", record)
        self._failures += 1
        if self._failures < _FAILURES_IN_A_ROW:
            return
        if failed.short_of_memory and self.plan.executor is None:
            raise StudyError(
                f"{self._failures} trainings in a row ran out of memory; with fewer --workers, or more of it, the "
                "same command takes them up again"
            )
        raise StudyError(f"{self._failures} candidates in a row failed; the last: {failed.reason}")

    def forget(self, network: int, result: ProxyResult, part: Part) -> None:
        """Removes the checkpoint of a training that is over."""
        name = checkpoint_of(self.ledger.architecture(network), part, result.seed)
        (self.plan.checkpoints / name).unlink(missing_ok=True)


def _name(record: TrialRecord) -> str:
    arch = record.architecture
    if arch is None:
        return f"#{record.number}"
    return f"#{record.number} g={format_stages(arch.groups)} {'/'.join(map(str, arch.stage_channels))}"
