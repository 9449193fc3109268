"""Workers: calls in spawned processes, or in this one, that report and stop at a safe point.

Any executor with the interface of `concurrent.futures` can take the calls, on other machines too; the processes are
those of the standard library. Spawned, not forked: torch's threads do not survive a fork. Small networks use one core
well and two badly, so calls in parallel beat threads in a call.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.multiprocessing

from snsearch.errors import SnsearchError, StudyError
from snsearch.interrupt import SIGNALS, EndNow, held_signals, release_signals
from snsearch.prose import printable
from snsearch.training.parcel import Parcel

Report = Callable[..., None]  # what happened, and with what
Stop = Callable[[], bool]
Event = tuple[str, int, tuple[Any, ...]]  # what happened, which worker, with what
# What the workers hold, what the call is about, how to report, whether to stop (by raising KeyboardInterrupt).
Call = Callable[[Any, Any, Report, Stop], Any]

LOSSES = 3  # of a piece of work whose process dies, or that an executor loses, before it is given up
_PATIENCE = 0.2  # seconds between two looks at what the workers say, and at whether the user asked to stop


def follow_batches(report: Report, stop: Stop) -> Callable[[int, int, float], None]:
    """What a training calls with images seen, images in all and loss: reports them, or raises KeyboardInterrupt."""

    def on_batch(images_seen: int, images_in_all: int, loss: float) -> None:
        if stop():
            raise KeyboardInterrupt
        report("trained", images_seen, images_in_all, loss)

    return on_batch


@dataclass(frozen=True, kw_only=True)
class Work:
    """One call, and what becomes of it.

    Args:
        task: what the call is about.
        done: takes what it returned.
        lost: takes the reason where it was lost several times, as with a process that died.
    """

    task: Any
    done: Callable[[Any], None]
    lost: Callable[[str], None]
    losses: int = 0


class Workers:
    """Up to `count` calls at once; to be used in a `with` block, which ends the processes.

    Args:
        job: what every call needs; it goes to a process once. Tensors in it are shared, not copied.
        count: one runs calls in this process, where no executor is given.
        threads: torch's threads of a process.
        hear: gets what the calls report, in this process.
        stop: whether the user asked to stop; every call is told.
        executor: takes the calls; they cannot report. It gets the job once if it has a method `share`, else the job
            lies in the folder as a file.
        folder: of that file; all machines see it.
    """

    def __init__(
        self,
        job: Any,
        *,
        count: int,
        threads: int,
        hear: Callable[[Event], None],
        stop: Stop,
        executor: Executor | None = None,
        folder: Path = Path(),
    ) -> None:
        self.count = count
        self._job, self._threads, self._hear, self._stop = job, threads, hear, stop
        self._given, self._parcel = executor, Parcel(job, folder)
        self._shared: Any = None  # what stands for the job in calls of the given executor
        self._pool: _Pool | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.end(at_once=isinstance(error, EndNow))
            if error is None or not isinstance(error, EndNow):
                self._pass_on()  # of work that was done before it stopped
            self._pool = None
        self._parcel.discard()

    def run(self, call: Call, works: Iterator[Work | None]) -> None:
        """Does works as they come, `count` at once, until there are none; a None says that results must come first.

        Several workers need not wait for the next work: it is asked for while all of them are busy. A work whose
        process died is done again, with none beside it: the system may have ended it for memory. What an executor
        lost is done again beside the others.
        Raises KeyboardInterrupt where the user asked to stop; what came to its end is handed over.
        """
        flying: dict[Future[Any], Work] = {}
        again: list[Work] = []
        ahead: Work | None = None
        try:
            while True:
                if self._stop():
                    raise KeyboardInterrupt
                while len(flying) < self.count:
                    if again:
                        work = None if flying and self._given is None else again.pop()
                    else:
                        work, ahead = ahead or next(works, None), None
                    if work is None:
                        break
                    flying[self._submit(call, work.task)] = work
                if not flying:
                    return
                if self.count > 1 and ahead is None and len(flying) == self.count:
                    ahead = next(works, None)
                for future in self._wait(flying):
                    work = flying.pop(future)
                    reason = self._loss(future)
                    if reason is None:
                        work.done(_outcome(future))
                    elif work.losses + 1 < LOSSES:
                        again.append(replace(work, losses=work.losses + 1))
                    else:
                        work.lost(reason)
        except KeyboardInterrupt as error:
            if not isinstance(error, EndNow):
                for future in self._stopped(flying):
                    flying[future].done(_outcome(future))
            raise

    def _submit(self, call: Call, task: Any) -> Future[Any]:
        """Begins a call, or does it here. Raises KeyboardInterrupt where it stopped here, and StudyError."""
        if self._given is not None:
            if self._shared is None:
                share = getattr(self._given, "share", None)
                self._shared = share(self._job) if share else self._parcel
            return self._given.submit(_alone, call, self._shared, task, self._threads)
        if self.count == 1:
            done: Future[Any] = Future()
            try:
                done.set_result(
                    call(self._job, task, lambda kind, *details: self._hear((kind, 0, details)), self._stop)
                )
            except Exception as error:
                done.set_exception(error)
            return done
        if self._pool is None:
            self._pool = _Pool(self._job, self.count, self._threads)
        return self._pool.submit(call, task)

    def _wait(self, futures: Iterable[Future[Any]]) -> list[Future[Any]]:
        """Those that are done, at least one; meanwhile what the calls report is heard.

        Raises KeyboardInterrupt where the user asked to stop before one was.
        """
        pending = list(futures)
        while True:
            done, _ = wait(pending, timeout=_PATIENCE, return_when=FIRST_COMPLETED)
            self._pass_on()
            if done:
                return [future for future in pending if future in done]
            if self._stop():
                raise KeyboardInterrupt

    def _stopped(self, futures: Iterable[Future[Any]]) -> list[Future[Any]]:
        """Asks the calls to stop at their next safe points, and waits for that; those that came to their ends."""
        if self._pool is not None:
            self._pool.stop()
        pending = [future for future in futures if not future.cancel()]
        while wait(pending, timeout=_PATIENCE).not_done:
            self._pass_on()
        self._pass_on()
        ended = [future for future in pending if not future.cancelled() and future.exception() is None]
        return [future for future in ended if future.result() is not None]

    def _loss(self, future: Future[Any]) -> str | None:
        """Why a call that is done was lost; None where it was not.

        After a lost process, the next call starts new ones. What goes wrong in a call is a part of its outcome: any
        error of a given executor is its own.
        """
        if self._given is not None:
            error = CancelledError("it was cancelled") if future.cancelled() else future.exception()
            return None if error is None else f"it was lost {LOSSES} times: {_words(error)}"
        if not isinstance(future.exception(), BrokenProcessPool):
            return None
        if self._pool is not None:
            self._pool.end(at_once=True)
            self._pool = None
        return f"its process died {LOSSES} times, from memory perhaps"

    def _pass_on(self) -> None:
        if self._pool is not None:
            for event in self._pool.events():
                self._hear(event)


class _Pool:
    """The standard library's processes, which hold a job, report through a queue, and end with this process."""

    def __init__(self, job: Any, count: int, threads: int) -> None:
        context = torch.multiprocessing.get_context("spawn")
        with held_signals():  # from multiprocessing's own process, which then lets some through here
            self._events, self._asked = context.SimpleQueue(), context.Event()
            lifeline, self._lifeline = context.Pipe(duplex=False)
            numbers = context.SimpleQueue()
            for number in range(count):
                numbers.put(number)
        self._lifeline_end = lifeline
        self._executor = ProcessPoolExecutor(
            count, context, _begin, (job, threads, self._events, self._asked, lifeline, numbers)
        )

    def submit(self, call: Call, task: Any) -> Future[Any]:
        try:
            with held_signals(), _main_module_left_out():  # a process that starts does not know yet what they mean
                return self._executor.submit(_do, call, task)
        except BrokenProcessPool as error:
            lost: Future[Any] = Future()
            lost.set_exception(error)
            return lost
        except (OSError, RuntimeError) as error:
            raise StudyError(
                f"the data could not be shared with a worker ({error}); --workers 1 trains in this process"
            ) from None

    def events(self) -> Iterator[Event]:
        """What the calls reported since."""
        while not self._events.empty():
            yield self._events.get()

    def stop(self) -> None:
        """Asks every call to stop at its next safe point."""
        self._asked.set()

    def end(self, *, at_once: bool) -> None:
        """Ends the processes: at a safe point of theirs, or at once."""
        self._asked.set()
        if at_once:
            self._lifeline.close()  # which ends every process that waits for it
        self._executor.shutdown(wait=True, cancel_futures=True)
        with suppress(OSError):
            self._lifeline.close()
        self._lifeline_end.close()


_here: dict[str, Any] = {}  # of a worker's process


def _begin(job: Any, threads: int, events: Any, asked: Any, lifeline: Connection, numbers: Any) -> None:
    """A worker's process begins."""
    # Ctrl-C and a closed terminal reach the whole process group; the main process passes them on.
    for number in {*SIGNALS} - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    release_signals()
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    _here.update(job=job, events=events, asked=asked, number=numbers.get())


def _end_with(lifeline: Connection) -> None:
    """Ends this process once the main process is gone, or closed the line."""
    with suppress(OSError, EOFError):
        lifeline.poll(None)
    os._exit(1)


def _do(call: Call, task: Any) -> Any:
    """One call in a worker's process."""
    number, events = _here["number"], _here["events"]
    try:
        return call(
            _here["job"], task, lambda kind, *details: events.put((kind, number, details)), _here["asked"].is_set
        )
    except KeyboardInterrupt:  # which would end the process
        return None


def _alone(call: Call, job: Any, task: Any, threads: int) -> Any:
    """One call in a given executor; an error that ends the search is returned: some executors lose its kind."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    value = job.value if isinstance(job, Parcel) else job
    try:
        return call(value, task, lambda kind, *details: None, lambda: False)
    except SnsearchError as error:
        return error


def _outcome(future: Future[Any]) -> Any:
    """What a call returned. Raises the error that ends the search."""
    outcome = future.result()
    if isinstance(outcome, SnsearchError):
        raise outcome
    return outcome


def _words(error: BaseException) -> str:
    """The first sentence of an executor's error; what follows may name machines."""
    line = str(error).strip().partition("\n")[0].partition(". ")[0]
    return printable(f"{type(error).__name__}: {line}"[:200].removesuffix(": "))


@contextmanager
def _main_module_left_out() -> Iterator[None]:
    """Lets a spawned process not run the user's script again: a job needs none of it, and few scripts guard it."""
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    main.__spec__, main.__file__ = None, None
    try:
        yield
    finally:
        main.__spec__ = spec
        if file is None:
            del main.__file__
        else:
            main.__file__ = file
