"""Trainings by several processes, as torchrun starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.training_kills import KEY
from snsearch.training.weights_file import read_weights

CHECKOUT = Path(__file__).parents[2]


def _torchrun(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
        "--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0",
        "-m", "snsearch", "train", KEY, "--data", "digits", "--out", str(out), "--batch", "64", "--threads", "1",
        "--device", "cpu", "--recipe", "modern", "--format", "json", *options,
    ]  # fmt: skip
    return subprocess.run(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.long
def test_two_processes_train_one_network(tmp_path: Path) -> None:
    ran = _torchrun(tmp_path, "--epochs", "2", "--accumulate", "2")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)  # of the first process only
    assert document["plan"]["processes"] == 2
    assert document["test"]["images"] == 179  # each once, though divided
    assert sum(map(sum, document["test"]["confusion"])) == 179
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    state, training = read_weights(tmp_path / "weights.safetensors")
    assert training is not None
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert "2 processes with 2 parts" in ran.stderr
    assert ran.stderr.count("epoch 2/2") == 1
