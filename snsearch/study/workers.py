"""A search from its plan: in this process, or in worker processes that share one study and report to this process.

Small networks use one core well and two badly, so trials in parallel beat threads in a trial.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from snsearch.solver import Candidates
from snsearch.study.loop import Search
from snsearch.study.objective import unit_of
from snsearch.study.observer import Observer
from snsearch.study.records import Settings, explored
from snsearch.study.storage import Study
from snsearch.training import (
    Dataset,
    ProxyResult,
    Report,
    Stop,
    keep_manifest,
    kept_difference,
    run_processes,
    train_proxy,
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every worker of a search needs to know; goes to the workers whole."""

    url: str
    name: str
    settings: Settings
    candidates: Candidates
    dataset: Dataset
    device: str
    checkpoints: Path  # a folder in the study's
    trials: int
    time_limit: float | None
    workers: int
    threads: int  # of each worker
    stop_when_stable: bool = False
    finalists: int = 0  # candidates given more seeds
    seeds: int = 1  # of each finalist
    repeats: tuple[tuple[int, int], ...] = ()  # trial number and seed; where given, all that is trained
    train: Callable[..., ProxyResult] = train_proxy  # importable, where there are several workers

    def search(self, study: Study, report: Report, stop: Stop) -> Search:
        """The search of this plan on its study."""
        return Search(
            study=study,
            candidates=self.candidates,
            dataset=self.dataset,
            device=torch.device(self.device),
            checkpoints=self.checkpoints,
            report=report,
            stop=stop,
            train=self.train,
        )

    def work(self, search: Search, worker: int = 0) -> str:
        """Does a worker's part of the plan; returns why it ended."""
        if not self.repeats:
            return search.run(self.trials, self.time_limit, stop_when_stable=self.stop_when_stable)
        search.repeat(self.repeats[worker :: self.workers], self.time_limit)
        return ""


def _work(plan: Plan, worker: int, report: Report, stop: Stop) -> str:
    study = Study.open(plan.url, plan.name, plan.settings, worker=worker, workers=plan.workers)
    try:
        return plan.work(plan.search(study, report, stop), worker)
    finally:
        study.close()


def run_workers(plan: Plan, observer: Observer, stop: Stop) -> str:
    """Runs the plan's workers to their end and returns why they ended; the observer hears every event here.

    Raises:
        KeyboardInterrupt: `stop` said so; every worker has ended at a safe point.
        StudyError: a worker gave up, or died without a word.
    """
    reasons = run_processes(_work, plan, workers=plan.workers, threads=plan.threads, hear=observer.hear, stop=stop)
    return reasons[-1]


def run_plan(plan: Plan, run: Mapping[str, Any], observer: Observer, stop: Stop) -> str:
    """Makes the plan's study or goes on with it: the trials, then the finalists' further seeds. Returns why it ended.

    `run` is kept in the study's provenance. Raises KeyboardInterrupt and StudyError as Search.run does; what is done
    by then is kept.
    """
    folder, manifest = plan.checkpoints.parent, plan.dataset.manifest
    study = Study.open(plan.url, plan.name, plan.settings, images_changed=lambda: kept_difference(folder, manifest))
    try:
        keep_manifest(folder, manifest)
        study.add_run(dict(run))
        search = plan.search(study, observer.report, stop)
        search.prepare()
        done = len(explored(study.records()))
        observer.searching(
            f"study {study.name}: {plan.candidates.count} candidates meet the budget "
            f"({len(plan.candidates.left_out)} designs left out), {done} of {plan.trials} tried",
            study.records,
            plan.trials,
            plan.workers,
            unit_of(plan.settings.cost_axis),
        )
        started = time.monotonic()
        reason = plan.work(search) if plan.workers == 1 else run_workers(plan, observer, stop)
        if tasks := search.finalists(plan.finalists, plan.seeds):
            left = None if plan.time_limit is None else max(0.0, plan.time_limit - (time.monotonic() - started))
            further = replace(plan, repeats=tuple(tasks), time_limit=left, workers=min(plan.workers, len(tasks)))
            head = f"{len(tasks)} trainings of finalists with further seeds"
            observer.training(head, 0, len(tasks), further.workers)
            if further.workers == 1:
                further.work(search)
            else:
                run_workers(further, observer, stop)
        return reason
    finally:
        study.close()
        with suppress(OSError):  # an empty folder may stay
            plan.checkpoints.rmdir()
