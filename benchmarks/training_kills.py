"""Full trainings that are killed at seeded moments, and whether the same call goes on bit for bit.

python -m benchmarks.training_kills --kills 20    # as in `make soak`; writes results/training_kills.json

A process kills itself within a step, while a checkpoint is written, right behind that, or between the weights file
and the result.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import snsearch
from snsearch.finals import folder as files
from snsearch.finals import running
from snsearch.finals.loop import FinalTraining
from snsearch.training.weights_file import read_weights

KEY = "shufflenet.g2.b4.shuffle_stem8s1_16x2s2-32x2s2_1x8x8_c10"
EPOCHS, STEPS = 2, 22
_ROOT = Path(__file__).parents[1]
_RESULTS = _ROOT / "benchmarks" / "results" / "training_kills.json"
# Each moment, and how often it comes; the weights are written once.
MOMENTS = {"step": STEPS, "saving": STEPS, "saved": STEPS, "weights": 1}


def trained(folder: Path) -> None:
    """Trains a small network on digits, with averaged weights and a checkpoint after every step."""
    snsearch.train(
        KEY, folder, data="digits", recipe="modern", epochs=EPOCHS, batch=128, threads=1, save_every=1e-6,
        device="cpu",
    )  # fmt: skip


def outcome(folder: Path) -> tuple[Any, ...]:
    """What must not depend on kills: the weights, the log and the result."""
    state, _ = read_weights(folder / files.WEIGHTS)
    bits = tuple((name, tensor.numpy().tobytes()) for name, tensor in sorted(state.items()))
    return bits, (folder / files.LOG).read_bytes(), (folder / files.RESULT).read_bytes()


@contextmanager
def struck(moment: str, number: int) -> Iterator[None]:
    """Kills this process when the moment comes for that time."""
    left = number

    def strike() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            strike()
            return function(*arguments, **named)

        return wrapped

    def halfway(state: Any, path: Path) -> None:
        save(state, path)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        strike()
        save(state, path)

    save = torch.save
    patches = {
        "step": lambda: mock.patch.object(FinalTraining, "_loss_of", _method(FinalTraining._loss_of, strike)),
        "saving": lambda: mock.patch.object(torch, "save", halfway),
        "saved": lambda: mock.patch.object(FinalTraining, "_train", _method(FinalTraining._train, strike)),
        "weights": lambda: mock.patch.object(running, "keep_result", before(running.keep_result)),
    }
    with patches[moment]():
        yield


def _method(function: Callable[..., Any], strike: Callable[[], None]) -> Callable[..., Any]:
    def wrapped(self: Any, *arguments: Any) -> Any:
        strike()
        return function(self, *arguments)

    return wrapped


def moment_of(seed: int) -> tuple[str, int]:
    """The moment of a seed, and which time that it comes."""
    rng = random.Random(seed)
    moment = rng.choice(sorted(MOMENTS))
    return moment, rng.randint(1, MOMENTS[moment])


def killed(seed: int, folder: Path) -> int:
    """Trains in a process that kills itself; returns its exit code, of SIGKILL unless the moment did not come."""
    command = [sys.executable, "-m", "benchmarks.training_kills", "--strike", str(seed), "--out", str(folder)]
    return subprocess.run(command, cwd=_ROOT, timeout=600, capture_output=True, check=False).returncode


def main() -> int:
    """Kills trainings, or is one that kills itself; 1 where one did not go on bit for bit."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--strike", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.strike is not None:
        with struck(*moment_of(given.strike)):
            trained(given.out)
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        trained(Path(folder, "whole"))
        expected = outcome(Path(folder, "whole"))
        for seed in range(given.kills):
            out = Path(folder, str(seed))
            code = killed(seed, out)
            trained(out)
            same = code == -signal.SIGKILL and outcome(out) == expected
            moment, number = moment_of(seed)
            rows.append({"seed": seed, "moment": moment, "number": number, "exit": code, "same_bits": same})
            print(f"seed {seed}: killed at {moment} {number}, exit {code}, {'same bits' if same else 'DIFFERENT'}")
    right = sum(row["same_bits"] for row in rows)
    print(f"{right} of {given.kills} went on bit for bit")
    _RESULTS.write_text(json.dumps({"torch": str(torch.__version__), "kills": rows}, indent=2) + "\n")
    return int(right < given.kills)


if __name__ == "__main__":
    sys.exit(main())
