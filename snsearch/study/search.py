"""A search: the process that the user started owns the study, and workers train pieces of networks for it.

First a pilot finds how long trainings are, then most work goes where it decides, and at the end the finalists are
trained in full by seeds that did not choose them, until they are told apart or shown equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snsearch.errors import StudyError
from snsearch.files import faults_as
from snsearch.solver import Candidates
from snsearch.study.carrying import carried, do_carried
from snsearch.study.clock import Clock
from snsearch.study.effort import MARGIN, Effort
from snsearch.study.finalists import contenders, references_of
from snsearch.study.ledger import Ledger
from snsearch.study.lengths import PILOTS, Attempt, Lengths, chance_of, is_long_enough, longer, short_share
from snsearch.study.networks import View
from snsearch.study.objective import unit_of
from snsearch.study.observer import Observer
from snsearch.study.pairs import common_seeds
from snsearch.study.pieces import Failed, Job, Piece, do_piece
from snsearch.study.records import Settings, StudyRecord, TrialRecord
from snsearch.study.steps import FULL, Standing, is_informed, next_step, parents_of, step_seed
from snsearch.study.storage import Study
from snsearch.study.verdict import verdict_of
from snsearch.training import (
    Dataset,
    Part,
    ProxyResult,
    Recipe,
    Stop,
    Work,
    Workers,
    keep_manifest,
    kept_difference,
    train_proxy,
)
from snsearch.units import format_duration, format_stages

_FAILURES_IN_A_ROW = 3
_TEST_IMAGES = 10_000  # at most
_FOR_SEARCH = 0.5  # of a time limit
_GRACE = 10.0  # seconds that the first trainings may take, whatever the limit
_FIRST_POINT = 1e-6  # a share that the first point of a curve has, or more


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a search does, and by what."""

    url: str
    name: str
    settings: Settings
    candidates: Candidates
    dataset: Dataset
    device: str
    folder: Path  # of the study: checkpoints and weights
    effort: Effort
    trials: int | None = None  # networks that are begun, at least; None: the effort's
    margin: float = MARGIN
    time_limit: float | None = None  # seconds from `started`
    started: float  # when the command began, of the monotonic clock
    workers: int
    threads: int  # of each worker
    executor: Executor | None = None
    carries: bool = False  # whether checkpoints travel with the pieces: the executor's machines do not see the folder
    train: Callable[..., ProxyResult] = train_proxy

    @property
    def checkpoints(self) -> Path:
        """The folder of unfinished trainings."""
        return self.folder / "checkpoints"


def run_plan(plan: Plan, run: Mapping[str, Any], observer: Observer, stop: Stop) -> str:
    """Makes the plan's study or goes on with it; returns why it ended.

    `run` is kept in the study's provenance. Raises KeyboardInterrupt where `stop` said so, and StudyError; what is
    done by then is kept.
    """
    manifest = plan.dataset.manifest
    study = Study.open(
        plan.url, plan.name, plan.settings, images_changed=lambda: kept_difference(plan.folder, manifest)
    )
    try:
        keep_manifest(plan.folder, manifest)
        with faults_as(StudyError, f"the folder {str(plan.folder)!r} cannot be written"):
            plan.checkpoints.mkdir(parents=True, exist_ok=True)
        study.add_run(dict(run))
        study.leave_note(
            f"The page of this search: `{plan.folder / 'report.html'}`. Its front is that of finished trainings; the "
            "finalists' further trainings, on test images, are on the page only."
        )
        job = Job(dataset=plan.dataset, device=plan.device, checkpoints=plan.checkpoints, train=plan.train)
        with Workers(
            job,
            count=plan.workers,
            threads=plan.threads,
            hear=observer.hear,
            stop=stop,
            executor=plan.executor,
            folder=plan.folder,
        ) as workers:
            return Search(plan, study, workers, observer, stop).run()
    finally:
        study.close()
        with suppress(OSError):  # an empty folder may stay
            plan.checkpoints.rmdir()


class Search:
    """One run of a search on its study."""

    def __init__(self, plan: Plan, study: Study, workers: Workers, observer: Observer, stop: Stop) -> None:
        self.plan, self.study, self.workers, self.observer, self.stop = plan, study, workers, observer, stop
        self.ledger = Ledger(study, plan.candidates)
        self._lengths = study.lengths  # None before the pilot is over
        self._going: dict[int, float] = {}
        self._failures = 0
        self._heard = plan.workers if plan.executor is None else 0  # workers that tell of their progress
        self._clock = Clock(started=plan.started, limit=plan.time_limit, workers=plan.workers)

    def run(self) -> str:
        """Does what is left to do; returns why it ended."""
        plan, ledger = self.plan, self.ledger
        self.observer.searching(
            f"study {self.study.name}: {self._choice()}, {len(ledger.current())} tried before",
            lambda: ledger.records,
            self._spent,
            plan.effort.trainings,
            self._heard,
            unit_of(plan.settings.cost_axis),
        )
        lengths = self._lengths or self._pilot()
        if lengths is None:
            return self._no_room()
        effort = plan.effort.settled(plan.trials, lengths.short)
        reason = self._explore(lengths, effort)
        finalists = self._settled(lengths)
        ledger.leave()
        if plan.settings.sampler == "surrogate" or len(finalists) > 1:
            self._finals(lengths, finalists, effort.seeds)
        return reason

    def _choice(self) -> str:
        """What there is to choose among, in words."""
        candidates = self.plan.candidates
        if candidates.source.is_drawn:
            return f"{candidates.count} networks that meet the budget to begin with, and further ones as it learns"
        return f"{candidates.count} networks meet the budget ({len(candidates.left_out)} designs left out)"

    # The work, one piece after another.

    def _do(self, works: Iterator[Work | None]) -> None:
        if self.plan.carries:
            self.workers.run(do_carried, (work and carried(work, self.plan.checkpoints) for work in works))
        else:
            self.workers.run(do_piece, works)

    def _work(self, piece: Piece, keep: Callable[[ProxyResult], None], fail: Callable[[Failed], None]) -> Work:
        def done(outcome: ProxyResult | Failed) -> None:
            if isinstance(outcome, Failed):
                fail(outcome)
            else:
                self._failures = 0
                keep(outcome)

        return Work(task=piece, done=done, lost=lambda reason: fail(Failed(reason=reason, short_of_memory=True)))

    def _piece(self, network: int, recipe: Recipe, name: str, seed: int, until: float, part: Part) -> Piece:
        return Piece(
            name=name,
            architecture=self.ledger.architecture(network),
            recipe=recipe,
            seed=seed,
            until=until,
            score_on=part,
        )

    def _fail(self, network: int, failed: Failed) -> None:
        """Keeps a network's failure. Raises StudyError after several in a row."""
        self._going.pop(network, None)
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

    # How long trainings are.

    def _pilot(self) -> Lengths | None:
        """Finds the lengths; what it trained at the full length are the first results of the search.

        None where a time limit has no room for the trainings that it takes.
        """
        settings, dataset = self.plan.settings, self.plan.dataset
        recipe, chance = settings.recipe, chance_of(dataset)
        tried: list[Attempt] = []
        networks = self._pilots()
        if not self._has_room(networks, recipe):
            return None
        while True:
            found: dict[int, ProxyResult] = {}
            failed: dict[int, Failed] = {}
            self._do(self._pilot_work(network, recipe, FULL, found, failed) for network in networks)
            if not found:
                raise StudyError(f"the pilot's trainings failed: {next(iter(failed.values())).reason}")
            results = [found[network] for network in networks if network in found]
            images = recipe.images * recipe.epochs
            tried.append(Attempt(images=images, error=sum(r.error for r in results) / len(results)))
            as_long_again = self._clock.left(_FOR_SEARCH) >= 2 * self._clock.round(len(networks))
            if not settings.pilot or not as_long_again or is_long_enough(results, chance, len(tried)):
                break
            recipe = longer(recipe, len(dataset.train))
            recipe = settings.changes.of(recipe) if settings.changes else recipe
        lengths = Lengths(recipe=recipe, short=short_share(results, chance), chance=chance, tried=tuple(tried))
        self.study.settle_lengths(lengths)
        self._lengths = lengths
        took = sum(result.seconds for result in results) / len(results)
        self.observer.said(f"{lengths.describe()}; such a training took {format_duration(took)} here")
        for network, result in found.items():
            self._keep(network, result)
        for network, reason in failed.items():
            self._fail(network, reason)
        return lengths

    def _has_room(self, networks: Sequence[int], recipe: Recipe) -> bool:
        """Whether a time limit has room for a full training of each network; trains their first points to know."""
        if self.plan.time_limit is None:
            return True
        begun: dict[int, ProxyResult] = {}
        self._do(self._pilot_work(network, recipe, _FIRST_POINT, begun, {}) for network in networks)
        for result in begun.values():
            self._clock.took(result.share, result.seconds)
        done = min((result.share for result in begun.values()), default=FULL)
        return max(_GRACE, self._clock.left()) >= (FULL - done) * self._clock.round(len(networks))

    def _no_room(self) -> str:
        recipe = self.plan.settings.recipe
        takes = format_duration(self._clock.round(PILOTS))
        return (
            f"the time limit leaves no room for its first {PILOTS} trainings: of {recipe.images * recipe.epochs:,} "
            f"images each, they take about {takes} here. Nothing is lost: the same command with a longer "
            "--time-limit goes on; a new study may take shorter trainings (--full-images)"
        )

    def _pilot_work(
        self,
        network: int,
        recipe: Recipe,
        until: float,
        found: dict[int, ProxyResult],
        failed: dict[int, Failed],
    ) -> Work:
        return self._work(
            piece=self._piece(network, recipe, f"pilot {network}", self.plan.settings.seed, until, "validation"),
            keep=lambda result: found.__setitem__(network, result),
            fail=lambda reason: failed.__setitem__(network, reason),
        )

    def _pilots(self) -> list[int]:
        """Two networks that differ: the first and the last of the published line-up."""
        begin = self.ledger.networks.order
        order = [begin[0], *reversed(begin[: max(2, len(self.ledger.networks.published))])]
        return list(dict.fromkeys(order))[:PILOTS]

    # What to train next.

    def _spent(self) -> float:
        """Full trainings' worth of work of the search's own seed so far."""
        if self._lengths is None:
            return 0.0
        return sum(self.ledger.share(record) for record in self.ledger.current().values())

    def _explore(self, lengths: Lengths, effort: Effort) -> str:
        """Spends the effort; returns why it ended."""
        ended = "the effort is spent"

        def works() -> Iterator[Work | None]:
            nonlocal ended
            while True:
                if self._clock.late(_FOR_SEARCH):
                    ended = self._out_of_time()
                    return
                if self.plan.settings.sampler != "surrogate":
                    work = self._sampled(lengths, effort.trainings - self._underway())
                    if work is None and not self._going:
                        return
                    yield work
                    continue
                view, standing = self._standing(lengths, effort)
                seed = step_seed(self.plan.settings.seed, standing.known)
                step = next_step(standing, view.space, seed)
                if step is None:
                    if not self._going:
                        if standing.left >= min(lengths.short, 1 - lengths.short):
                            ended = self._used_up()
                        return
                    yield None
                    continue
                yield self._step(lengths, view.numbers[step.network], step.share)

        self._do(works())
        return ended

    def _standing(self, lengths: Lengths, effort: Effort) -> tuple[View, Standing]:
        """How far the networks are among which the next step chooses; further ones are drawn where it is time."""
        while True:
            view = self.ledger.view(lengths, self._going)
            standing = self.ledger.standing(view, effort.start, lengths, self._going, effort.trainings)
            if not self.ledger.is_due():
                return view, standing
            parents: list[int] = []
            if is_informed(standing):
                known = view.space.posterior(standing.observations)
                parents = parents_of(standing, known, step_seed(self.plan.settings.seed, standing.known))
            elif any(network not in standing.reached for network in standing.begin):
                return view, standing
            self.ledger.refill([view.numbers[at] for at in parents])

    def _used_up(self) -> str:
        if self.ledger.networks.is_drawn:
            return f"all {len(self.ledger.current())} networks that were found in the space are trained"
        return f"all {self.plan.candidates.count} networks of the space are trained"

    def _out_of_time(self) -> str:
        current = self.ledger.current()
        lacking = [network for network in self.ledger.networks.published if network not in current]
        if not lacking:
            return "the time limit leaves no room for more"
        groups = ", ".join(f"g={format_stages(self.ledger.architecture(network).groups)}" for network in lacking)
        return f"the time limit leaves no room for more; not compared with the published designs for {groups}"

    def _underway(self) -> float:
        """Full trainings' worth of work that is done or being done."""
        done = self.ledger.done()
        return sum(done.values()) + sum(share - done.get(network, 0.0) for network, share in self._going.items())

    def _step(self, lengths: Lengths, network: int, share: float) -> Work:
        record = self.ledger.begin(network)
        self._going[network] = share
        return self._work(
            piece=self._piece(network, lengths.recipe, _name(record), self.plan.settings.seed, share, "validation"),
            keep=lambda result: self._keep(network, result),
            fail=lambda failed: self._fail(network, failed),
        )

    def _sampled(self, lengths: Lengths, left: float) -> Work | None:
        """A network that Optuna's sampler chooses, trained in full; None where there is no room for one."""
        current = self.ledger.current()
        for network, record in current.items():
            if record.status == "running" and network not in self._going:
                return self._step(lengths, network, FULL)
        drawn = self.ledger.networks.is_drawn
        while left >= FULL - 1e-9 and (drawn or len(current) < self.plan.candidates.count):
            record, chosen = self.ledger.draw()
            if chosen is not None:
                return self._step(lengths, chosen, FULL)
            self.observer.report("ended", record)
            left -= 1e-2  # a sampler that repeats itself comes to an end
        return None

    def _keep(self, network: int, result: ProxyResult) -> None:
        before = self.ledger.current().get(network)
        done = 0.0 if before is None else self.ledger.share(before)
        took = result.seconds - (0.0 if before is None or before.proxy is None else before.proxy.seconds)
        self._going.pop(network, None)
        record = self.ledger.keep(network, result)
        self._clock.took(self.ledger.share(record) - done, took)
        if result.finished:
            self._forget(network, result, "validation")
        self.observer.report("ended", record)

    def _forget(self, network: int, result: ProxyResult, part: Part) -> None:
        recipe = self.plan.settings.recipe
        piece = self._piece(network, recipe, "", result.seed, FULL, part)
        (self.plan.checkpoints / piece.checkpoint).unlink(missing_ok=True)

    # The finalists.

    def _finalists(self, lengths: Lengths) -> list[int]:
        """The networks that are trained by further seeds: contenders, and the published designs beside them."""
        current = {
            network: record
            for network, record in self.ledger.current().items()
            if record.proxy is not None and record.status != "failed"
        }
        already = [network for network, record in current.items() if record.finals]
        view = self.ledger.view(lengths, {})
        standing = self.ledger.standing(view, 0, lengths, {}, 0.0)
        known = view.space.posterior(standing.observations)
        self.study.note_noise(known.noise)
        at = view.positions()
        tried = [at[network] for network in current if network in at]
        chosen = [view.numbers[best] for best in contenders(known, tried, standing.costs, self.plan.margin / 100)]
        published = [network for network in self.ledger.networks.published if network in current]
        if published:
            groups = [self.ledger.architecture(network).groups for network in published]
            costs = [self.ledger.cost(network) for network in published]
            chosen += [published[at] for at in references_of(groups, costs, self.ledger.cost(chosen[0]))]
        return list(dict.fromkeys([*chosen, *already]))

    def _settled(self, lengths: Lengths) -> list[int]:
        """The finalists, each trained to the full length by the search's own seed.

        That may show that others should be finalists, so they are chosen again until nothing is left to train. Who is
        chosen thus follows from what is kept, also for a search that is taken up again.
        """
        tried: set[int] = set()  # each once: memory may be too short for it
        while True:
            finalists, current = self._finalists(lengths), self.ledger.current()
            short = [n for n in finalists if self.ledger.share(current[n]) < FULL and n not in tried]
            if not short or self._clock.late():
                return finalists
            tried.update(short)
            self._do(self._step(lengths, network, FULL) for network in short if not self._clock.late())

    def _finals(self, lengths: Lengths, finalists: list[int], seeds: int) -> None:
        """Trains the finalists with seeds that did not choose them, one after another, until they are told apart."""
        first = self.plan.settings.seed + 1
        total = seeds * len(finalists)
        records = {network: record for network, record in self.ledger.current().items() if network in finalists}
        have = sum(len(record.finals) for record in records.values())
        until = self._clock.fitting(len(finalists), lengths.recipe.curve_points * lengths.recipe.epochs)
        if until <= 0 or have >= total:
            return
        self.observer.training(
            f"{len(finalists)} finalists, trained in full by up to {seeds} seeds that did not choose them",
            have,
            total,
            self._heard,
        )
        for seed in range(first, first + seeds):
            current = self.ledger.current()
            lacking = [
                network
                for network in finalists
                if seed not in {result.seed for result in current[network].finals}
                and seed not in {lost for lost, _ in current[network].lost_seeds}
            ]
            if not lacking:
                continue
            if seed > first and self._clock.left() < self._clock.round(len(lacking)):
                return
            self._do(self._final(lengths, network, current[network], seed, until) for network in lacking)
            if self._decided():
                return

    def _final(self, lengths: Lengths, network: int, record: TrialRecord, seed: int, until: float) -> Work:
        recipe = replace(lengths.recipe, test_images=_TEST_IMAGES)
        name = f"#{record.number}, seed {seed}"
        piece = self._piece(network, recipe, name, seed, until, "test")
        if seed == self.plan.settings.seed + 1:
            piece = replace(piece, weights=self.plan.folder / "weights" / f"{record.number}.safetensors")

        def keep(result: ProxyResult) -> None:
            self.ledger.keep_final(record.number, result)
            self._clock.took(until, result.seconds)
            self._forget(network, result, "test")
            self.observer.report("scored", name, result)

        def fail(failed: Failed) -> None:
            if failed.short_of_memory:
                self.observer.report("postponed", name, failed.reason)
            else:
                self.ledger.lose_final(record.number, seed, failed.reason)

        return self._work(piece, keep, fail)

    def _decided(self) -> bool:
        settings = self.plan.settings
        record = StudyRecord(
            name=self.study.name,
            settings=settings,
            provenance=(),
            trials=self.ledger.records,
            lengths=self._lengths,
            noise=self.study.noise,
            attachments={},
        )
        found = verdict_of(record, self.plan.margin)
        finals = {trial.number: trial.finals for trial in record.trials if trial.finals}
        return found is not None and found.decided and len(common_seeds(finals)) > 1


def _name(record: TrialRecord) -> str:
    arch = record.architecture
    if arch is None:
        return f"#{record.number}"
    return f"#{record.number} g={format_stages(arch.groups)} {'/'.join(map(str, arch.stage_channels))}"
