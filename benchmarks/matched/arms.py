"""Short trainings of other kinds on the members of a set: which of them rank networks best, at what cost.

    python -m benchmarks.matched.arms DATA --sets emoji            # every arm, 32 members
    python -m benchmarks.matched.arms DATA --sets emoji --judge    # trains nothing: each arm's tau, in pairs

Every arm sees a quarter of the full training's images, with seed 0. What it ranks is judged by the final errors of
the other seeds in the table. The command goes on where it was stopped, at the training that was under way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.matched import trainer
from benchmarks.matched.package import Architecture, Recipe, TrainingLog, load_data, load_space
from snsearch.errors import SpecError
from snsearch.intervals import percentiles_95
from snsearch.lab.bench import files
from snsearch.lab.bench.tables import read_table
from snsearch.lab.ranking import kendall_tau
from snsearch.network import count_macs

RESULTS = Path(__file__).parents[1] / "results" / "arms"
MEMBERS = 32  # as many of each space
_SHORT = 0.25  # of a full training
_REFERENCE = "v1 g3 0.5x paper"  # the network whose learning rate stays as it is
_BOOTSTRAPS = 2000
BASE = "short"

_Tensors = tuple[Tensor, ...] | list[Tensor]

# ---------------------------------------------------------------------------------------------------------- networks


def twin(arch: Architecture, share: float) -> Architecture:
    """The network with all widths in proportion, as far as groups allow, that costs about a share of the MACs."""
    stage_steps = load_space("shufflenet-free").width_steps(arch.groups)
    wanted = share * count_macs(arch)

    def scaled(scale: float) -> Architecture:
        first = arch.groups[0]
        widths = [max(1, round(scale * arch.stem_channels / first)) * first]
        for width, step in zip(arch.stage_channels, stage_steps, strict=True):  # each wider than the one before
            widths.append(max(round(scale * width / step), widths[-1] // step + 1) * step)
        return replace(arch, stem_channels=widths[0], stage_channels=tuple(widths[1:]))

    found: list[tuple[float, Architecture]] = []
    for scale in np.geomspace(share, 1, 200):
        with suppress(SpecError):  # widths that cannot be built
            found.append((abs(count_macs(one := scaled(float(scale))) - wanted), one))
    return min(found, key=lambda pair: pair[0])[1]


def effective_depth(arch: Architecture) -> int:
    """The shortest way from input to output, in layers and additions (arXiv:2602.07494): a unit is one addition."""
    return 2 + sum(arch.stage_repeats)


def learning_rate(arch: Architecture, reference: Architecture, usual: float) -> float:
    """The usual rate of the reference, by effective depth to the power of -3/2 and by mean fan-in of the units."""

    def fan_in(one: Architecture) -> float:
        return float(np.mean([w / g for w, g in zip(one.stage_channels, one.groups, strict=True)]))

    depths = effective_depth(arch) / effective_depth(reference)
    return float(usual * depths**-1.5 * fan_in(reference) / fan_in(arch))


class MovingAverage(trainer.BenchmarkTraining):
    """Averages weights over about the last twentieth of the steps, each older step counting less."""

    def _move_averages(self, means: _Tensors, news: _Tensors, count: Tensor | int) -> None:
        if not means[0].is_floating_point():
            torch._foreach_copy_(means, news)
            return
        keep = min(1 - 20 / self._steps, (1 + float(count)) / (10 + float(count)))
        torch._foreach_lerp_(means, news, 1 - keep)


# -------------------------------------------------------------------------------------------------------------- arms


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A kind of short training."""

    words: str
    recipe: Callable[[Recipe], Recipe]  # of the full one
    network: Callable[[Architecture], Architecture] = lambda arch: arch
    side: int | None = None  # pixels
    by_size: bool = False  # the learning rate
    training: type[trainer.BenchmarkTraining] = trainer.BenchmarkTraining


def _short(full: Recipe, share: float = _SHORT) -> Recipe:
    return replace(full, images=round(share * full.images * full.epochs), epochs=1, curve_points=1)


ARMS: dict[str, Arm] = {
    BASE: Arm(words="a quarter of the images, to zero rate", recipe=_short),
    "eighth": Arm(words="an eighth of the images, to zero rate", recipe=lambda f: _short(f, _SHORT / 2)),
    "learning-rate": Arm(words="the rate by depth and width", recipe=_short, by_size=True),
    "no-zero-start": Arm(
        words="residual branches start as the others", recipe=lambda f: replace(_short(f), zero_start=False)
    ),
    "moving-average": Arm(words="exponential averages of weights", recipe=_short, training=MovingAverage),
    "48-pixels": Arm(words="images enlarged from 32 to 48 pixels", recipe=_short, side=48),
    "5000-images": Arm(words="one epoch of 5,000 images at a constant rate", recipe=lambda f: Recipe()),
    "twin": Arm(
        words="a network of a quarter of the MFLOPs, all images",
        recipe=lambda f: replace(f, curve_points=4),
        network=partial(twin, share=_SHORT),
    ),
}


def members_of(name: str, *, every_one: bool = False) -> tuple[files.Member, ...]:
    """The members: as many of each space, evenly through their list, the published designs among them."""
    every = files.read_members(files.RESULTS / name / "members.csv")
    if every_one:
        return every
    spaces = sorted({member.space for member in every})
    chosen: list[files.Member] = []
    for space in spaces:
        own = [member for member in every if member.space == space]
        kept = [member for member in own if member.published]
        rest = [member for member in own if not member.published]
        places = np.linspace(0, len(rest) - 1, MEMBERS // len(spaces) - len(kept)).round().astype(int)
        chosen += [*kept, *(rest[at] for at in places)]
    return tuple(chosen)


def train_arm(data: Path, name: str, arm_name: str, seeds: Iterable[int], *, every_one: bool) -> None:
    """Trains what the log lacks of an arm on a set."""
    arm, frozen = ARMS[arm_name], files.read_frozen(files.RESULTS / "recipe.json")[0][name]
    full = trainer.recipe_of(frozen.recipe)
    dataset = load_data(str(data / name), side=arm.side)
    if arm.side is None and dataset.fingerprint() != frozen.fingerprint:
        raise SystemExit(f"{name}: fingerprint {dataset.fingerprint()}, not {frozen.fingerprint}")
    recipe, members = arm.recipe(full), members_of(name, every_one=every_one)
    reference = Architecture.from_key(next(one.key for one in members if one.label == _REFERENCE))
    log = TrainingLog(RESULTS / f"{name}.csv")
    for seed, member in product(seeds, members):
        identity = member.label, arm_name, seed
        if identity in log.read():
            continue
        arch = arm.network(Architecture.from_key(member.key))
        own = recipe
        if arm.by_size:
            own = replace(recipe, learning_rate=learning_rate(arch, reference, recipe.learning_rate))
        training = arm.training(arch, dataset, own, seed=seed, device=torch.device("cpu"))
        for _ in training.advancing():
            pass
        with log:
            log.append(identity, training.result())
        print(name, arm_name, member.label, seed, f"{training.result().error:.2%}", flush=True)


# ---------------------------------------------------------------------------------------------------------- judgement


def judged(name: str) -> dict[str, object]:
    """Each arm's tau with the other seeds' errors, its cost, and its difference from the base, paired by members.

    Of the members that every arm has which was begun.
    """
    table, curves = read_table(name), TrainingLog(RESULTS / f"{name}.csv").read()
    places = {member.label: at for at, member in enumerate(files.read_members(files.RESULTS / name / "members.csv"))}
    begun = [arm for arm in ARMS if any((label, arm, 0) in curves for label in places)]
    labels = [label for label in places if all((label, arm, 0) in curves for arm in begun)]
    at = [places[label] for label in labels]
    truth = table.judged_without(0)[at]
    full = table.errors[0][at]  # (members, points)
    found: dict[str, npt.NDArray[np.float64]] = {
        "on the way": full[:, round(_SHORT * full.shape[1]) - 1],
        "everything": full[:, -1],
    }
    cost: dict[str, float] = {}
    for arm in begun:
        own = [curves[label, arm, 0][-1] for label in labels]
        found[arm] = np.array([point.test_error for point in own])
        cost[arm] = float(np.mean([point.cpu_seconds for point in own]))
    random = np.random.default_rng(0)
    draws = [random.integers(0, len(at), len(at)) for _ in range(_BOOTSTRAPS)]
    taus = {arm: np.array([kendall_tau(own[d], truth[d]) for d in draws]) for arm, own in found.items()}

    def summary(arm: str) -> Mapping[str, object]:
        apart = taus[arm] - taus[BASE]
        return {
            "what": ARMS[arm].words if arm in ARMS else "the table's own curve, seed 0",
            "tau": round(kendall_tau(found[arm], truth), 3),
            "interval": [round(one, 3) for one in percentiles_95(taus[arm])],
            "over_short": round(kendall_tau(found[arm], truth) - kendall_tau(found[BASE], truth), 3),
            "over_short_interval": [round(one, 3) for one in percentiles_95(apart)],
            "cpu_seconds": round(cost[arm], 1) if arm in cost else None,
            "mean_error": round(float(found[arm].mean()), 4),
        }

    return {
        "table": name,
        "members": len(at),
        "judged_by_seeds": len(table.final) - 1,
        "arms": {arm: summary(arm) for arm in found},
    }


def main(arguments: argparse.Namespace) -> None:
    """Trains the arms, or judges them."""
    torch.set_num_threads(1)
    for name in arguments.sets:
        if arguments.judge:
            text = json.dumps(judged(name), indent=2) + "\n"
            (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
            print(text, end="")
            continue
        for arm in arguments.arms or ARMS:
            train_arm(arguments.data, name, arm, arguments.seeds, every_one=arguments.all)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", required=True, metavar="SET")
    parser.add_argument("--arms", nargs="+", choices=[*ARMS], metavar="ARM", help="[default: all]")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="SEED")
    parser.add_argument("--all", action="store_true", help="all members")
    parser.add_argument("--judge", action="store_true")
    main(parser.parse_args())
