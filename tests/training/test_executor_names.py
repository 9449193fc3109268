"""What `--executor` and `--resources` may say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from snsearch.errors import SpecError, StudyError
from snsearch.training.executor_names import Elsewhere, Resources, elsewhere, parse_executor, parse_resources


@pytest.mark.parametrize(
    ("text", "engine", "address"),
    [
        ("local", "local", None),
        ("ray", "ray", None),
        ("ray://head.example:10001", "ray", "ray://head.example:10001"),
        ("ray://[::1]:10001/", "ray", "ray://[::1]:10001"),
        ("slurm", "slurm", None),
    ],
)
def test_an_executor_is_an_engine_and_an_address(text: str, engine: str, address: str | None) -> None:
    assert parse_executor(text) == (engine, address)


@pytest.mark.parametrize(
    "text",
    [
        "ray://user:hunter2@head:10001",
        "ray://head:10001?token=hunter2",
        "ray://head:hunter2",
        "ray:hunter2",
        "dask://user:hunter2@head:8786",
        "hunter2@head",
    ],
)
def test_an_executor_that_cannot_be_read_is_refused_without_showing_what_may_be_a_secret(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_executor(text)
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_executor_gets_a_suggestion() -> None:
    with pytest.raises(SpecError, match="executor 'slurn'; did you mean \"slurm\""):
        parse_executor("slurn")


def test_resources_are_amounts_by_name() -> None:
    found = parse_resources("cpu=2, gpu=0.25,memory=4GiB,partition=gpu")
    assert found == Resources(cpu=2.0, gpu=0.25, memory=4 * 2**30, others=(("partition", "gpu"),))
    assert [Resources(cpu=cpu).threads for cpu in (0.5, 1.0, 2.5)] == [1, 1, 2]


@pytest.mark.parametrize(
    "text", ["", "cpu", "cpu=", "cpu=many", "cpu=0", "cpu=nan", "gpu=-1", "cpu=1,cpu=2", "memory=much", "a b=1", "=1"]
)
def test_resources_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_resources(text)


@pytest.mark.parametrize(
    ("executor", "resources", "why"),
    [
        ("local", "cpu=2", "resources are for an executor"),
        ("slurm", "gpu=0.25", "whole CPUs and GPUs"),
        ("ray", "partition=gpu", "an amount of the resource partition"),
    ],
)
def test_resources_that_an_engine_does_not_have_are_refused(executor: str, resources: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        elsewhere(executor, resources)


def test_this_machine_is_no_engine() -> None:
    assert elsewhere("local", None) is None


def test_a_missing_engine_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudyError, match=r'needs the Python package submitit.*pip install "snsearch\[slurm\]"'):
        elsewhere("slurm", None)
    with pytest.raises(StudyError, match=r'pip install "snsearch\[ray\]"'):
        elsewhere("ray://head:10001", None)


def test_reading_what_an_executor_is_loads_neither_torch_nor_an_engine() -> None:
    code = "import sys, snsearch.training as t; t.elsewhere('ray', 'gpu=1'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "ray", "submitit"} & set(loaded)


def test_resources_are_part_of_what_runs_elsewhere() -> None:
    assert elsewhere("ray", "gpu=0.5") == Elsewhere(engine="ray", address=None, resources=Resources(gpu=0.5))
