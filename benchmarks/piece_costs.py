"""What the driver of a search spends on a piece of work: CPU, bytes to and from the workers, writes to the store.

The trainings are stubbed: a network's error is made up, and what travels is pickled as executors do. The rates bound
the workers that one driver can keep busy; no cluster is needed.

    python -m benchmarks.piece_costs
"""

from __future__ import annotations

import json
import pickle
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy
import torch

from snsearch import api
from snsearch.study import Observer
from snsearch.training.proxy import ProxyTraining
from snsearch.training.recipe import Recipe, text_of
from tests.studies import made_up_result

RESULT = Path(__file__).parent / "results" / "piece_costs.json"
TRIALS = 100
AT_ONCE = 64
ERRORS = tuple(0.2 + 0.1 / point for point in range(1, 7))


def train(architecture: Any, dataset: Any, recipe: Any, *, seed: int, until: float, **options: Any) -> Any:
    """In train_proxy's place: trains nothing."""
    points = max(1, round(until * len(ERRORS)))
    bend = architecture.stage_channels[-1] / 1e4
    errors = tuple(error - bend for error in ERRORS[:points])
    result = made_up_result(errors, whole=len(ERRORS), seed=seed, score_on=options["score_on"])
    # Which of 10,000 images are right comes back with a result.
    right = np.random.default_rng([seed, architecture.stage_channels[-1]]).random(10_000) > errors[-1]
    return replace(result, correct=text_of(right))


class Pickling(Executor):
    """Does a call at once, and counts the bytes that would travel."""

    def __init__(self) -> None:
        self.calls, self.there, self.back = 0, 0, 0
        self.begun = 0.0  # CPU seconds of this process at the first call
        self.seconds = 0.0  # of the worker's side

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.begun = self.begun or time.process_time()
        call = pickle.dumps((fn, args, kwargs))
        started = time.process_time()
        fn, args, kwargs = pickle.loads(call)  # noqa: S301  # made here
        answer = pickle.dumps(fn(*args, **kwargs))
        self.seconds += time.process_time() - started
        self.calls, self.there, self.back = self.calls + 1, self.there + len(call), self.back + len(answer)
        future: Future[Any] = Future()
        future.set_result(pickle.loads(answer))  # noqa: S301  # made here
        return future


def commits_per_second(folder: Path) -> float:
    """Transactions of one small row each that SQLite writes in a second, in that folder."""
    with closing(sqlite3.connect(folder / "rows.db", isolation_level=None)) as rows:
        rows.execute("CREATE TABLE rows (value TEXT)")
        started = time.perf_counter()
        for _ in range(200):
            rows.execute("INSERT INTO rows VALUES (?)", ("x" * 500,))
        return 200 / (time.perf_counter() - started)


def checkpoint_bytes() -> int:
    """The size of a checkpoint of a network of 40 MFLOPs."""
    (found,) = api.solve(mflops=40, groups=(3,))
    recipe = Recipe(images=64, batch_size=64, test_images=64, averaging=9.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        training = ProxyTraining(
            found.architecture, api.load_data("digits"), recipe, seed=0, device=torch.device("cpu")
        )
        training.advance()
        training.save(path)
        return path.stat().st_size


def main() -> None:
    """Prints and keeps the rates."""
    written = [0]

    def count(connection: Any) -> None:
        written[0] += 1

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", count)
    executor = Pickling()
    with tempfile.TemporaryDirectory() as folder:
        api.search(
            40,
            data="digits",
            trials=TRIALS,
            full_images=600,
            objective="params",
            out=folder,
            workers=AT_ONCE,
            executor=executor,
            observer=Observer(),
            train=train,
        )
        spent = time.process_time() - executor.begun - executor.seconds
        commits = commits_per_second(Path(folder))
    found = {
        "pieces": executor.calls,
        "at_once": AT_ONCE,
        "driver_cpu_ms_per_piece": round(1e3 * spent / executor.calls, 1),
        "bytes_there_per_piece": executor.there // executor.calls,
        "bytes_back_per_piece": executor.back // executor.calls,
        "commits_per_piece": round(written[0] / executor.calls, 1),
        "commits_per_second_of_sqlite": round(commits),
        "checkpoint_megabytes": round(checkpoint_bytes() / 1e6, 1),
    }
    json.dump(found, sys.stdout, indent=2)
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
