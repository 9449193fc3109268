"""What the trainings so far say of each set: true spread against seed noise, and how reliable the mean over seeds is.

    python -m benchmarks.matched.reliability [RESULTS]

Final errors e(member, seed) are taken apart by a two-way layout without replication: member + seed + rest. The
seeds' own effect (the same order of images and the same augmentation for all members) is no noise of a comparison.
With n seeds the mean squares of members and of the rest estimate
    noise^2 = MS(rest),    spread^2 = (MS(members) - MS(rest)) / n,
and the reliability of a member's mean over n seeds is spread^2 / (spread^2 + noise^2 / n): the squared correlation
with the true errors that is to be expected. Intervals: members drawn with replacement.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.matched import tables
from benchmarks.matched.package import read_log

PLANNED = 3  # seeds of every member
Errors = npt.NDArray[np.float64]  # (members, seeds), percent


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """Standard deviations in points of error, and the reliability of the mean over the seeds."""

    members: int
    seeds: int
    spread: float  # of the members' true errors; 0 where the noise explains all
    noise: float  # of one training of a member
    reliability: float


def components(errors: Errors) -> Components:
    """The variance components of errors. Raises ValueError for fewer than two members or seeds."""
    members, seeds = errors.shape
    if members < 2 or seeds < 2:
        raise ValueError(f"two members and two seeds are needed, not {members} and {seeds}")
    by_member = errors.mean(axis=1, keepdims=True)
    rest = errors - by_member - errors.mean(axis=0, keepdims=True) + errors.mean()
    noise = float((rest**2).sum()) / ((members - 1) * (seeds - 1))
    between = seeds * float(((by_member - errors.mean()) ** 2).sum()) / (members - 1)
    spread = max(0.0, (between - noise) / seeds)
    return Components(
        members=members,
        seeds=seeds,
        spread=math.sqrt(spread),
        noise=math.sqrt(noise),
        reliability=reliability_of(spread, noise, seeds),
    )


def reliability_of(spread: float, noise: float, seeds: int) -> float:
    """The reliability of a mean over seeds, of two variances; 0 where both are."""
    return spread / (spread + noise / seeds) if spread else 0.0


def interval(errors: Errors, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of the reliability, over members.

    A member that is drawn twice brings its noise along twice, so each draw's spread is a little too large: the
    interval errs upwards by about 1 / members of the noise.
    """
    random = np.random.default_rng(seed)
    found = [components(errors[random.integers(0, len(errors), len(errors))]).reliability for _ in range(draws)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def common(final: Mapping[tuple[str, int], float]) -> tuple[Errors, tuple[int, ...]]:
    """The (members, seeds) errors of the members that share the first seeds, and these seeds.

    Two or three seeds, whichever gives more degrees of freedom to the noise. Seeds beyond PLANNED do not count: only
    the published and the best members have them.
    """
    tables_of: list[tuple[Errors, tuple[int, ...]]] = []
    for count in range(2, PLANNED + 1):
        seeds = tuple(range(count))
        labels = sorted({label for label, _ in final if all((label, seed) in final for seed in seeds)})
        errors = np.array([[final[label, seed] for seed in seeds] for label in labels]).reshape(len(labels), count)
        tables_of.append((errors, seeds))
    return max(tables_of, key=lambda one: (len(one[0]) - 1) * (len(one[1]) - 1))


def final_errors(results: Path, frozen: tables.FrozenSet) -> dict[tuple[str, int], float]:
    """Final test errors in percent by label and seed, of the trainings by the frozen recipe."""
    path = results / frozen.name / "trainings.csv"
    curves = read_log(path) if path.exists() else {}
    return {
        (label, seed): 100 * curve[-1].test_error
        for (label, recipe, seed), curve in curves.items()
        if recipe == frozen.digest
    }


def describe(results: Path, frozen: tables.FrozenSet) -> str:
    """What is known of a set, in a few lines."""
    members = tables.read_members(results / frozen.name / "members.csv")
    final = final_errors(results, frozen)
    name = frozen.name + (" (held out)" if frozen.held_out else "")
    lines = [f"{name}: {len(members)} members, {len(final)} trainings"]
    by_seed = Counter(seed for _, seed in final)
    lines.append(
        "  members by seed: " + (", ".join(f"{seed}: {by_seed[seed]}" for seed in sorted(by_seed)) or "none")
    )
    for seed in sorted(by_seed):
        one = [error for (_, own), error in final.items() if own == seed]
        lines.append(f"  seed {seed}: errors from {min(one):.1f} to {max(one):.1f} %, median {np.median(one):.1f} %")
    errors, seeds = common(final)
    if len(errors) < 3:
        return "\n".join([*lines, "  too few members share two seeds: nothing can be said of noise yet"])
    found = components(errors)
    low, high = interval(errors)
    lines.append(
        f"  {found.members} members with seeds {', '.join(map(str, seeds))}: true spread {found.spread:.2f}, "
        f"seed noise {found.noise:.2f} points"
    )
    lines.append(
        f"  reliability of the mean over {found.seeds} seeds: {found.reliability:.3f} [{low:.3f}, {high:.3f}]; of "
        f"{PLANNED}: {reliability_of(found.spread**2, found.noise**2, PLANNED):.3f}"
    )
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> None:
    """Prints every set's figures."""
    frozen, _ = tables.read_frozen(arguments.results / "recipe.json")
    print("\n".join(describe(arguments.results, one) for one in frozen.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=tables.RESULTS)
    main(parser.parse_args())
