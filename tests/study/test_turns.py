"""Turns exclude each other, and with them several workers never train a candidate too many, as they may interleave.

Interleavings are made, not waited for: two real searches run on one study in two threads of which one runs at a
time, and at every access to the storage a seeded draw says who goes on.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import optuna
import pytest
import torch
from optuna.storages import InMemoryStorage

from snsearch.errors import StudyError
from snsearch.network.arch import Architecture
from snsearch.solver.candidates import Candidates, candidates_of
from snsearch.solver.spec import load_space
from snsearch.study.loop import Search
from snsearch.study.objective import OBJECTIVES
from snsearch.study.presence import Worker
from snsearch.study.records import explored
from snsearch.study.storage import Study, sampler_of
from snsearch.study.turns import Turn, turn_on_file, turn_on_server
from snsearch.training.sources import load_data
from tests.studies import Log, Setup, pretended_training, small_budget

SCHEDULES = range(150)


class Baton:
    """Lets one of several threads run at a time; at a step a draw says which goes on."""

    def __init__(self, seed: int, threads: int) -> None:
        self._draw = random.Random(seed)
        self._moved = threading.Condition()
        self._running = set(range(threads))
        self._holder = 0
        self._own = threading.local()

    def run(self, works: list[Callable[[], object]]) -> None:
        """Runs all works to their ends, each in a thread; raises what one of them raised."""
        errors: list[BaseException] = []

        def body(own: int, work: Callable[[], object]) -> None:
            self._own.number = own
            with self._moved:
                self._moved.wait_for(lambda: self._holder == own)
            try:
                work()
            except BaseException as error:
                errors.append(error)
            with self._moved:
                self._running.discard(own)
                self._pass_on()

        threads = [threading.Thread(target=body, args=item) for item in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def step(self) -> None:
        """Lets others run, maybe; of a thread that is none of the baton's, nothing."""
        own = getattr(self._own, "number", None)
        if own is None:
            return
        with self._moved:
            self._pass_on()
            self._moved.wait_for(lambda: self._holder == own)

    def _pass_on(self) -> None:
        if self._running:
            self._holder = self._draw.choice(sorted(self._running))
        self._moved.notify_all()

    def turn(self) -> Callable[[], AbstractContextManager[None]]:
        """A lock that waits by stepping."""
        state = SimpleNamespace(taken=False)

        @contextmanager
        def lock() -> Iterator[None]:
            while state.taken:
                self.step()
            state.taken = True
            try:
                yield
            finally:
                state.taken = False

        return lock


class SteppedStorage(InMemoryStorage):
    """A storage whose single accesses are atomic, as a server's are, and that passes the baton before each."""

    def __init__(self, baton: Baton) -> None:
        super().__init__()
        self._baton = baton

    def get_all_trials(self, *arguments: Any, **options: Any) -> Any:
        self._baton.step()
        return super().get_all_trials(*arguments, **options)

    def create_new_trial(self, *arguments: Any, **options: Any) -> int:
        self._baton.step()
        return super().create_new_trial(*arguments, **options)

    def set_trial_state_values(self, *arguments: Any, **options: Any) -> bool:
        self._baton.step()
        return super().set_trial_state_values(*arguments, **options)

    def set_study_user_attr(self, *arguments: Any, **options: Any) -> None:
        self._baton.step()
        super().set_study_user_attr(*arguments, **options)

    def get_study_user_attrs(self, *arguments: Any, **options: Any) -> Any:
        self._baton.step()
        return super().get_study_user_attrs(*arguments, **options)


class Workers:
    """Searches on one study, to be interleaved as a seed says."""

    def __init__(
        self, setup: Setup, seed: int, lock: Callable[[], AbstractContextManager[Any]] | None = None, count: int = 2
    ) -> None:
        self.baton = Baton(seed, count)
        self.log = Log()
        storage = SteppedStorage(self.baton)
        lock = lock or self.baton.turn()
        self.searches = [self._search(setup, storage, lock, worker) for worker in range(count)]
        self.searches[0].prepare()

    def _search(self, setup: Setup, storage: SteppedStorage, lock: Any, worker: int) -> Search:
        settings = setup.settings()
        study = optuna.create_study(
            study_name="digits",
            storage=storage,
            directions=["minimize", "minimize"],
            load_if_exists=True,
            sampler=sampler_of(settings.sampler, worker, several=True),
        )
        return Search(
            study=Study(study, settings, storage, Turn(lock)),
            candidates=_candidates(),
            dataset=setup.dataset,
            device=torch.device("cpu"),
            checkpoints=setup.folder / "checkpoints",
            report=self.log.report,
            train=setup.train,
        )

    def run(self, trials: int) -> list[str]:
        """All searches to their ends; the networks that were trained, in order."""
        self.baton.run([partial(one.run, trials) for one in self.searches])
        return self.log.begun_keys

    def repeat(self, tasks: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """All searches through the same tasks; the trainings that were done, in order."""
        self.baton.run([partial(one.repeat, tasks) for one in self.searches])
        return self.log.repeats


@cache
def _candidates() -> Candidates:
    """Those of every search here, solved once."""
    budget = small_budget(load_data("digits"))
    return candidates_of(
        load_space("shufflenet-v1"), budget, tight=True, search_shuffle=False, cost=OBJECTIVES["counted"].of
    )


def _errors(arch: Architecture) -> tuple[float, ...]:
    return (0.9 - arch.stage_channels[-1] / 1e4,)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path, sampler="random", train=pretended_training(_errors))


def test_two_workers_train_as_many_as_asked_in_every_interleaving(setup: Setup) -> None:
    for seed in SCHEDULES:
        workers = Workers(setup, seed)
        keys = workers.run(trials=6)
        assert len(keys) == len(set(keys)) == 6, f"schedule {seed}"
        records = workers.searches[0].study.records()
        assert len(explored(records)) == 6
        assert {r.status for r in records} <= {"complete", "left out"}


def test_interleavings_without_turns_train_too_many(setup: Setup) -> None:
    # Says that the schedules reach the race that the turns are for.
    trained = [len(Workers(setup, seed, nullcontext).run(trials=6)) for seed in SCHEDULES]
    assert max(trained) > 6


def test_an_interrupted_trial_of_a_low_number_is_counted_by_both_workers(
    setup: Setup,
) -> None:
    train = pretended_training(_errors)
    for seed in SCHEDULES:
        calls = iter(range(100))

        def interrupted_once(*arguments: Any, calls: Iterator[int] = calls, **options: Any) -> Any:
            if next(calls) == 1:
                raise KeyboardInterrupt
            return train(*arguments, **options)

        setup.train = interrupted_once
        workers = Workers(setup, seed)
        with pytest.raises(KeyboardInterrupt):
            workers.searches[0].run(trials=4)
        workers.log.begun_keys.clear()
        keys = workers.run(trials=6)
        assert len(keys) == len(set(keys)) == 5, f"schedule {seed}"
        assert len(explored(workers.searches[0].study.records())) == 6


def test_two_workers_repeat_a_finalist_once_in_every_interleaving(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "may_be_alive", lambda worker: True)
    for seed in SCHEDULES:
        workers = Workers(setup, seed)
        workers.searches[0].run(trials=3)
        tasks = workers.searches[0].finalists(2, seeds=3)
        assert sorted(workers.repeat(tasks)) == sorted(tasks), f"schedule {seed}"


def test_a_turn_may_be_entered_again_and_ends_with_the_outermost(tmp_path: Path) -> None:
    turn = turn_on_file(tmp_path / "study.db")
    other = filelock.FileLock(f"{tmp_path / 'study.db'}.lock", timeout=0)
    with turn, turn:
        with turn:
            pass
        with pytest.raises(filelock.Timeout):
            other.acquire()
    with other:
        pass


def test_an_error_ends_the_turn(tmp_path: Path) -> None:
    with pytest.raises(KeyError), turn_on_file(tmp_path / "study.db"):
        raise KeyError
    with filelock.FileLock(f"{tmp_path / 'study.db'}.lock", timeout=0):
        pass


WAITING = {
    "postgresql": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE state = 'User lock'",
}


def test_a_turn_on_a_server_excludes_other_connections_of_the_same_study_only(
    database_server: str, setup: Setup
) -> None:
    first, second = (Study.open(database_server, "digits", setup.settings()) for _ in range(2))
    other = Study.open(database_server, "others", setup.settings())
    order: list[str] = []

    def enter_second() -> None:
        with second.turn:
            order.append("second")

    waiting = WAITING[first._storage.engine.dialect.name]
    with first.turn:
        with other.turn:
            order.append("other")
        thread = threading.Thread(target=enter_second)
        thread.start()
        with first._storage.engine.connect() as connection:
            while connection.exec_driver_sql(waiting).scalar() == 0:
                pass
        order.append("first")
    thread.join()
    assert order == ["other", "first", "second"]
    for study in (first, second, other):
        study.close()


def test_mysql_is_asked_for_its_lock_by_name_and_gives_it_back() -> None:
    asked: list[str] = []

    def answer(sql: str) -> Any:
        asked.append(sql)
        return SimpleNamespace(scalar=lambda: 1)

    @contextmanager
    def connect() -> Iterator[Any]:
        yield SimpleNamespace(exec_driver_sql=answer)

    engine = SimpleNamespace(dialect=SimpleNamespace(name="mysql"), connect=connect)
    with turn_on_server(engine, "a study"):
        assert [sql.partition("(")[0] for sql in asked] == ["SELECT GET_LOCK"]
    assert asked[1].startswith("SELECT RELEASE_LOCK('snsearch:")


def test_a_database_without_a_lock_by_name_is_refused() -> None:
    with pytest.raises(StudyError, match="cannot be kept in oracle"):
        turn_on_server(SimpleNamespace(dialect=SimpleNamespace(name="oracle")), "a study")
