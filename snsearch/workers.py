"""Several candidates at once: worker processes that run a search on one study, and report to this process.

Small networks use one core well and two badly, so trials in parallel beat threads in a trial. Workers are spawned,
not forked (torch's threads do not survive a fork), and share the data set's memory.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing

from snsearch.data import Dataset
from snsearch.errors import SnsearchError, StudyError
from snsearch.interrupt import stop_on_signals
from snsearch.proxy import ProxyResult
from snsearch.search import Candidates, Search
from snsearch.solver import Solution
from snsearch.study import Settings, Study, TrialRecord

Event = tuple[str, int, tuple[Any, ...]]  # what happened, which worker, with what


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
    repeats: tuple[tuple[int, int], ...] = ()  # trial number and seed; where given, all that is trained


@dataclass(frozen=True)
class _Reporter:
    """Observer in a worker: hands everything on."""

    worker: int
    events: Any

    def begun(self, number: int, solution: Solution) -> None:
        self.events.put(("begun", self.worker, (number, solution)))

    def trained(self, images_seen: int, images_in_all: int, loss: float) -> None:
        self.events.put(("trained", self.worker, (images_seen, images_in_all, loss)))

    def ended(self, record: TrialRecord) -> None:
        self.events.put(("ended", self.worker, (record,)))

    def repeated(self, record: TrialRecord, result: ProxyResult) -> None:
        self.events.put(("repeated", self.worker, (record, result)))


def _work(plan: Plan, worker: int, events: Any) -> None:
    """A worker's whole life. Ends with an event that says why."""
    # Ctrl-C reaches the whole process group; the main process passes it on, once, as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(plan.threads)
    main = multiprocessing.parent_process()
    assert main is not None
    try:
        with stop_on_signals(numbers=(signal.SIGTERM,)) as signalled:
            search = Search(
                study=Study.open(plan.url, plan.name, plan.settings, worker=worker, workers=plan.workers),
                candidates=plan.candidates,
                dataset=plan.dataset,
                device=torch.device(plan.device),
                checkpoints=plan.checkpoints,
                observer=_Reporter(worker, events),
                # Without the main process nobody is left to report to, or to stop this worker.
                stop=lambda: signalled() or not main.is_alive(),
            )
            if plan.repeats:
                search.repeat(plan.repeats[worker :: plan.workers], plan.time_limit)
                reason = "every finalist has its seeds"
            else:
                reason = search.run(plan.trials, plan.time_limit)
            search.study.close()
    except KeyboardInterrupt:
        events.put(("stopped", worker, ()))
    except SnsearchError as error:
        events.put(("gave up", worker, (str(error),)))
    except Exception as error:  # a full disk, say; told in the main process, where it can be read
        events.put(("gave up", worker, (f"worker {worker}: {type(error).__name__}: {error}",)))
    else:
        events.put(("finished", worker, (reason,)))


def run_workers(plan: Plan, hear: Callable[[Event], None], stop: Callable[[], bool]) -> str:
    """Runs the plan's workers to their end and returns why they ended; `hear` gets every event in this process.

    Raises:
        KeyboardInterrupt: `stop` said so; every worker has ended at a safe point.
        StudyError: a worker gave up, or died without a word.
    """
    context = torch.multiprocessing.get_context("spawn")
    events = context.Queue()
    processes: list[SpawnProcess] = []
    reasons: list[str] = []
    faults: list[str] = []
    try:
        for worker in range(plan.workers):
            process = context.Process(target=_work, args=(plan, worker, events), daemon=True)
            _start(process)
            processes.append(process)
        interrupted = not _listen(processes, events, hear, stop, reasons, faults)
        if interrupted:
            for process in processes:
                process.terminate()  # SIGTERM, which asks a worker to stop
            _listen(processes, events, lambda event: None, lambda: False, reasons, [])
            raise KeyboardInterrupt
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()
    if faults:
        raise StudyError(faults[0])
    return reasons[-1]


def _start(process: SpawnProcess) -> None:
    try:
        process.start()
    except (OSError, RuntimeError) as error:
        raise StudyError(
            f"the data could not be shared with a worker ({error}); --workers 1 trains in this process"
        ) from None


def _listen(
    processes: list[SpawnProcess],
    events: Any,
    hear: Callable[[Event], None],
    stop: Callable[[], bool],
    reasons: list[str],
    faults: list[str],
) -> bool:
    """Hands on what the workers say until every one has ended; False where `stop` said so before."""
    silent = set(range(len(processes)))
    while silent:
        if stop():
            return False
        try:
            kind, worker, details = events.get(timeout=0.5)
        except queue.Empty:
            for worker in sorted(silent):
                if not processes[worker].is_alive() and events.empty():
                    silent.discard(worker)
                    faults.append(
                        f"worker {worker} died (exit code {processes[worker].exitcode}); "
                        "the same command takes its candidate up again"
                    )
            continue
        if kind in ("finished", "stopped", "gave up"):
            silent.discard(worker)
            if kind == "finished":
                reasons.append(details[0])
            elif kind == "gave up":
                faults.append(details[0])
        else:
            hear((kind, worker, details))
    return True
