"""SLURM as an executor, through submitit: a call is a job, and a preempted one is queued again."""

from __future__ import annotations

import logging
import math
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any, Literal

from snsearch.errors import StudyError
from snsearch.training.executor_names import Resources
from snsearch.units import parse_duration

_TIME = "4h"  # of a job, where the user names none
_BETWEEN_LOOKS = 1.0  # seconds


class SlurmExecutor(Executor):
    """Calls as SLURM jobs that read their arguments from a folder, and write their results there.

    Args:
        folder: on a path that all machines see.
        cluster: "local" lets submitit start the jobs as processes of this machine.
    """

    room = 8  # jobs at once, where the user names no number

    def __init__(self, folder: Path, resources: Resources, *, cluster: Literal["slurm", "local"] = "slurm") -> None:
        # Else the import configures logging, which closes the handlers of everybody.
        os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")
        import submitit

        if cluster == "slurm" and not (shutil.which("sbatch") and shutil.which("srun")):
            raise StudyError(
                "SLURM's sbatch is not on this machine's path: start the search where jobs are submitted"
            )
        logging.getLogger("submitit").setLevel(logging.ERROR)
        self._folder, self._again = folder.absolute(), submitit.helpers.DelayedSubmission
        self._engine = submitit.AutoExecutor(self._folder, cluster=cluster)
        self._engine.update_parameters(**_parameters(resources))
        self._jobs: dict[Future[Any], Any] = {}
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submits a call as a job. Raises StudyError where SLURM refuses it."""
        try:
            job = self._engine.submit(_Call(fn, self._again), *args, **kwargs)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            raise StudyError(f"SLURM refused a job: {_last_line(error)}") from None
        for link in self._folder.glob(".submission_file_*"):  # of submitit, to what sbatch has read by now
            link.unlink(missing_ok=True)
        future: Future[Any] = Future()
        self._jobs[future] = job
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancels the jobs under way where asked to, and stops looking at them."""
        if cancel_futures:
            for future in list(self._jobs):
                future.cancel()
        self._ended.set()
        self._watching.join()

    def _watch(self) -> None:
        """Looks for results now and then; submitit asks SLURM less often still what became of a job without one."""
        while not self._ended.wait(_BETWEEN_LOOKS):
            self._look()
        self._look()

    def _look(self) -> None:
        for future, job in list(self._jobs.items()):
            if future.cancelled():
                job.cancel(check=False)
                future.set_running_or_notify_cancel()
            elif job.done():
                self._take(future, job)
            else:
                continue
            del self._jobs[future]

    def _take(self, future: Future[Any], job: Any) -> None:
        if not future.set_running_or_notify_cancel():
            return
        error = job.exception()
        if error is None:
            future.set_result(job.result())
            for path in self._folder.glob(f"{job.job_id}_*"):
                path.unlink(missing_ok=True)
        else:
            place = f"{self._folder.name}/{job.paths.stderr.name}"
            future.set_exception(
                BrokenExecutor(f"job {job.job_id} ended without a result ({job.state}); see {place}")
            )


class _Call:
    """A call that submitit may begin again: what it has trained by then is in its checkpoint."""

    def __init__(self, fn: Callable[..., Any], again: Callable[..., Any]) -> None:
        self._fn, self._again = fn, again

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._fn(*args, **kwargs)

    def checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """The same call, to be queued again: submitit asks for it where the job is preempted or out of time."""
        return self._again(self, *args, **kwargs)


def _parameters(resources: Resources) -> dict[str, Any]:
    """The resources as submitit names them."""
    others = dict(resources.others)
    found: dict[str, Any] = {
        "name": "snsearch",
        "cpus_per_task": int(resources.cpu),
        "timeout_min": math.ceil(parse_duration(others.pop("time", _TIME)) / 60),
    }
    if resources.gpu:
        found["gpus_per_node"] = int(resources.gpu)
    if resources.memory:
        found["slurm_mem"] = f"{math.ceil(resources.memory / 2**20)}M"
    if others:
        found["slurm_additional_parameters"] = others
    return found


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
