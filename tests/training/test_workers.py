"""Workers: what they report is heard, they stop when asked, and a process that dies costs its work only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from snsearch.errors import StudyError
from snsearch.interrupt import EndNow, stop_on_signals
from snsearch.training.workers import LOSSES, Call, Event, Report, Stop, Work, Workers


def _square(job: int, task: int, report: Report, stop: Stop) -> tuple[int, int]:
    report("said", task)
    return job * task * task, torch.get_num_threads()


def _wait_for_stop(job: Any, task: int, report: Report, stop: Stop) -> int:
    report("ready", task)
    while not stop():
        threading.Event().wait(0.01)
    if task == 0:
        return 7  # was at its end
    raise KeyboardInterrupt


def _refuse(job: Any, task: int, report: Report, stop: Stop) -> int:
    if task == 1:
        raise StudyError("the disk is full")
    return task


def _die_once(job: str, task: int, report: Report, stop: Stop) -> int:
    """Dies at its first call for task 1, which leaves a mark."""
    mark = Path(job)
    if task == 1 and not mark.exists():
        mark.write_text("died", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def _die(job: Any, task: int, report: Report, stop: Stop) -> int:
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def _strike(job: Any, task: int, report: Report, stop: Stop) -> int:
    os.kill(os.getpid(), task)
    return task


def _be_deaf(job: Any, task: int, report: Report, stop: Stop) -> int:
    report("ready", task)
    while True:
        time.sleep(1)


def test_the_next_work_is_asked_for_while_all_workers_are_busy() -> None:
    asked: list[int] = []
    release = threading.Event()

    def held(job: Any, task: int, report: Report, stop: Stop) -> int:
        assert release.wait(60)
        return task

    def works() -> Iterator[Work | None]:
        for task in range(5):
            asked.append(task)
            if task == 2:
                release.set()  # it is never asked for where the workers must end first
            yield Work(task=task, done=done.append, lost=lambda: None)

    done: list[int] = []
    with (
        ThreadPoolExecutor(2) as executor,
        Workers(None, count=2, threads=1, hear=lambda _: None, stop=lambda: False, executor=executor) as workers,
    ):
        workers.run(held, works())
    assert sorted(done) == asked == [0, 1, 2, 3, 4]


@dataclass
class Struck:
    """A job that sends its process a signal while it is read, which is before the process begins."""

    number: int

    def __reduce__(self) -> tuple[Callable[[int], Struck], tuple[int]]:
        return _struck, (self.number,)


def _struck(number: int) -> Struck:
    os.kill(os.getpid(), number)
    return Struck(number)


def _return_task(job: Any, task: int, report: Report, stop: Stop) -> int:
    return task


def _never() -> bool:
    return False


@dataclass
class Outcome:
    """What became of tasks."""

    done: dict[int, Any]
    lost: list[int]
    heard: list[Event]
    reasons: list[str] = field(default_factory=list)


def go(
    call: Call,
    tasks: int,
    *,
    job: Any = 1,
    count: int = 2,
    stop: Stop | None = None,
    hear: Callable[[Event], None] | None = None,
    outcome: Outcome | None = None,
    **options: Any,
) -> Outcome:
    """Does tasks 0, 1, 2 and so on."""
    found = outcome or Outcome({}, [], [])

    def lose(task: int, reason: str) -> None:
        found.lost.append(task)
        found.reasons.append(reason)

    def works() -> Iterator[Work | None]:
        for task in range(tasks):
            yield Work(
                task=task,
                done=lambda result, task=task: found.done.__setitem__(task, result),  # type: ignore[misc]
                lost=partial(lose, task),
            )

    with Workers(
        job, count=count, threads=1, hear=hear or found.heard.append, stop=stop or _never, **options
    ) as crew:
        crew.run(call, works())
    return found


@pytest.mark.parametrize("count", [1, 2])
def test_every_task_is_done_once_with_the_job_and_heard(count: int) -> None:
    found = go(_square, 5, job=3, count=count)
    assert {task: result[0] for task, result in found.done.items()} == {task: 3 * task * task for task in range(5)}
    assert sorted(details[0] for kind, _, details in found.heard if kind == "said") == list(range(5))
    assert {worker for _, worker, _ in found.heard} <= set(range(count))
    if count == 2:
        assert {threads for _, threads in found.done.values()} == {1}


def test_somebody_elses_executor_takes_the_calls() -> None:
    with ThreadPoolExecutor(2) as executor:
        found = go(_square, 4, job=2, executor=executor)
    assert {task: result[0] for task, result in found.done.items()} == {0: 0, 1: 2, 2: 8, 3: 18}


class Losing(Executor):
    """An executor that loses its first calls."""

    def __init__(self, losses: int) -> None:
        self.losses, self.submitted = losses, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        future: Future[Any] = Future()
        if self.submitted <= self.losses:
            future.set_exception(OSError("the node died. It was called rack-7.example"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_what_an_executor_loses_is_done_again_twice() -> None:
    executor = Losing(LOSSES - 1)
    assert go(_return_task, 1, executor=executor).done == {0: 0}
    assert executor.submitted == LOSSES


def test_what_an_executor_loses_again_and_again_is_given_up_with_the_reason_and_no_machines_name() -> None:
    found = go(_return_task, 2, count=1, executor=Losing(LOSSES))
    assert found.done == {1: 1}
    assert found.reasons == ["it was lost 3 times: OSError: the node died"]


def test_an_error_that_ends_the_search_comes_back_from_an_executor() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(StudyError, match=r"^the disk is full$"):
        go(_refuse, 2, executor=executor)


def _look_for_file(job: Path, task: int, report: Report, stop: Stop) -> list[str]:
    return [path.name for path in job.glob("shared-*.pickle")]


@pytest.mark.long
def test_other_processes_read_the_job_from_one_file_that_is_gone_afterwards(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        found = go(_look_for_file, 4, job=tmp_path, executor=executor, folder=tmp_path)
    assert len({tuple(names) for names in found.done.values()}) == 1
    assert len(found.done[0]) == 1
    assert list(tmp_path.iterdir()) == []


class Deaf(Executor):
    """An executor whose calls never begin, and which tells nobody that one was cancelled, as Dask's."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.futures.append(Future())
        return self.futures[-1]


def test_a_stop_cancels_what_an_executor_has_not_begun_and_does_not_wait_for_it() -> None:
    executor = Deaf()
    with pytest.raises(KeyboardInterrupt):
        go(_return_task, 2, executor=executor, stop=lambda: len(executor.futures) == 2)
    assert all(future.cancelled() for future in executor.futures)


def test_a_none_lets_results_come_first() -> None:
    results: list[int] = []

    def works() -> Iterator[Work | None]:
        yield Work(task=2, done=lambda result: results.append(result[0]), lost=lambda reason: None)
        while not results:
            yield None
        yield Work(task=results[0] + 1, done=lambda result: results.append(result[0]), lost=lambda reason: None)

    with Workers(1, count=2, threads=1, hear=lambda event: None, stop=_never) as crew:
        crew.run(_square, works())
    assert results == [4, 25]


@pytest.mark.long
def test_a_stop_reaches_every_call_and_what_came_to_its_end_is_handed_over() -> None:
    outcome = Outcome({}, [], [])
    with pytest.raises(KeyboardInterrupt):
        go(_wait_for_stop, 2, stop=lambda: len(outcome.heard) == 2, outcome=outcome)
    assert outcome.done == {0: 7}


def test_a_fault_of_a_call_is_raised_and_ends_the_others() -> None:
    with pytest.raises(StudyError, match=r"^the disk is full$"):
        go(_refuse, 4)
    assert not multiprocessing.active_children()


@pytest.mark.long
def test_a_task_whose_process_dies_is_done_again(tmp_path: Path) -> None:
    found = go(_die_once, 4, job=str(tmp_path / "mark"))
    assert found.done == {0: 0, 1: 1, 2: 2, 3: 3}
    assert found.lost == []


@pytest.mark.long
def test_a_task_that_kills_its_process_is_given_up_and_the_others_are_done() -> None:
    found = go(_die, 3)
    assert found.done == {0: 0, 2: 2}
    assert found.lost == [1]
    assert LOSSES == 3


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signals_that_reach_the_whole_group_leave_processes_to_the_main_one(number: int) -> None:
    found = go(striking(number), 1)
    assert list(found.done.values()) == [number]


def striking(number: int) -> Call:
    """The call that strikes its own process with that signal."""
    return {signal.SIGINT: _strike_int, signal.SIGHUP: _strike_hup}[signal.Signals(number)]


def _strike_int(job: Any, task: int, report: Report, stop: Stop) -> int:
    return _strike(job, signal.SIGINT, report, stop)


def _strike_hup(job: Any, task: int, report: Report, stop: Stop) -> int:
    return _strike(job, signal.SIGHUP, report, stop)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_comes_while_a_process_starts_is_held_until_it_knows_what_it_means(number: int) -> None:
    assert go(_return_task, 2, job=Struck(number)).done == {0: 0, 1: 1}


def test_a_second_signal_ends_processes_at_once_whatever_they_are_doing() -> None:
    def insist(event: Event) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with stop_on_signals() as stop, pytest.raises(EndNow):
        go(_be_deaf, 2, stop=stop, hear=insist)
    assert not multiprocessing.active_children()


@pytest.mark.long
def test_an_error_in_the_main_process_ends_the_processes() -> None:
    def refuse(event: Event) -> None:
        raise StudyError("the log cannot be written")

    with pytest.raises(StudyError, match="the log cannot be written"):
        go(_wait_for_stop, 2, hear=refuse)
    assert not multiprocessing.active_children()
