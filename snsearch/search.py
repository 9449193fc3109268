"""The search: asks a study for designs, solves each for the budget, trains it briefly, tells the scores.

Every candidate meets the budget by construction; those that the lattice keeps too far from it are left out before
anything is trained. The published design of each group count comes first, so that every study holds the matched
line-up; the sampler goes on from there.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import torch

from snsearch.confidence import finalists, scores_of
from snsearch.costs import Costs
from snsearch.data import Dataset
from snsearch.errors import InfeasibleBudgetError, StudyError
from snsearch.lattice import Design
from snsearch.proxy import ProxyResult, Recipe, train_proxy
from snsearch.solver import Solution, solve
from snsearch.spec import Budget, SpaceSpec
from snsearch.study import Settings, Study, TrialRecord, trained

COST_LABEL = "MAC-and-bytes cost: MMACs + MB moved (counted; no device was named, so this is not a latency)"
MATCH_LIMIT = 0.05  # candidates farther than this from the MFLOPs are not comparable, and are left out
_DUPLICATES_IN_A_ROW = 8  # so many repeats by the sampler, and an untried candidate is drawn instead
_FAILURES_IN_A_ROW = 3


def mac_and_bytes_cost(costs: Costs) -> float:
    """Millions of MACs plus megabytes moved: what a core with one MAC a byte of bandwidth would be busy with."""
    return (costs.macs + costs.bytes_moved) / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """Every design of a search with its solution, each architecture once, and what was left out."""

    choices: Mapping[str, Sequence[Any]]
    solutions: dict[Design, Solution]
    first: dict[str, Design]  # by architecture key: the design that stands for it
    published: tuple[Design, ...]  # of each group count: default depth, no SE, the scale that fits the budget
    left_out: dict[Design, str]

    @property
    def count(self) -> int:
        """Different architectures."""
        return len(self.first)


def candidates_of(space: SpaceSpec, budget: Budget, *, tight: bool, search_shuffle: bool) -> Candidates:
    """Every design of the space solved for the budget.

    Raises InfeasibleBudgetError where none comes near it, with the reason of one.
    """
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
        chosen = dict(zip(choices, values, strict=True))
        design = Design(
            groups=chosen["groups"],
            depth=chosen["depth"],
            se=chosen["se"],
            scale=chosen.get("scale"),
            shuffle=chosen.get("shuffle"),
        )
        try:
            solution = solve(space, budget, design, tight=tight and budget.macs is not None)
        except InfeasibleBudgetError as error:
            left_out[design] = str(error)
            continue
        if solution.binding == "mflops" and abs(solution.deviation or 0.0) > MATCH_LIMIT:
            left_out[design] = f"comes no nearer than {solution.deviation:+.1%} to the budget"
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
    """Sixteen hex digits that change with anything in a space's file."""
    return hashlib.sha256(repr(space).encode()).hexdigest()[:16]


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
) -> Settings:
    """The settings that a study is made with."""
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
        cost_label=COST_LABEL,
    )


class Observer(Protocol):
    """Hears of a search as it goes on; every method returns at once."""

    def begun(self, number: int, solution: Solution) -> None: ...

    def trained(self, images_seen: int, images_in_all: int, loss: float) -> None: ...

    def ended(self, record: TrialRecord) -> None: ...

    def repeated(self, record: TrialRecord, result: ProxyResult) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Search:
    """One run of a search on a study."""

    study: Study
    candidates: Candidates
    dataset: Dataset
    device: torch.device
    checkpoints: Path  # folder
    observer: Observer
    stop: Callable[[], bool] = lambda: False  # asked between batches and between trials

    def prepare(self) -> None:
        """Lets the trials that an earlier run left unfinished come first; in a new study, the published designs."""
        self.study.recover()
        if not self.study.records():
            for design in self.candidates.published:
                self.study.enqueue(design)

    def run(self, trials: int, time_limit: float | None = None) -> str:
        """Trains candidates until the study has `trials` of them; returns why it ended.

        Several processes may run on one prepared study. Ends earlier where the space holds no further candidate, or
        where the next one would not be done within `time_limit` seconds from now.

        Raises:
            KeyboardInterrupt: `stop` said so, or the user did; the trial under way waits again, and the next run
                takes it up where its last epoch ended.
            StudyError: several candidates in a row failed.
        """
        try:
            return self._run(trials, time_limit)
        except KeyboardInterrupt:
            self.study.release()
            raise

    def _run(self, trials: int, time_limit: float | None) -> str:
        started = time.monotonic()
        draw = random.Random(self.study.settings.seed + len(self.study.records()))
        repeats = failures = 0
        while True:
            self._check()
            done = self._done()
            if len(done) + len(self._under_way()) >= trials:
                return f"{len(done)} candidate{' is' if len(done) == 1 else 's are'} trained"
            untried = self._untried()
            if not untried:
                return f"all {self.candidates.count} candidates of the space are tried"
            if time_limit is not None and time.monotonic() - started + self._typical(done) > time_limit:
                return "the time limit leaves no room for another candidate"
            if repeats >= _DUPLICATES_IN_A_ROW:
                self.study.enqueue(draw.choice(untried))
            number, design = self.study.ask(self.candidates.choices)
            if len(self._done()) + len(self._under_way(before=number)) >= trials:
                # Another worker asked, or ended a trial, since `done` was read: this trial would be one too many.
                self.study.put_back(number)
                continue
            outcome = self._try(number, design)
            repeats = repeats + 1 if outcome == "known" else 0
            if outcome != "known":
                failures = failures + 1 if outcome == "failed" else 0
            if failures >= _FAILURES_IN_A_ROW:
                reason = next(r.reason for r in reversed(self.study.records()) if r.status == "failed")
                raise StudyError(f"{failures} candidates in a row failed; the last: {reason}")

    def finalists(self, count: int, seeds: int) -> list[tuple[int, int]]:
        """Trial number and seed of every training that `count` finalists still lack to have `seeds` each.

        Finalists are chosen by the first seed alone, so that a resumed search chooses as an uninterrupted one would.
        """
        done = self._done()
        scores = scores_of([record.results[:1] for record in done])
        chosen = finalists(scores, [record.cost or 0.0 for record in done], count)
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
        done = self._done()
        by_number = {record.number: record for record in done}
        for number, seed in tasks:
            self._check()
            if time_limit is not None and time.monotonic() - started + self._typical(done) > time_limit:
                return
            if not self.study.take_repeat(number, seed):  # another search on the study has it
                continue
            record = by_number[number]
            solution = self.candidates.solutions[record.design]
            self.observer.begun(number, solution)
            try:
                result = self._train(solution, seed)
            except StudyError:
                raise
            except Exception as error:  # one seed's fault must not lose the others
                self.study.lose_repeat(number, seed, _reason(error))
            else:
                self.study.add_repeat(number, result)
                self._checkpoint(solution, seed).unlink(missing_ok=True)
                self.observer.repeated(record, result)

    def _check(self) -> None:
        if self.stop():
            raise KeyboardInterrupt

    def _trained(self, images_seen: int, images_in_all: int, loss: float) -> None:
        self._check()
        self.observer.trained(images_seen, images_in_all, loss)

    def _done(self) -> tuple[TrialRecord, ...]:
        return trained(self.study.records())

    def _under_way(self, before: int | None = None) -> list[TrialRecord]:
        """Trials that other workers, or this one, are training; those asked before a trial where one is given."""
        running = [r for r in self.study.records() if r.status == "running"]
        return running if before is None else [r for r in running if r.number < before]

    def _untried(self) -> list[Design]:
        """Designs whose architecture is neither scored, nor failed, nor under way."""
        over = {
            r.architecture.key
            for r in self.study.records()
            if r.architecture is not None and r.status in ("complete", "failed", "running")
        }
        return [design for key, design in self.candidates.first.items() if key not in over]

    def _typical(self, done: Sequence[TrialRecord]) -> float:
        seconds = [record.proxy.seconds for record in done if record.proxy is not None]
        return sum(seconds) / len(seconds) if seconds else 0.0

    def _try(self, number: int, design: Design) -> str:
        """Ends one trial; "trained", "failed", or "known" where nothing had to be trained."""
        solution = self.candidates.solutions.get(design)
        if solution is None:
            self.study.fail(number, "left out", self.candidates.left_out[design])
            return "known"
        self.study.note(
            number,
            architecture=solution.architecture.to_json(),
            costs=asdict(solution.costs),
            deviation=solution.deviation,
            binding=solution.binding,
            notes=list(solution.notes),
        )
        cost = mac_and_bytes_cost(solution.costs)
        key = solution.architecture.key
        for record in self._done():
            if record.architecture is not None and record.architecture.key == key and record.proxy is not None:
                self.study.note(number, duplicate_of=record.number)
                self.study.complete(number, record.proxy.error, cost)
                return "known"
        if any(r.architecture is not None and r.architecture.key == key for r in self._under_way(before=number)):
            self.study.fail(number, "left out", "another worker is training the same network")
            return "known"
        self.observer.begun(number, solution)
        try:
            result = self._train(solution, self.study.settings.seed)
        except StudyError:  # the system's fault, and no candidate's
            self.study.put_back(number, "its state could not be saved")
            raise
        except Exception as error:  # one candidate's fault, kept with its reason, must not end the search
            self.study.fail(number, "failed", _reason(error))
        else:
            self.study.note(number, proxy=result.to_json())
            self.study.complete(number, result.error, cost)
            self._checkpoint(solution, self.study.settings.seed).unlink(missing_ok=True)
        record = next(r for r in self.study.records() if r.number == number)
        self.observer.ended(record)
        return "trained" if record.status == "complete" else "failed"

    def _train(self, solution: Solution, seed: int) -> ProxyResult:
        return train_proxy(
            solution.architecture,
            self.dataset,
            self.study.settings.recipe,
            seed=seed,
            device=self.device,
            checkpoint=self._checkpoint(solution, seed),
            on_batch=self._trained,
        )

    def _checkpoint(self, solution: Solution, seed: int) -> Path:
        name = hashlib.sha256(solution.architecture.key.encode()).hexdigest()[:16]
        return self.checkpoints / f"{name}-{seed}.pt"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def deployed(budget: Budget, dataset: Dataset, *, named: bool, classes: int | None) -> Budget:
    """The budget at the data set's own channels and classes, where the budget does not name its own."""
    if named:
        return budget
    return replace(
        budget, input_channels=dataset.channels, classes=len(dataset.classes) if classes is None else classes
    )
