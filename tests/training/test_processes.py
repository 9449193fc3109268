"""Worker processes: what they report is heard, they stop when asked, and a fault of one is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from snsearch.errors import SpecError, StudyError
from snsearch.interrupt import EndNow, stop_on_signals
from snsearch.training.processes import Event, Report, Stop, run_processes, spawn_context


def _report_threads(job: str, worker: int, report: Report, stop: Stop) -> str:
    report("said", job, torch.get_num_threads())
    return f"reason {worker}"


def _wait_for_stop(job: str, worker: int, report: Report, stop: Stop) -> str:
    report("ready")
    while not stop():
        threading.Event().wait(0.01)
    report("last word", worker)
    raise KeyboardInterrupt


def _raise(job: Exception, worker: int, report: Report, stop: Stop) -> str:
    if worker == 0:
        raise job
    report("went on")
    return "done"


def _die(job: int, worker: int, report: Report, stop: Stop) -> str:
    os.kill(os.getpid(), job)
    return "survived"


@dataclass
class Struck:
    """A job that sends its worker a signal while it is read, which is before the worker begins."""

    number: int

    def __reduce__(self) -> tuple[Callable[[int], Struck], tuple[int]]:
        return _strike, (self.number,)


def _strike(number: int) -> Struck:
    os.kill(os.getpid(), number)
    return Struck(number)


def _end_unless_stopped(job: object, worker: int, report: Report, stop: Stop) -> str:
    if stop():
        raise KeyboardInterrupt
    return "survived"


def _stop_though_asked_twice(job: object, worker: int, report: Report, stop: Stop) -> str:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    report("goes on to a safe point")
    if stop():
        raise KeyboardInterrupt
    return "survived"


def _be_deaf(job: object, worker: int, report: Report, stop: Stop) -> str:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report("ready")
    while True:
        signal.pause()


def _count(job: tuple[object, int], worker: int, report: Report, stop: Stop) -> str:
    counter, upto = job
    while True:
        with counter.get_lock():  # type: ignore[attr-defined]
            value = counter.value  # type: ignore[attr-defined]
            counter.value += 1  # type: ignore[attr-defined]
        if value >= upto:
            return "counted"
        report("got", value)


def _never() -> bool:
    return False


def test_every_worker_has_its_threads_is_heard_with_its_number_and_ends_with_a_reason() -> None:
    heard: list[Event] = []
    reasons = run_processes(_report_threads, "job", workers=2, threads=2, hear=heard.append, stop=_never)
    assert sorted(heard) == [("said", 0, ("job", 2)), ("said", 1, ("job", 2))]
    assert sorted(reasons) == ["reason 0", "reason 1"]


def test_a_stop_reaches_every_worker_and_their_last_words_are_heard() -> None:
    heard: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        run_processes(
            _wait_for_stop,
            "job",
            workers=2,
            threads=1,
            hear=heard.append,
            stop=lambda: sum(event[0] == "ready" for event in heard) == 2,
        )
    assert sorted(event for event in heard if event[0] == "last word") == [
        ("last word", 0, (0,)),
        ("last word", 1, (1,)),
    ]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SpecError("no such unit"), "^no such unit$"),
        pytest.param(OSError("disk full"), "^worker 0: OSError: disk full$", marks=pytest.mark.long),
    ],
)
def test_a_fault_of_one_worker_is_told_once_the_others_are_done(error: Exception, message: str) -> None:
    heard: list[Event] = []
    with pytest.raises(StudyError, match=message):
        run_processes(_raise, error, workers=2, threads=1, hear=heard.append, stop=_never)
    assert heard == [("went on", 1, ())]


def test_a_worker_that_dies_without_a_word_is_told_by_its_exit_code() -> None:
    with pytest.raises(StudyError, match=r"worker 0 died \(exit code -9\).*again, with fewer --workers if memory"):
        run_processes(_die, signal.SIGKILL, workers=1, threads=1, hear=lambda event: None, stop=_never)


@pytest.mark.long
def test_ctrl_c_that_reaches_the_whole_group_leaves_workers_to_the_main_process() -> None:
    heard: list[Event] = []
    assert run_processes(_die, signal.SIGINT, workers=1, threads=1, hear=heard.append, stop=_never) == ["survived"]


@pytest.mark.parametrize(
    ("number", "reasons"),
    [
        (signal.SIGINT, ["survived"]),
        pytest.param(signal.SIGHUP, ["survived"], marks=pytest.mark.long),
        (signal.SIGTERM, []),
    ],
)
def test_a_signal_that_comes_while_a_worker_starts_is_heard_once_it_knows_what_it_means(
    number: int, reasons: list[str]
) -> None:
    found = run_processes(
        _end_unless_stopped, Struck(number), workers=1, threads=1, hear=lambda event: None, stop=_never
    )
    assert found == reasons


def test_sigterm_that_reaches_the_whole_group_and_is_passed_on_too_stops_a_worker_at_a_safe_point() -> None:
    heard: list[Event] = []
    reasons = run_processes(_stop_though_asked_twice, None, workers=1, threads=1, hear=heard.append, stop=_never)
    assert (heard, reasons) == ([("goes on to a safe point", 0, ())], [])


def test_a_second_signal_ends_workers_at_once_whatever_they_are_doing() -> None:
    def insist(event: Event) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with stop_on_signals() as stop, pytest.raises(EndNow):
        run_processes(_be_deaf, None, workers=2, threads=1, hear=insist, stop=stop)
    for process in multiprocessing.active_children():
        process.join()
        assert process.exitcode == -signal.SIGKILL


@pytest.mark.long
def test_an_error_in_the_main_process_ends_the_workers() -> None:
    def refuse(event: Event) -> None:
        raise StudyError("the log cannot be written")

    with pytest.raises(StudyError, match="the log cannot be written"):
        run_processes(_wait_for_stop, "job", workers=2, threads=1, hear=refuse, stop=_never)


@pytest.mark.long
def test_workers_share_what_their_context_made() -> None:
    counter = spawn_context().Value("i", 0)
    heard: list[Event] = []
    run_processes(_count, (counter, 20), workers=2, threads=1, hear=heard.append, stop=_never)
    assert sorted(details[0] for _, _, details in heard) == list(range(20))
