"""Several candidates at once: worker processes that run a search on one study, and report to this process.

Small networks use one core well and two badly, so trials in parallel beat threads in a trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from snsearch.solver import Candidates, Solution
from snsearch.study.loop import Search
from snsearch.study.storage import Settings, Study, TrialRecord
from snsearch.training import Dataset, Event, ProxyResult, Report, Stop, run_processes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every worker of a search needs to know; goes to the workers whole."""

    url: str
    name: str
    settings: Settings
    candidates: Candidates
    dataset: Dataset
    device: str
    checkpoints: Path
    trials: int
    time_limit: float | None
    workers: int
    threads: int  # of each worker
    stop_when_stable: bool = False
    repeats: tuple[tuple[int, int], ...] = ()  # trial number and seed; where given, all that is trained


@dataclass(frozen=True)
class _Reporter:
    """Observer in a worker: hands everything on."""

    report: Report

    def begun(self, number: int, solution: Solution) -> None:
        self.report("begun", number, solution)

    def trained(self, images_seen: int, images_in_all: int, loss: float) -> None:
        self.report("trained", images_seen, images_in_all, loss)

    def ended(self, record: TrialRecord) -> None:
        self.report("ended", record)

    def repeated(self, record: TrialRecord, result: ProxyResult) -> None:
        self.report("repeated", record, result)


def _work(plan: Plan, worker: int, report: Report, stop: Stop) -> str:
    study = Study.open(plan.url, plan.name, plan.settings, worker=worker, workers=plan.workers)
    search = Search(
        study=study,
        candidates=plan.candidates,
        dataset=plan.dataset,
        device=torch.device(plan.device),
        checkpoints=plan.checkpoints,
        observer=_Reporter(report),
        stop=stop,
    )
    if plan.repeats:
        search.repeat(plan.repeats[worker :: plan.workers], plan.time_limit)
        reason = ""
    else:
        reason = search.run(plan.trials, plan.time_limit, stop_when_stable=plan.stop_when_stable)
    study.close()
    return reason


def run_workers(plan: Plan, hear: Callable[[Event], None], stop: Stop) -> str:
    """Runs the plan's workers to their end and returns why they ended; `hear` gets every event in this process.

    Raises:
        KeyboardInterrupt: `stop` said so; every worker has ended at a safe point.
        StudyError: a worker gave up, or died without a word.
    """
    reasons = run_processes(_work, plan, workers=plan.workers, threads=plan.threads, hear=hear, stop=stop)
    return reasons[-1]
