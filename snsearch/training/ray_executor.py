"""Ray as an executor: a call is a task, and what all calls need lies in the object store once."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from snsearch.errors import StudyError
from snsearch.training.executor_names import Resources


class RayExecutor(Executor):
    """Calls as tasks of the Ray cluster that this machine is in, of the one at an address, or of this machine alone.

    Ray tries nothing again: who submitted a call does, from its last checkpoint. Raises StudyError where the cluster
    cannot be reached.
    """

    def __init__(self, address: str | None, resources: Resources) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        self._ray: Any = ray
        self._resources = resources
        self._others = {name: float(value) for name, value in resources.others}
        self._owned = not ray.is_initialized()
        if self._owned:
            try:
                _join(ray, address)
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                words = " ".join(str(error).split())[:300] or type(error).__name__
                hint = "" if address is None else "; if it asks for a token: RAY_AUTH_MODE=token (docs/cluster.md)"
                raise StudyError(f"the Ray cluster cannot be reached: {words}{hint}") from None
        self._task = ray.remote(_called).options(
            num_cpus=resources.cpu,
            num_gpus=resources.gpu,
            memory=resources.memory,
            resources=self._others,
            max_retries=0,
            name="snsearch",
        )

    @property
    def room(self) -> int:
        """How many calls the cluster has room for at once, with what is in it now."""
        there = self._ray.cluster_resources()
        asked = {"CPU": self._resources.cpu, "GPU": self._resources.gpu, "memory": self._resources.memory or 0}
        return int(min(there.get(name, 0) / amount for name, amount in {**asked, **self._others}.items() if amount))

    def share(self, value: Any) -> Any:
        """What stands for a value in the arguments of calls: its place in the object store."""
        return self._ray.put(value)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begins a call; its future raises what it raised, or Ray's error where it was lost."""
        return _TaskFuture(self._ray, self._task.remote(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leaves the cluster if this joined it, which ends what is under way; else leaves the caller's connection."""
        if self._owned:
            self._ray.shutdown()


class _TaskFuture(Future[Any]):
    """The result of a task. Cancelling interrupts the task, and the future then ends with Ray's error."""

    def __init__(self, ray: Any, reference: Any) -> None:
        super().__init__()
        self._interrupt: Callable[[], Any] = lambda: ray.cancel(reference)
        reference.future().add_done_callback(self._take)

    def cancel(self) -> bool:
        self._interrupt()
        return False  # not yet

    def _take(self, done: Future[Any]) -> None:
        if error := done.exception():
            self.set_exception(getattr(error, "cause", None) or error)
        else:
            self.set_result(done.result())


def _called(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return fn(*args, **kwargs)


def _join(ray: Any, address: str | None) -> None:
    """Joins a cluster; where there is none, one of this machine begins, on loopback, and ends with this process."""
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        try:
            ray.init("auto", **quiet)
            return
        except ConnectionError:
            if os.environ.get("RAY_ADDRESS"):
                raise
        ray.init("local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)
    else:
        with warnings.catch_warnings(action="ignore"):  # the error says the same
            ray.init(address, **quiet)
