"""Worker processes of a search that run out of memory: the error of a training, and the system that kills one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from snsearch.errors import StudyError
from snsearch.network.arch import Architecture
from snsearch.study.storage import read_study
from snsearch.study.workers import Plan, run_workers
from snsearch.training.proxy import ProxyResult
from tests.studies import Log, Setup, pretended_training

_pretend = pretended_training(lambda arch: (0.9 - arch.stage_channels[-1] / 1e4,))


def _run_out(arch: Architecture, *arguments: Any, **options: Any) -> ProxyResult:
    """Trains with too little memory for one group, and is killed for memory by three."""
    if arch.groups[0] == 1:
        raise MemoryError
    if arch.groups[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return _pretend(arch, *arguments, **options)


def test_a_worker_that_runs_out_of_memory_loses_one_trial_and_one_that_is_killed_is_told(tmp_path: Path) -> None:
    setup = Setup(tmp_path, train=_pretend)
    search = setup.search()
    plan = Plan(
        url=setup.url,
        name="digits",
        settings=setup.settings(),
        candidates=setup.candidates(),
        dataset=setup.dataset,
        device="cpu",
        checkpoints=setup.folder / "checkpoints",
        trials=9,
        time_limit=None,
        workers=1,
        threads=1,
        train=_run_out,
    )
    with pytest.raises(StudyError, match=r"worker 0 died \(exit code -9\).*with fewer --workers if memory ran out"):
        run_workers(plan, Log(), lambda: False)
    before = read_study(setup.url).trials[:3]
    assert [trial.status for trial in before] == ["failed", "complete", "running"]
    assert before[0].reason == "out of memory (MemoryError)"
    assert [trial.fault for trial in before] == ["memory", None, None]

    search.prepare()
    search.run(trials=9)
    after = read_study(setup.url)
    assert len(after.candidates) == 9
    assert {before[0].design, before[2].design} <= {trial.design for trial in after.candidates}
    assert "running" not in {trial.status for trial in after.trials}
