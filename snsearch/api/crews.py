"""Who trains a search's candidates: processes of this machine, an engine, or the caller's executor."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snsearch.errors import StudyError
from snsearch.study import Observer
from snsearch.training import Elsewhere, RayExecutor, SlurmExecutor, machine_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """Who trains, on what, and how many at once."""

    executor: Executor | None
    device: str
    workers: int
    threads: int  # of each


@contextmanager
def crew_of(
    where: Elsewhere | Executor | None,
    folder: Path,
    observer: Observer,
    *,
    device: str,
    workers: int | None,
    threads: int | None,
    tasks: int,
) -> Iterator[Crew]:
    """The crew for this number of candidates; an engine is left behind the block, which ends what it still does.

    Ray to which the caller was connected before is not left, and what it still does goes on.

    Args:
        where: None: this machine.
        folder: of the study, which the engine's machines see.
        device: "auto" is a GPU where an engine is asked for one, and else the best of whichever machine trains.

    Raises:
        StudyError: the engine cannot be reached, or has no room for a training; the device is missing here.
    """
    if where is None or isinstance(where, Executor):
        machine = machine_of("cpu" if where else device, workers, threads, tasks=tasks)
        on = device if where else str(machine.device)
        yield Crew(executor=where, device=on, workers=machine.workers, threads=machine.threads)
        return
    asked = where.resources
    engine = RayExecutor(where.address, asked) if where.engine == "ray" else SlurmExecutor(folder / "slurm", asked)
    try:
        at_once = workers or min(engine.room, tasks)
        if at_once < 1:
            raise StudyError(
                f"the {where.engine} cluster has no room for a training with these resources: ask for less, or give "
                "workers if it grows"
            )
        observer.said(f"trainings run on {where.engine}, up to {at_once} at once")
        yield Crew(
            executor=engine,
            device=("cuda" if asked.gpu else "cpu") if device == "auto" else device,
            workers=at_once,
            threads=threads or asked.threads,
        )
    finally:
        engine.shutdown(cancel_futures=True)
