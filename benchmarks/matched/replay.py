"""Searches replayed on the benchmark's tables, without training: how far their picks lie behind the best member.

    python -m benchmarks.matched.replay [--replays 50] [--sets emoji glyphs]

A replay chooses by the curves of one seed, and is judged by the other seeds' final errors, which it never sees. The
members are the space, and the decisions are the search's own (`study/steps`, `study/posterior`); its front is drawn
by latencies predicted for the Snapdragon 820. It may spend as much as ten full trainings.

Regret is what the pick's true error lies above the best member's, in standard deviations of the members' true errors.
True errors are means over all seeds, shrunk towards their mean by their reliability: what is noise of the best is no
merit. tau is Kendall's, between the order that the search predicts and the judging seeds' errors; its ceiling is what
one full training of every member reaches. Intervals: members drawn with replacement.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.matched import tables
from benchmarks.matched.package import (
    Architecture,
    Observation,
    Space,
    Standing,
    features_of,
    kendall_tau,
    load_profile,
    next_step,
    read_log,
)
from benchmarks.matched.reliability import components

Array = npt.NDArray[np.float64]
EFFORT = 10.0  # full trainings
START = 12  # members that are begun first, as by the default search
SHORT = 4  # points of the curve that a short training has, of twelve
BOOTSTRAPS, OF_REPLAYS = 100, 10  # for the intervals of tau


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A set's members with their curves by seed."""

    name: str
    held_out: bool
    archs: tuple[Architecture, ...]
    published: tuple[int, ...]  # members
    errors: Array  # (seeds, members, points), only the seeds that every member has
    costs: tuple[float, ...]

    @property
    def final(self) -> Array:
        """(seeds, members) errors of full trainings."""
        last: Array = self.errors[:, :, -1]
        return last


def read_table(name: str, frozen: tables.FrozenSet, results: Path) -> Table:
    """The table of a set. Raises ValueError where no two seeds are complete."""
    members = tables.read_members(results / name / "members.csv")
    curves = read_log(results / name / "trainings.csv")
    seeds = sorted({seed for _, recipe, seed in curves if recipe == frozen.digest})
    whole = [s for s in seeds if all((member.label, frozen.digest, s) in curves for member in members)]
    if len(whole) < 2:
        raise ValueError(f"{name}: {len(whole)} seeds are complete; two are needed")
    archs = tuple(Architecture.from_key(member.key) for member in members)
    profile = load_profile("snapdragon-820")
    return Table(
        name=name,
        held_out=frozen.held_out,
        archs=archs,
        published=tuple(at for at, member in enumerate(members) if member.published),
        errors=np.array(
            [[[p.test_error for p in curves[m.label, frozen.digest, seed]] for m in members] for seed in whole]
        ),
        costs=tuple(profile.predict(arch).ms for arch in archs),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a method comes to: its pick, and the errors that it predicts of all members, where it does."""

    pick: int
    predicted: Array | None = None


def search(table: Table, space: Space, seed: int, draw: int) -> Answer:
    """The search's own decisions, from one seed's curves."""
    count, points = len(table.archs), table.errors.shape[2]
    random = np.random.default_rng(draw)
    others = [int(at) for at in random.permutation(count) if at not in table.published]
    done: dict[int, float] = {}
    seen: list[Observation] = []
    left = EFFORT
    while True:
        standing = Standing(
            costs=table.costs,
            begin=[*table.published, *others],
            start=START,
            short=SHORT / points,
            done=done,
            going={},
            gone=frozenset(),
            observations=tuple(seen),
            left=left,
        )
        step = next_step(standing, space, draw * 7919 + len(seen))
        if step is None:
            break
        left -= standing.cost_of(step.network)
        done[step.network] = step.share
        error = float(table.errors[seed, step.network, round(step.share * points) - 1])
        seen.append(Observation(network=step.network, share=step.share, seed=0, error=error))
    predicted = space.posterior(seen).mean
    return Answer(
        pick=min((at for at, share in done.items() if share == 1.0), key=lambda at: predicted[at]),
        predicted=predicted,
    )


def random_full(table: Table, space: Space, seed: int, draw: int) -> Answer:
    """The best of ten random full trainings."""
    chosen = np.random.default_rng(draw).permutation(len(table.archs))[: int(EFFORT)]
    return Answer(pick=int(chosen[np.argmin(table.final[seed, chosen])]))


def best_published(table: Table, space: Space, seed: int, draw: int) -> Answer:
    """The published design with the lowest error of a full training."""
    return Answer(pick=min(table.published, key=lambda at: table.final[seed, at]))


def short_then_full(table: Table, space: Space, seed: int, draw: int) -> Answer:
    """The shortest training of every member (a twelfth), and full ones of the best, as far as the effort goes."""
    first = table.errors[seed, :, 0]
    count = max(1, int(EFFORT - len(first) / table.errors.shape[2]))
    best = np.argsort(first, kind="stable")[:count]
    return Answer(pick=int(best[np.argmin(table.final[seed, best])]), predicted=first)


METHODS: dict[str, Callable[[Table, Space, int, int], Answer]] = {
    "search": search,
    "10 random full trainings": random_full,
    "best published design": best_published,
    "shortest training, then full": short_then_full,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a method does on a table."""

    table: str
    held_out: bool
    method: str
    members: int
    seeds: int
    reliability: float
    replays: int
    median_regret: float
    mean_regret: float
    tau: float | None
    tau_interval: tuple[float, float] | None
    tau_ceiling: float
    no_worse: Mapping[str, float]  # share of replays in which the pick is no worse than another method's


def replay(table: Table, replays: int) -> list[Result]:
    """Every method on a table."""
    space = Space(features_of(table.archs))
    found = components(100 * table.final.T)
    mean = table.final.mean(0)
    truth = mean.mean() + found.reliability * (mean - mean.mean())
    spread = found.spread / 100
    seeds = range(len(table.final))
    draws = [(draw % len(seeds), draw) for draw in range(replays)]
    answers = {name: [method(table, space, *one) for one in draws] for name, method in METHODS.items()}
    regrets = {
        name: np.array([(truth[one.pick] - truth.min()) / spread for one in own]) for name, own in answers.items()
    }
    judges = [table.final[[other for other in seeds if other != seed]].mean(0) for seed in seeds]
    ceiling = float(np.mean([kendall_tau(table.final[seed], judges[seed]) for seed in seeds]))
    return [
        Result(
            table=table.name,
            held_out=table.held_out,
            method=name,
            members=len(table.archs),
            seeds=len(seeds),
            reliability=found.reliability,
            replays=replays,
            median_regret=float(np.median(regrets[name])),
            mean_regret=float(np.mean(regrets[name])),
            tau=_tau(own, draws, judges),
            tau_interval=_interval(own, draws, judges),
            tau_ceiling=ceiling,
            no_worse={
                other: float(np.mean(regrets[name] <= regrets[other] + 1e-9)) for other in METHODS if other != name
            },
        )
        for name, own in answers.items()
    ]


def _tau(
    answers: Sequence[Answer], draws: Sequence[tuple[int, int]], judges: Sequence[Array], members: Any = slice(None)
) -> float | None:
    pairs = [(one.predicted, judges[seed]) for one, (seed, _) in zip(answers, draws, strict=True)]
    taus = [kendall_tau(mine[members], judge[members]) for mine, judge in pairs if mine is not None]
    return float(np.mean(taus)) if taus else None


def _interval(
    answers: Sequence[Answer], draws: Sequence[tuple[int, int]], judges: Sequence[Array]
) -> tuple[float, float] | None:
    if answers[0].predicted is None:
        return None
    random, count = np.random.default_rng(0), len(judges[0])
    few = answers[:OF_REPLAYS], draws[:OF_REPLAYS], judges
    drawn = [_tau(*few, random.integers(0, count, count)) for _ in range(BOOTSTRAPS)]
    low, high = np.percentile(np.array(drawn, dtype=np.float64), [2.5, 97.5])
    return float(low), float(high)


def main(arguments: argparse.Namespace) -> None:
    """Prints every result, and keeps them."""
    frozen, _ = tables.read_frozen(tables.RESULTS / "recipe.json")
    results: list[Result] = []
    for name in arguments.sets or [name for name, one in frozen.items() if not one.held_out]:
        for one in replay(read_table(name, frozen[name], tables.RESULTS), arguments.replays):
            results.append(one)
            tau = "" if one.tau is None else f", tau {one.tau:.2f} (ceiling {one.tau_ceiling:.2f})"
            print(
                f"{one.table}, {one.method}: regret {one.median_regret:.2f} median, {one.mean_regret:.2f} mean{tau}",
                flush=True,
            )
    path = tables.RESULTS / "replay.json"
    path.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replays", type=int, default=50)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="[default: all that are not held out]")
    main(parser.parse_args())
