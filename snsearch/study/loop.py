"""The search: asks a study for designs, solves each for the budget, trains it briefly, tells the scores.

Every candidate meets the budget by construction; those that the lattice keeps too far from it are left out before
anything is trained. The published design of each group count comes first, so that every study holds the matched
line-up; the sampler goes on from there. Candidates that others beat at a rung are stopped early.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from snsearch.codec import encode
from snsearch.errors import StudyError
from snsearch.interrupt import EndNow
from snsearch.solver import Budget, Candidates, Design, Solution, SpaceSpec, deployed_on, digest_of
from snsearch.study.confidence import finalists, scores_of
from snsearch.study.objective import COUNTED, OBJECTIVES, Objective
from snsearch.study.observer import Observer
from snsearch.study.proposals import STABLE_AFTER, expected_order, is_stable, propose
from snsearch.study.records import Settings, TrialRecord, explored, trained
from snsearch.study.rungs import Rungs, goes_on
from snsearch.study.sampler_names import Sampler
from snsearch.study.storage import Study
from snsearch.training import (
    CurvePoint,
    Dataset,
    OnPoint,
    ProxyResult,
    Recipe,
    Report,
    ran_out_of_memory,
    train_proxy,
)
from snsearch.units import format_stages

_DUPLICATES_IN_A_ROW = 8  # after this many repeats by the sampler, an untried candidate is drawn instead
_FAILURES_IN_A_ROW = 3


def settings_of(
    space: SpaceSpec,
    budget: Budget,
    dataset: Dataset,
    recipe: Recipe,
    *,
    data: str,
    seed: int,
    tight: bool,
    search_shuffle: bool,
    sampler: Sampler = "surrogate",
    rungs: Rungs | None = None,
    objective: Objective | None = None,
) -> Settings:
    """The settings that a study is made with."""
    objective = objective or OBJECTIVES[COUNTED]
    return Settings(
        space=space.name,
        space_digest=digest_of(space),
        budget=budget,
        tight=tight,
        search_shuffle=search_shuffle,
        data=data,
        data_fingerprint=dataset.fingerprint(),
        data_description=f"{dataset.describe()}; {dataset.source}",
        recipe=recipe,
        seed=seed,
        cost_name=objective.name,
        cost_label=objective.label,
        cost_axis=objective.axis,
        sampler=sampler,
        rungs=rungs or Rungs(),
    )


@dataclass(frozen=True, kw_only=True)
class Search:
    """One run of a search on a study."""

    study: Study
    candidates: Candidates
    dataset: Dataset
    device: torch.device
    checkpoints: Path  # folder
    report: Report = Observer().report  # "begun", "trained", "ended" and "scored", as an Observer hears them
    stop: Callable[[], bool] = lambda: False  # asked between batches and between trials
    train: Callable[..., ProxyResult] = train_proxy

    def prepare(self) -> None:
        """Lets the trials that an earlier run left unfinished come first; in a new study, the published designs.

        Those that ran out of memory are tried again: with fewer workers there is more.
        """
        with self.study.turn:  # another search may begin on the same study
            self.study.recover()
            records = self.study.records()
            again = [record.design for record in self._short_of_memory(records)]
            for design in again if records else self.candidates.published:
                self.study.enqueue(design)

    def run(self, trials: int, time_limit: float | None = None, *, stop_when_stable: bool = False) -> str:
        """Tries candidates until the study has `trials` of them; returns why it ended.

        Several processes may run on one prepared study. Ends earlier where the space holds no further candidate,
        where the next one would not be done within `time_limit` seconds from now, or, where asked for, when the
        last candidates have not moved the front beyond the noise.

        Raises:
            KeyboardInterrupt: `stop` said so, or the user did; the trial under way waits again, and the next run
                takes it up where its last epoch ended.
            StudyError: several candidates in a row failed, or the first ones ran out of memory.
        """
        try:
            return self._run(trials, time_limit, stop_when_stable)
        except KeyboardInterrupt as error:
            if not isinstance(error, EndNow):  # else the next run finds them left behind
                self.study.release()
            raise

    def _run(self, trials: int, time_limit: float | None, stop_when_stable: bool) -> str:
        started = time.monotonic()
        repeats = failures = 0
        while True:
            self._check()
            # What is counted is still so when the next trial is under way: no two workers take the last one.
            with self.study.turn:
                records = self.study.records()
                untried = self._untried(records)
                left = None if time_limit is None else time_limit - (time.monotonic() - started)
                if enough := self._enough(records, untried, trials, left, stop_when_stable):
                    return enough
                fixed = self._proposed(records, untried, repeats)
                number, design = self.study.ask(self.candidates.choices, fixed)
            outcome = self._try(number, design, records)
            repeats = repeats + 1 if outcome == "known" else 0
            if outcome == "trained":
                failures = 0
            elif outcome == "failed":
                records = self.study.records()
                failed = next(record for record in records if record.number == number)
                failures += failed.fault != "memory"  # the next candidate may need less
                if failures >= _FAILURES_IN_A_ROW:
                    raise StudyError(f"{failures} candidates in a row failed; the last: {failed.reason}")
                if not explored(records) and len(self._short_of_memory(records)) >= _FAILURES_IN_A_ROW:
                    raise _too_little_memory()

    def _enough(
        self,
        records: Sequence[TrialRecord],
        untried: Sequence[Design],
        trials: int,
        seconds_left: float | None,
        stop_when_stable: bool,
    ) -> str:
        """Why no further trial is to be asked for; empty where one is."""
        tried = explored(records)
        if len(tried) + _running(records) >= trials:
            return f"{len(tried)} candidate{' is' if len(tried) == 1 else 's are'} tried"
        if not untried:
            return f"all {self.candidates.count} candidates of the space are tried"
        if seconds_left is not None and _typical_seconds(records) > seconds_left:
            return "the time limit leaves no room for another candidate"
        if stop_when_stable and is_stable(records):
            return f"the front is stable: the last {STABLE_AFTER} candidates did not move it beyond the noise"
        return ""

    def _proposed(self, records: Sequence[TrialRecord], untried: Sequence[Design], repeats: int) -> Design | None:
        """The design to try next; None leaves it to what waits, or to Optuna's sampler."""
        if any(record.status in ("waiting", "interrupted") for record in records):
            return None
        if self.study.settings.sampler == "surrogate":
            return propose(self.candidates, records, untried, self.study.settings.seed)
        if repeats >= _DUPLICATES_IN_A_ROW:
            return random.Random(self.study.settings.seed + len(records)).choice(untried)
        return None

    def finalists(self, count: int, seeds: int) -> list[tuple[int, int]]:
        """Trial number and seed of every training that `count` finalists still lack to have `seeds` each.

        Finalists are chosen by the first seed alone, so that a resumed search chooses as an uninterrupted one would.
        """
        done = trained(self.study.records())
        scores = scores_of([record.results[:1] for record in done])
        order = expected_order(done)
        chosen = finalists(scores, [record.cost or 0.0 for record in done], count, order)
        first = self.study.settings.seed
        return [
            (done[index].number, seed)
            for index in chosen
            for seed in range(first + 1, first + seeds)
            if seed not in {result.seed for result in done[index].repeats} | {s for s, _ in done[index].lost_seeds}
        ]

    def repeat(self, tasks: Sequence[tuple[int, int]], time_limit: float | None = None) -> None:
        """Trains the candidates of those trials again, each with that seed, while `time_limit` seconds allow it.

        Raises KeyboardInterrupt where `stop` says so; what is done by then is kept.
        """
        started = time.monotonic()
        records = self.study.records()
        by_number = {record.number: record for record in records}
        short = done = 0
        for number, seed in tasks:
            self._check()
            if time_limit is not None and time.monotonic() - started + _typical_seconds(records) > time_limit:
                return
            if not self.study.take_repeat(number, seed):  # another search on the study has it
                continue
            solution = self.candidates.solutions[by_number[number].design]
            name = f"#{number}, seed {seed}"
            self.report("begun", name, solution.architecture)
            try:
                result = self._train(solution, seed)
            except StudyError:
                raise
            except Exception as error:
                # One seed's fault must not lose the others.
                if not ran_out_of_memory(error):
                    self.study.lose_repeat(number, seed, _reason(error))
                    continue
                self.report("postponed", name, _reason(error))
                short += 1
                if not done and short == _FAILURES_IN_A_ROW:
                    raise _too_little_memory() from None
            else:
                done += 1
                self.study.add_repeat(number, result)
                self._checkpoint(solution, seed).unlink(missing_ok=True)
                self.report("scored", name, result)

    def _check(self) -> None:
        if self.stop():
            raise KeyboardInterrupt

    def _trained(self, images_seen: int, images_in_all: int, loss: float) -> None:
        self._check()
        self.study.beat()
        self.report("trained", images_seen, images_in_all, loss)

    def _untried(self, records: Sequence[TrialRecord]) -> list[Design]:
        """Designs whose architecture is neither scored, nor failed, nor under way."""
        over = {self._key(r) for r in records if r.status in ("complete", "stopped", "failed", "running")}
        return [design for key, design in self.candidates.first.items() if key not in over]

    def _short_of_memory(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Trials that ran out of memory and were not taken up again."""
        last = {self._key(record): record for record in records}
        return [record for record in last.values() if record.fault == "memory"]

    def _key(self, record: TrialRecord) -> str | None:
        """What tells a trial's network from others, also before its worker has noted it; None of no network."""
        if record.architecture is not None:
            return record.architecture.key
        solution = self.candidates.solutions.get(record.design)
        return None if solution is None else solution.architecture.key

    def _try(self, number: int, design: Design, records: Sequence[TrialRecord]) -> str:
        """Ends one trial; "trained", "failed", or "known" where nothing had to be trained."""
        solution = self.candidates.solutions.get(design)
        if solution is None:
            self.study.fail(number, "left out", self.candidates.left_out[design])
            return "known"
        cost = self.candidates.cost[design]
        self.study.note(
            number,
            architecture=encode(solution.architecture),
            costs=encode(solution.costs),
            cost=cost,
            deviation=solution.deviation,
            binding=solution.binding,
            notes=list(solution.notes),
        )
        if self._is_known(number, solution.architecture.key, cost, records):
            return "known"
        arch = solution.architecture
        self.report(
            "begun", f"#{number} g={format_stages(arch.groups)} {'/'.join(map(str, arch.stage_channels))}", arch
        )
        exempt = design in self.candidates.published
        try:
            result = self._train(solution, self.study.settings.seed, None if exempt else self._judge(number, cost))
        except StudyError:  # the system's fault, and no candidate's
            with suppress(StudyError):  # the storage may be what failed
                self.study.put_back(number, "its state could not be saved")
            raise
        except Exception as error:
            # One candidate's fault, kept with its reason, must not end the search.
            self.study.fail(number, "failed", _reason(error), "memory" if ran_out_of_memory(error) else None)
        else:
            self.study.note(number, proxy=encode(result))
            if result.finished:
                self.study.complete(number, result.error, cost)
            else:
                self.study.prune(number, f"stopped at {result.curve[-1].images_seen:,} images: others beat it there")
            self._checkpoint(solution, self.study.settings.seed).unlink(missing_ok=True)
        record = next(r for r in self.study.records() if r.number == number)
        self.report("ended", record)
        return "failed" if record.status == "failed" else "trained"

    def _is_known(self, number: int, key: str, cost: float, records: Sequence[TrialRecord]) -> bool:
        """Whether another trial has the same network; the new trial is then ended by what is known of it."""
        for record in records:
            if self._key(record) != key:
                continue
            if record.status == "complete" and record.duplicate_of is None and record.proxy is not None:
                self.study.note(number, duplicate_of=record.number)
                self.study.complete(number, record.proxy.error, cost)
                return True
            if record.status == "stopped":
                self.study.fail(number, "left out", f"the same network as #{record.number}, which was stopped early")
                return True
            if record.status == "running":
                self.study.fail(number, "left out", "another worker is training the same network")
                return True
        return False

    def _judge(self, number: int, cost: float) -> OnPoint:
        """Decides at every rung whether a training goes on, by all other candidates that have reached it."""
        rungs = self.study.settings.rungs

        def on_point(curve: tuple[CurvePoint, ...], whole: int) -> bool:
            self.study.note(number, curve=[encode(point) for point in curve])
            rung = rungs.reached(curve[-1].images_seen, whole)
            before = rungs.reached(curve[-2].images_seen, whole) if len(curve) > 1 else 0
            if rung == before:
                return True
            at = len(curve) - 1
            peers = [
                (record.curve[at].test_error, record.cost)
                for record in self.study.records()
                if record.number != number and record.cost is not None and len(record.curve) > at
                if record.status in ("complete", "stopped", "running") and record.duplicate_of is None
            ]
            return goes_on((curve[-1].test_error, cost), peers, rungs)

        return on_point

    def _train(self, solution: Solution, seed: int, on_point: OnPoint | None = None) -> ProxyResult:
        return self.train(
            solution.architecture,
            self.dataset,
            self.study.settings.recipe,
            seed=seed,
            device=self.device,
            checkpoint=self._checkpoint(solution, seed),
            on_batch=self._trained,
            on_point=on_point,
        )

    def _checkpoint(self, solution: Solution, seed: int) -> Path:
        name = hashlib.sha256(solution.architecture.key.encode()).hexdigest()[:16]
        return self.checkpoints / f"{name}-{seed}.pt"


def _running(records: Sequence[TrialRecord]) -> int:
    return sum(record.status == "running" for record in records)


def _typical_seconds(records: Sequence[TrialRecord]) -> float:
    seconds = [record.proxy.seconds for record in records if record.proxy is not None]
    return sum(seconds) / len(seconds) if seconds else 0.0


def _reason(error: Exception) -> str:
    words = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    return f"out of memory ({words})" if ran_out_of_memory(error) else words


def _too_little_memory() -> StudyError:
    return StudyError(
        f"the first {_FAILURES_IN_A_ROW} trainings ran out of memory; with fewer --workers, or more of it, the same "
        "command takes them up again"
    )


def deployed(budget: Budget, dataset: Dataset, *, named: bool, classes: int | None) -> Budget:
    """The budget at the data set's own channels and classes, where the budget does not name its own."""
    if named:
        return budget
    return deployed_on(budget, dataset.channels, len(dataset.classes) if classes is None else classes)
