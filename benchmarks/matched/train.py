"""Trains the members of the benchmark and keeps every curve; goes on where it was stopped, even by kill -9.

    python -m benchmarks.matched.train DATA            # seeds 0 to 2 of every member of every set
    python -m benchmarks.matched.train DATA --judge    # seeds 3 to 7 of the published designs and the best 16

DATA is the folder that `python -m benchmarks.matched.data DATA` made. One process is one worker of one thread; start
the same command again for a second worker: each training is claimed by a lock. On a GPU a process trains several at
once (`--device cuda --at-once 6`). A training depends on key, recipe and seed only.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import filelock
import torch

from benchmarks.matched import graphs, trainer
from benchmarks.matched.package import Architecture, Dataset, TrainingLog, load_data
from snsearch.lab.bench import files

SEEDS = 3  # of every member
JUDGED_SEEDS = 8  # of the published designs and the best: five for replays, three that only judge
BEST = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A training to be done: a member of a set with a seed."""

    set_name: str
    member: files.Member
    seed: int


def in_order(members: Mapping[str, Sequence[files.Member]], seeds: Iterable[int]) -> Iterator[Task]:
    """Every member with every seed, seeds outermost: all members of all sets with the first seed come first."""
    for seed in seeds:
        for set_name, own in members.items():
            for member in own:
                yield Task(set_name=set_name, member=member, seed=seed)


def to_judge(members: Sequence[files.Member], errors: Mapping[str, float]) -> list[files.Member]:
    """The published designs and the BEST members by their first seed's error, where they have one."""
    ranked = sorted((member for member in members if member.label in errors), key=lambda m: errors[m.label])
    best = {member.label for member in ranked[:BEST]}
    return [member for member in members if member.published or member.label in best]


class Bench:
    """The folders of a run: data sets, results, checkpoints."""

    def __init__(self, data: Path, results: Path, device: str) -> None:
        self.data, self.results = data, results
        self.device = torch.device(device)
        self.kind = graphs.GraphTraining if self.device.type == "cuda" else trainer.BenchmarkTraining
        self.frozen, expected = files.read_frozen(results / "recipe.json")
        if abs((found := trainer.check_loss()) - expected) > 1e-3:
            raise SystemExit(
                f"snsearch trains differently since the recipe was frozen: {found:.6f}, not {expected:.6f}"
            )
        self._datasets: dict[str, Dataset] = {}

    def dataset(self, name: str) -> Dataset:
        """A set's data, whose fingerprint is checked; read once."""
        if name not in self._datasets:
            dataset = load_data(str(self.data / name))
            if dataset.fingerprint() != self.frozen[name].fingerprint:
                raise SystemExit(f"{name}: fingerprint {dataset.fingerprint()}, not {self.frozen[name].fingerprint}")
            self._datasets[name] = dataset
        return self._datasets[name]

    def members(self, names: Iterable[str]) -> dict[str, tuple[files.Member, ...]]:
        """The members of sets."""
        return {name: files.read_members(self.results / name / "members.csv") for name in names}

    def identity(self, task: Task) -> files.Identity:
        """What a training is called in the log."""
        return task.member.label, self.frozen[task.set_name].digest, task.seed

    def first_errors(self, name: str) -> dict[str, float]:
        """Final errors by label, of the trainings with seed 0."""
        curves = TrainingLog(self.results / name / "trainings.csv").read()
        digest = self.frozen[name].digest
        return {
            label: curve[-1].test_error
            for (label, recipe, seed), curve in curves.items()
            if recipe == digest and seed == 0
        }

    def doing(self, task: Task) -> Iterator[None]:
        """Trains and keeps a task, stopping on its way; nothing where it is done, or under way in another process."""
        folder, identity = self.results / task.set_name, self.identity(task)
        log = TrainingLog(folder / "trainings.csv")
        if identity in log.read():
            return
        checkpoints = self.data / "checkpoints"
        checkpoints.mkdir(parents=True, exist_ok=True)
        stem = hashlib.sha256(repr((task.set_name, identity)).encode()).hexdigest()[:16]
        checkpoint, claim = checkpoints / f"{stem}.pt", filelock.FileLock(checkpoints / f"{stem}.lock", timeout=0)
        with suppress(filelock.Timeout), claim:
            if identity in log.read():
                return
            training = self.kind(
                Architecture.from_key(task.member.key),
                self.dataset(task.set_name),
                trainer.recipe_of(self.frozen[task.set_name].recipe),
                seed=task.seed,
                device=self.device,
            )
            training.load(checkpoint)
            for _ in training.advancing():
                training.save(checkpoint)
                yield
            result, bits = training.result(), training.correct()
            with filelock.FileLock(checkpoints / "writing.lock"):  # waits for its turn, which a log's lock does not
                files.append_correct(folder / "correct.csv", identity, bits)
                with log:
                    log.append(identity, result)
            checkpoint.unlink(missing_ok=True)
            said = f"{task.set_name} {task.member.label!r} seed {task.seed}: {result.error:.2%}"
            print(f"{time.strftime('%H:%M:%S')} {said}, {result.curve[-1].cpu_seconds:.0f} CPU s", flush=True)


def in_turns(tasks: Iterable[Iterator[None]], at_once: int) -> None:
    """Goes through all of them, as many at once as said, each going on to its next stop in its turn."""
    waiting, under_way = iter(tasks), deque[Iterator[None]]()
    while True:
        under_way.extend(islice(waiting, at_once - len(under_way)))
        if not under_way:
            return
        with suppress(StopIteration):
            next(one := under_way.popleft())
            under_way.append(one)


def main(arguments: argparse.Namespace) -> None:
    """Does what the log lacks."""
    torch.set_num_threads(1)
    bench = Bench(arguments.data, arguments.results, arguments.device)
    members: dict[str, Sequence[files.Member]] = dict(bench.members(arguments.sets or bench.frozen))
    seeds: Iterable[int] = range(SEEDS)
    if arguments.judge:
        members = {name: to_judge(own, bench.first_errors(name)) for name, own in members.items()}
        seeds = range(SEEDS, JUDGED_SEEDS)
    in_turns(map(bench.doing, in_order(members, arguments.seeds or seeds)), arguments.at_once)
    print("Nothing is left that another process is not at work on.", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--results", type=Path, default=files.RESULTS)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="[default: all]")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED")
    parser.add_argument("--judge", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="trainings of this process, on a GPU")
    main(parser.parse_args())
