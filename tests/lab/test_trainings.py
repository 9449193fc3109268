"""Lists of trainings: the log holds whole trainings only, and a stopped list goes on without doing one twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import filelock
import pytest
import torch

from snsearch.errors import StudyError
from snsearch.lab import logs
from snsearch.lab.logs import TrainingLog, read_log
from snsearch.lab.trainings import Train, Training, run_trainings
from snsearch.network.arch import Architecture
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from snsearch.study.observer import Observer
from snsearch.training.data import Dataset
from snsearch.training.machine import Machine
from snsearch.training.proxy import TrainingDiverged, train_proxy
from snsearch.training.recipe import ProxyResult, Recipe
from snsearch.training.sources import load_data
from tests.studies import RECIPE, small_budget

CPU = torch.device("cpu")
QUICK = replace(RECIPE, images=64, batch_size=8, test_images=32)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data("digits")


@pytest.fixture(scope="module")
def small(digits: Dataset) -> Architecture:
    return solve(load_space("resnet"), small_budget(digits), Design(groups=1)).architecture


@dataclass
class Heard(Observer):
    """An observer that keeps what it hears, and may ask to stop after a number of ends or batches."""

    begun_tasks: list[str] = field(default_factory=list)
    ended_tasks: list[tuple[str, ProxyResult]] = field(default_factory=list)
    batches: int = 0
    stop_after_ends: int = 1000
    stop_after_batches: int = 1000

    def begun(self, name: str, architecture: Architecture, worker: int) -> None:
        self.begun_tasks.append(name)

    def trained(self, images_seen: int, images_in_all: int, loss: float, worker: int) -> None:
        self.batches += 1

    def scored(self, name: str, result: ProxyResult, worker: int) -> None:
        self.ended_tasks.append((name, result))

    def stop(self) -> bool:
        return len(self.ended_tasks) >= self.stop_after_ends or self.batches >= self.stop_after_batches


def task(small: Architecture, seed: int = 0, label: str = "a, b", recipe: Recipe = QUICK) -> Training:
    """A training whose label needs quoting in a CSV file."""
    return Training(label=label, architecture=small, recipe_name="quick", recipe=recipe, seed=seed)


Run = Callable[..., Heard]


@pytest.fixture
def go(digits: Dataset, tmp_path: Path) -> Run:
    """Runs trainings in the test's folder."""

    def call(
        tasks: list[Training], heard: Heard | None = None, workers: int = 1, train: Train = train_proxy
    ) -> Heard:
        heard = heard or Heard()
        run_trainings(
            tasks,
            digits,
            TrainingLog(tmp_path / "log.csv"),
            machine=Machine(device=CPU, workers=workers, threads=1),
            checkpoints=tmp_path / "checkpoints",
            observer=heard,
            stop=heard.stop,
            train=train,
        )
        return heard

    return call


@pytest.fixture(scope="module")
def result(digits: Dataset, small: Architecture) -> ProxyResult:
    return train_proxy(small, digits, QUICK, seed=0, device=CPU)


def test_a_log_gives_back_what_was_kept(tmp_path: Path, small: Architecture, result: ProxyResult) -> None:
    log = TrainingLog(tmp_path / "in" / "log.csv")
    assert log.read() == {}
    with log:
        assert log.read() == {}
        log.append(task(small).identity, result)
        log.append(task(small, seed=1, label='"quoted"\u00e4').identity, result)
    curves = log.read()
    assert list(curves) == [("a, b", "quick", 0), ('"quoted"\u00e4', "quick", 1)]
    points = curves["a, b", "quick", 0]
    assert [point.images_seen for point in points] == [point.images_seen for point in result.curve] == [32, 64]
    last = points[-1]
    assert (last.test_images, last.threads, last.device, last.torch) == (
        32,
        result.threads,
        "cpu",
        result.torch_version,
    )
    assert last.test_error == pytest.approx(result.error, rel=1e-5)
    assert last.train_loss == pytest.approx(result.curve[-1].train_loss, rel=1e-5)


def test_a_training_that_cannot_be_kept_leaves_the_log_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Architecture, result: ProxyResult
) -> None:
    with TrainingLog(tmp_path / "log.csv") as log:
        log.append(task(small).identity, result)
        text = log.path.read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr(logs.os, "fsync", _full)
            with pytest.raises(StudyError, match="cannot be written: No space left"):
                log.append(task(small, seed=1).identity, result)
        assert log.path.read_bytes() == text
        log.append(task(small, seed=1).identity, result)
    assert log.path.read_bytes().startswith(text)
    assert len(log.read()) == 2
    assert {path.name for path in tmp_path.iterdir()} <= {"log.csv", "log.csv.lock"}


def _full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def test_another_kind_of_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for text in ("name,age\nAda,36\nno end", "just text", "candidate,recipe\n"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StudyError, match="is no log of trainings: expected the columns candidate, recipe, seed"):
            read_log(path)
        with pytest.raises(StudyError, match="is no log of trainings"), TrainingLog(path) as log:
            log.read()
        assert path.read_text(encoding="utf-8") == text


def test_a_row_that_cannot_be_read_is_named_by_its_line(
    tmp_path: Path, small: Architecture, result: ProxyResult
) -> None:
    path = tmp_path / "log.csv"
    with TrainingLog(path) as log:
        log.append(task(small).identity, result)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(",64,32,", ",many,32,"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"line 3: .*'many'"):
        read_log(path)
    path.write_text(text.replace(",64,32,", ",64,"), encoding="utf-8")
    with pytest.raises(StudyError, match="line 3"):
        read_log(path)


def test_a_log_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(StudyError, match="cannot be read: Is a directory"):
        read_log(tmp_path / "folder.csv")


def test_a_log_that_another_process_holds_is_refused(tmp_path: Path, small: Architecture, go: Run) -> None:
    with filelock.FileLock(tmp_path / "log.csv.lock"), pytest.raises(StudyError, match="another process is at work"):
        go([task(small)])
    assert len(go([task(small)]).ended_tasks) == 1


def test_trainings_are_done_in_order_kept_and_not_done_again(small: Architecture, go: Run, tmp_path: Path) -> None:
    tasks = [task(small, seed) for seed in range(3)]
    first = go(tasks[:2])
    assert [done for done, _ in first.ended_tasks] == [one.name for one in tasks[:2]]
    assert first.batches == 2, "a training tells of every eighth batch"
    curves = read_log(tmp_path / "log.csv")
    assert curves["a, b", "quick", 1][-1].test_error == pytest.approx(first.ended_tasks[1][1].error, rel=1e-5)
    text = (tmp_path / "log.csv").read_bytes()
    again = go(tasks)
    assert again.begun_tasks == [tasks[2].name]
    assert (tmp_path / "log.csv").read_bytes().startswith(text)
    assert go(tasks).begun_tasks == []


def test_other_labels_recipes_and_seeds_are_other_trainings(small: Architecture, go: Run, tmp_path: Path) -> None:
    tasks = [task(small), task(small, seed=1), task(small, label="c"), replace(task(small), recipe_name="other")]
    assert len(go(tasks).ended_tasks) == 4
    assert len(read_log(tmp_path / "log.csv")) == 4


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_stop_keeps_what_is_finished_and_the_rest_is_done_later(
    small: Architecture, go: Run, tmp_path: Path, workers: int
) -> None:
    tasks = [task(small, seed) for seed in range(6)]
    heard = Heard(stop_after_ends=2)
    with pytest.raises(KeyboardInterrupt):
        go(tasks, heard, workers)
    kept = read_log(tmp_path / "log.csv")
    assert {done for done, _ in heard.ended_tasks} == {one.name for one in tasks if one.identity in kept}
    assert 2 <= len(kept) < 6
    rest = go(tasks, workers=workers)
    assert set(rest.begun_tasks) == {one.name for one in tasks if one.identity not in kept}
    assert len(read_log(tmp_path / "log.csv")) == 6


def test_a_stopped_training_goes_on_from_its_last_epoch(
    digits: Dataset, small: Architecture, go: Run, tmp_path: Path
) -> None:
    recipe = replace(QUICK, epochs=3)
    heard = Heard(stop_after_batches=2)
    with pytest.raises(KeyboardInterrupt):
        go([task(small, recipe=recipe)], heard)
    assert read_log(tmp_path / "log.csv") == {}
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    rest = go([task(small, recipe=recipe)])
    assert rest.batches == 1, "one epoch was left"
    assert not (tmp_path / "checkpoints").exists()
    [(_, resumed)] = rest.ended_tasks
    whole = train_proxy(small, digits, recipe, seed=0, device=CPU)
    assert (resumed.error, resumed.loss) == (whole.error, whole.loss)


@pytest.mark.long
def test_two_workers_do_every_training_once_and_as_one_worker_does(
    small: Architecture, go: Run, tmp_path: Path
) -> None:
    tasks = [task(small, seed) for seed in range(5)]
    heard = go(tasks, workers=2)
    assert sorted(done for done, _ in heard.ended_tasks) == [one.name for one in tasks]
    assert sorted(heard.begun_tasks) == [one.name for one in tasks]
    together = read_log(tmp_path / "log.csv")
    (tmp_path / "log.csv").unlink()
    go(tasks[:1])
    [alone] = read_log(tmp_path / "log.csv").values()
    assert [point.test_error for point in together[tasks[0].identity]] == [point.test_error for point in alone]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_training_that_diverges_is_named_once_the_others_are_done(
    small: Architecture, go: Run, tmp_path: Path, workers: int
) -> None:
    # A bottleneck that is all but zero-started still overflows at once with such a rate and no zero start.
    wild = replace(QUICK, learning_rate=9.9, weight_decay=1e12, zero_start=False)
    tasks = [task(small, label="wild", recipe=wild), task(small), task(small, seed=1)]
    with pytest.raises(StudyError, match=r"a training diverged: wild, quick, seed 0: the t\w+ loss became (nan|inf)"):
        go(tasks, workers=workers)
    assert sorted(read_log(tmp_path / "log.csv")) == [("a, b", "quick", 0), ("a, b", "quick", 1)]


def test_several_that_diverge_are_counted(small: Architecture, go: Run) -> None:
    def diverges(*arguments: object, **options: object) -> ProxyResult:
        raise TrainingDiverged("the training loss became nan")

    with pytest.raises(StudyError, match=r"seed 0: the training loss became nan \(and 2 more\)"):
        go([task(small, seed) for seed in range(3)], train=diverges)


def test_memory_that_runs_out_is_no_fault_of_the_program(small: Architecture, go: Run) -> None:
    def short_of_memory(*arguments: object, **options: object) -> ProxyResult:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 12.00 GiB")

    with pytest.raises(StudyError, match="seed 0: out of memory; the same command takes its work up again"):
        go([task(small)], train=short_of_memory)


def test_the_log_is_free_again_after_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Architecture, go: Run
) -> None:
    log = TrainingLog(tmp_path / "log.csv")
    with monkeypatch.context() as patched:
        patched.setattr(logs.os, "fsync", _full)
        with pytest.raises(StudyError, match="cannot be written: No space left"), log:
            pytest.fail("entered")
    with filelock.FileLock(tmp_path / "log.csv.lock", timeout=0):
        assert log.read() == {}
    assert len(go([task(small)]).ended_tasks) == 1
