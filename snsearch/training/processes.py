"""Worker processes: one function in several spawned processes that report to this one and stop on request.

Spawned, not forked: torch's threads do not survive a fork. Tensors that a job holds are shared, not copied.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

import torch
import torch.multiprocessing

from snsearch.errors import SnsearchError, StudyError
from snsearch.interrupt import SIGNALS, EndNow, held_signals, release_signals

Report = Callable[..., None]  # what happened, and with what
Stop = Callable[[], bool]
# A job, the worker's number, how to report, whether to stop (by raising KeyboardInterrupt); returns why it ended.
Target = Callable[[Any, int, Report, Stop], str]
Event = tuple[str, int, tuple[Any, ...]]  # what happened, which worker, with what


def spawn_context() -> Any:
    """The multiprocessing context of the workers; make what they share by it."""
    return torch.multiprocessing.get_context("spawn")


def _live(target: Target, job: Any, worker: int, threads: int, events: Any) -> None:
    """A worker's whole life. Ends with an event that says why."""
    # Ctrl-C and a closed terminal reach the whole process group; the main process passes them on, once, as SIGTERM.
    for number in {*SIGNALS} - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(threads)
    main = multiprocessing.parent_process()
    assert main is not None
    signalled = False

    def ask(number: int, frame: FrameType | None) -> None:
        # One to the whole group comes twice, and the main process kills where the user insists.
        nonlocal signalled
        signalled = True

    signal.signal(signal.SIGTERM, ask)
    try:
        release_signals()
        reason = target(
            job,
            worker,
            lambda kind, *details: events.put((kind, worker, details)),
            # Without the main process nobody is left to report to, or to stop this worker.
            lambda: signalled or not main.is_alive(),
        )
    except KeyboardInterrupt:
        events.put(("stopped", worker, ()))
    except SnsearchError as error:
        events.put(("gave up", worker, (str(error),)))
    except Exception as error:  # a full disk, say; told in the main process, where it can be read
        events.put(("gave up", worker, (f"worker {worker}: {type(error).__name__}: {error}",)))
    else:
        events.put(("finished", worker, (reason,)))


def run_processes(
    target: Target, job: Any, *, workers: int, threads: int, hear: Callable[[Event], None], stop: Stop
) -> list[str]:
    """Runs a function in that many workers to their end and returns why they ended; `hear` gets every event here.

    Raises:
        KeyboardInterrupt: `stop` said so; every worker has ended at a safe point.
        EndNow: a second signal came; the workers were killed.
        StudyError: a worker gave up, or died without a word.
    """
    context = spawn_context()
    processes: list[SpawnProcess] = []
    reasons: list[str] = []
    faults: list[str] = []
    with _ended(processes):
        with held_signals():  # from multiprocessing's own process, which then lets some through here
            events = context.Queue()
        for worker in range(workers):
            process = context.Process(target=_live, args=(target, job, worker, threads, events), daemon=True)
            with held_signals():  # from a worker that does not know yet what they mean
                _start(process)
                processes.append(process)
        interrupted = not _listen(processes, events, hear, stop, reasons, faults)
        if interrupted:
            for process in processes:
                process.terminate()  # SIGTERM, which asks a worker to stop
            # Events of work that a worker finished before it stopped still count.
            _listen(processes, events, hear, lambda: False, reasons, [])
            raise KeyboardInterrupt
    if faults:
        raise StudyError(faults[0])
    return reasons


@contextmanager
def _ended(processes: list[SpawnProcess]) -> Iterator[None]:
    """Ends the processes: at a safe point of theirs, or at once where the user insists."""
    try:
        try:
            yield
        finally:
            if not isinstance(sys.exception(), EndNow):
                for process in processes:
                    process.terminate()
                for process in processes:
                    process.join()
    except EndNow:
        for process in processes:
            process.kill()
        raise


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


def _start(process: SpawnProcess) -> None:
    try:
        with _main_module_left_out():
            process.start()
    except (OSError, RuntimeError) as error:
        raise StudyError(
            f"the data could not be shared with a worker ({error}); --workers 1 trains in this process"
        ) from None


def _listen(
    processes: list[SpawnProcess],
    events: Any,
    hear: Callable[[Event], None],
    stop: Stop,
    reasons: list[str],
    faults: list[str],
) -> bool:
    """Passes the workers' events to `hear` until every worker has ended; False where `stop` came first."""
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
                    code = processes[worker].exitcode
                    # What kills so is mostly the system, for memory.
                    remedy = ", with fewer --workers if memory ran out" if code == -signal.SIGKILL else ""
                    faults.append(
                        f"worker {worker} died (exit code {code}); the same command takes its work up again{remedy}"
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
