"""Ray as an executor, on a cluster of two nodes on loopback: a node that dies costs the work that it was doing."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snsearch.errors import StudyError
from snsearch.study.effort import Effort
from snsearch.study.search.carrying import carried, do_carried
from snsearch.study.search.pieces import Job, Piece, do_piece
from snsearch.study.verdict import verdict_of
from snsearch.training.executor_names import Resources
from snsearch.training.proxy import train_proxy
from snsearch.training.ray_executor import RayExecutor
from snsearch.training.recipe import ProxyResult
from snsearch.training.workers import Work
from tests.studies import RECIPE, Log, Setup, digits

# Found, not imported: Ray reads its environment as it is imported.
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]
LIMIT = 600  # seconds, for a machine that is busy
SHORT = Effort(start=3, trainings=3.0, seeds=1)
NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20}


@dataclass
class Nodes:
    """A cluster whose head trains too."""

    cluster: Any
    second: Any

    def kill_second(self) -> None:
        """Kills it, unless it is dead already."""
        if self.second in self.cluster.worker_nodes:
            self.cluster.remove_node(self.second, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Two nodes with one CPU each, which listen on loopback only; their files are in a folder of their own."""
    # Ray's sockets are in there, whose paths must be short.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        # Elsewhere than on Linux Ray stays on loopback unless this says otherwise; the tests want that here.
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else a token would be left in the home folder
        patch.setenv("RAY_TMPDIR", folder)
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        try:
            patch.setenv("RAY_ADDRESS", cluster.address)
            yield Nodes(cluster, cluster.add_node(**NODE))
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def executor(nodes: Nodes) -> Iterator[RayExecutor]:
    """An executor on the first node, alone: Ray goes on counting a node that was killed until it notices."""
    nodes.kill_second()
    found = RayExecutor(None, Resources())
    for _ in range(20 * LIMIT):
        if found.room == 1:
            break
        threading.Event().wait(0.05)
    yield found
    found.shutdown()


def wait_for(*paths: Path) -> None:
    """Waits until the files are there."""
    for _ in range(20 * LIMIT):
        if all(path.exists() for path in paths):
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{paths} never came")


def node() -> str:
    """The node that a call runs on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def train_when_released(*arguments: Any, checkpoint: Path, **options: Any) -> ProxyResult:
    """train_proxy, which first says where it is, and waits for the word to begin."""
    said = checkpoint.parent / "said"
    said.mkdir(exist_ok=True)
    (said / f"{node()}-{time.monotonic_ns()}").touch()
    wait_for(checkpoint.parent / "begin")
    return train_proxy(*arguments, checkpoint=checkpoint, **options)


def wait_for_ever(mark: str) -> None:
    Path(mark).touch()
    while True:
        threading.Event().wait(0.05)


def refuse() -> None:
    raise StudyError("the disk is full")


def kill_when_both_train(nodes: Nodes, folder: Path) -> Callable[[], None]:
    """Kills the second node as soon as a training is under way on each, and lets the trainings begin."""

    def watch() -> None:
        second = nodes.second.node_id
        for _ in range(20 * LIMIT):
            names = [path.name.partition("-")[0] for path in folder.glob("said/*")]
            if second in names and len(set(names)) == 2:
                break
            threading.Event().wait(0.05)
        nodes.kill_second()
        (folder / "begin").touch()

    return watch


# The first test has both nodes, and the others what is left.


def test_a_search_whose_node_is_killed_comes_to_its_verdict(nodes: Nodes, tmp_path: Path) -> None:
    setup = Setup(tmp_path, recipe=RECIPE, train=train_when_released)
    watcher = threading.Thread(target=kill_when_both_train(nodes, tmp_path / "checkpoints"))
    engine = RayExecutor(None, Resources())
    try:
        assert engine.room == 2
        watcher.start()
        log = Log()
        setup.search(log, executor=engine, workers=2, effort=SHORT)
    finally:
        engine.shutdown()
        watcher.join()
    record = setup.study()
    assert {trial.status for trial in record.trials} <= {"complete", "stopped"}, "the lost training was done again"
    assert verdict_of(record, 0.5) is not None
    said = [path.name for path in (tmp_path / "checkpoints" / "said").iterdir()]
    assert any(name.startswith(nodes.second.node_id) for name in said)
    trainings = len(log.ended_records) + len(log.repeats)
    assert len(said) > trainings, "what the node was doing was begun again"
    # Another executor goes on with the study.
    (tmp_path / "checkpoints" / "begin").unlink()
    again = Setup(tmp_path, recipe=RECIPE)
    again.search(effort=Effort(start=3, trainings=4.0, seeds=1))
    assert len(setup.study().trials) >= len(record.trials)


def test_room_is_what_the_cluster_has_of_the_resources(executor: RayExecutor) -> None:
    assert executor.room == 1
    assert RayExecutor(None, Resources(cpu=0.25)).room == 4
    assert RayExecutor(None, Resources(gpu=1.0)).room == 0


def test_what_is_shared_goes_to_the_store_once_and_arrives_as_it_is(executor: RayExecutor) -> None:
    shared = executor.share({"images": list(range(10))})
    assert [executor.submit(sum_of, shared, factor).result(LIMIT) for factor in (1, 2)] == [45, 90]


def sum_of(value: dict[str, list[int]], factor: int) -> int:
    return factor * sum(value["images"])


def test_a_call_raises_what_it_raised(executor: RayExecutor) -> None:
    with pytest.raises(StudyError, match=r"^the disk is full$"):
        executor.submit(refuse).result(LIMIT)


def test_cancelling_interrupts_a_call_where_it_runs(executor: RayExecutor, tmp_path: Path) -> None:
    running = executor.submit(wait_for_ever, str(tmp_path / "mark"))
    wait_for(tmp_path / "mark")
    waiting = executor.submit(wait_for_ever, str(tmp_path / "other"))
    for future in (waiting, running):
        future.cancel()
    assert len(wait([running, waiting], LIMIT).done) == 2
    assert {type(future.exception()).__name__ for future in (running, waiting)} == {"TaskCancelledError"}
    assert not (tmp_path / "other").exists()


def test_a_stopped_search_leaves_a_study_that_goes_on_elsewhere(
    executor: RayExecutor, tmp_path: Path, nodes: Nodes
) -> None:
    setup = Setup(tmp_path, recipe=RECIPE)
    log = Log()
    with pytest.raises(KeyboardInterrupt):
        setup.search(log, executor=executor, workers=2, effort=SHORT, stop=lambda: bool(log.ended_records))
    setup.search(effort=SHORT)
    assert verdict_of(setup.study(), 0.5) is not None


def test_pieces_carry_checkpoints_and_weights_to_machines_without_the_folder(
    executor: RayExecutor, tmp_path: Path
) -> None:
    here, apart = tmp_path / "here", tmp_path / "apart"
    for folder in (here, apart):
        folder.mkdir()
    job = Job(dataset=digits(), device="cpu", checkpoints=tmp_path / "nowhere", train=train_proxy)
    shared = executor.share(job)
    architecture = Setup(tmp_path).candidates().solutions[Setup(tmp_path).candidates().published[0]].architecture
    half = Piece(name="half", architecture=architecture, recipe=RECIPE, seed=0, until=0.5, score_on="validation")
    whole = Piece(
        name="whole",
        architecture=architecture,
        recipe=RECIPE,
        seed=0,
        until=1.0,
        score_on="validation",
        weights=here / "w.safetensors",
    )
    outcomes: list[ProxyResult] = []
    for piece in (half, whole):
        work = carried(Work(task=piece, done=outcomes.append, lost=lambda reason: None), here)
        work.done(executor.submit(do_carried, shared, work.task, quiet, never).result(LIMIT))
        assert (here / piece.checkpoint).exists()
    assert [outcome.finished for outcome in outcomes] == [False, True]
    assert (here / "w.safetensors").stat().st_size > 0
    beside = do_piece(Job(dataset=digits(), device="cpu", checkpoints=apart, train=train_proxy), half, quiet, never)
    assert isinstance(beside, ProxyResult)
    assert outcomes[0].error == beside.error
    assert len(outcomes[1].curve) == RECIPE.curve_points


def quiet(kind: str, *details: Any) -> None:
    """Hears nothing."""


def never() -> bool:
    return False


def test_a_cluster_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch, nodes: Nodes) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    with pytest.raises(StudyError, match="the Ray cluster cannot be reached"):
        RayExecutor("ray://127.0.0.1:1", Resources())
