"""SLURM as an executor: results come back, lost jobs are told, preempted ones go on, cancelled ones end."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, wait
from pathlib import Path

import pytest

from snsearch.errors import StudyError
from snsearch.training.executor_names import Resources, parse_resources
from snsearch.training.slurm_executor import SlurmExecutor
from tests.slurm import StandIn, stand_in

pytest.importorskip("submitit")
pytestmark = pytest.mark.long
LIMIT = 600  # seconds, for a machine that is busy


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A stand-in for SLURM, whose jobs end with the test."""
    found = stand_in(tmp_path / "slurm", monkeypatch)
    yield found
    found.end()


def until(path: Path) -> str:
    """The text of a file, once it is there."""
    for _ in range(10 * LIMIT):
        if path.exists() and (text := path.read_text(encoding="utf-8")):
            return text
        threading.Event().wait(0.1)
    raise AssertionError(f"{path} never came")


def wait_the_first_time(mark: str) -> str:
    """Waits for ever, but not where it is called again."""
    path = Path(mark)
    if path.exists():
        return "went on"
    path.write_text(str(os.getpid()), encoding="utf-8")
    while True:
        threading.Event().wait(60)


@pytest.mark.parametrize("cluster", ["local", "slurm"])
def test_a_call_is_a_job_whose_files_are_gone_when_its_result_is_there(
    cluster: str, tmp_path: Path, slurm: StandIn
) -> None:
    folder = tmp_path / "study" / "slurm"
    executor = SlurmExecutor(folder, Resources(), cluster=cluster)  # type: ignore[arg-type]
    try:
        futures = [executor.submit(operator.mul, factor, 7) for factor in (2, 3)]
        assert [future.result(LIMIT) for future in futures] == [14, 21]
    finally:
        executor.shutdown()
    assert list(folder.iterdir()) == []
    assert len(slurm.jobs) == (2 if cluster == "slurm" else 0)


def test_a_job_asks_for_its_resources_and_has_its_users_options(tmp_path: Path, slurm: StandIn) -> None:
    resources = parse_resources("cpu=4,gpu=1,memory=8GiB,time=90min,partition=gpu,account=vision")
    executor = SlurmExecutor(tmp_path / "study", resources)
    try:
        assert executor.submit(operator.mul, 6, 7).result(LIMIT) == 42
    finally:
        executor.shutdown()
    lines = slurm.script(slurm.jobs[0]).splitlines()
    for option in ("cpus-per-task=4", "gpus-per-node=1", "mem=8192M", "time=90", "partition=gpu", "account=vision"):
        assert f"#SBATCH --{option}" in lines


def test_a_job_that_ends_without_a_result_breaks_its_call_only(tmp_path: Path, slurm: StandIn) -> None:
    executor = SlurmExecutor(tmp_path / "study", Resources())
    try:
        lost = executor.submit(wait_the_first_time, str(tmp_path / "mark"))
        until(tmp_path / "mark")
        slurm.lose(slurm.jobs[0])
        with pytest.raises(
            BrokenExecutor, match=r"^job \d+ ended without a result \(NODE_FAIL\); see study/\d+_0_log\.err"
        ):
            lost.result(LIMIT)
        assert executor.submit(operator.mul, 6, 7).result(LIMIT) == 42
    finally:
        executor.shutdown()


def test_a_preempted_job_is_queued_again_and_goes_on(tmp_path: Path, slurm: StandIn) -> None:
    executor = SlurmExecutor(tmp_path / "study", Resources())
    try:
        future = executor.submit(wait_the_first_time, str(tmp_path / "mark"))
        os.kill(int(until(tmp_path / "mark")), signal.SIGUSR2)  # what SLURM sends first
        assert future.result(LIMIT) == "went on"
    finally:
        executor.shutdown()
    (job,) = slurm.jobs
    assert "requeued" in slurm.log(job)


def test_a_cancelled_call_ends_its_job(tmp_path: Path, slurm: StandIn) -> None:
    executor = SlurmExecutor(tmp_path / "study", Resources())
    future = executor.submit(wait_the_first_time, str(tmp_path / "mark"))
    until(tmp_path / "mark")
    executor.shutdown(cancel_futures=True)
    assert wait([future], LIMIT).done == {future}
    with pytest.raises(CancelledError):
        future.result()
    assert slurm.state(slurm.jobs[0]) == "CANCELLED"


def test_a_refused_job_is_told_with_slurms_own_reason(tmp_path: Path, slurm: StandIn) -> None:
    (slurm.folder.parent / "bin" / "sbatch").write_text("#!/bin/sh\necho 'error: invalid account' >&2\nexit 1\n")
    executor = SlurmExecutor(tmp_path / "study", Resources())
    try:
        with pytest.raises(StudyError, match=r"SLURM refused a job: .*invalid account"):
            executor.submit(operator.mul, 6, 7)
    finally:
        executor.shutdown()


def test_without_sbatch_it_says_where_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match="sbatch is not on this machine's path"):
        SlurmExecutor(tmp_path, Resources())


_LOGS = """
import logging, sys
from pathlib import Path
from snsearch.training.executor_names import Resources
from snsearch.training.slurm_executor import SlurmExecutor

class Kept(logging.StreamHandler):
    def close(self):
        print("closed")

kept = Kept(sys.stdout)
for name in (None, "absl"):
    logging.getLogger(name).addHandler(kept)
SlurmExecutor(Path(sys.argv[1]), Resources(cpu=1), cluster="local").shutdown()
logging.getLogger("absl").error("heard")
print(all(logging.getLogger(name).handlers == [kept] for name in (None, "absl")), flush=True)
import os; os._exit(0)  # at its end, logging closes all handlers
"""


def test_handlers_of_other_loggers_survive(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SUBMITIT_LOG_LEVEL"}
    ran = subprocess.run(
        [sys.executable, "-c", _LOGS, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "heard\nheard\nTrue\n"), ran.stderr
