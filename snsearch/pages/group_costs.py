"""The cost of group counts at equal MACs, from a study's candidates that differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from snsearch.study import COUNTED, OBJECTIVES, TrialRecord, unit_of

PAPER = (
    "ShuffleNet's paper (arXiv:1707.01083, section 4.6) found g=4 and g=8 less efficient on a Snapdragon 820, and g=3"
    " the usual trade between error and time"
)


def costs_by_groups(trials: Sequence[TrialRecord]) -> tuple[tuple[int, float], ...]:
    """(group count, second objective) of ShuffleNets that differ in groups and the widths these lead to only.

    The group count is that of all stages; networks with different ones do not count.
    Of all such sets the one with the most group counts, of several the first that was tried; empty if no two
    candidates are alike.
    """
    alike: dict[tuple[object, ...], dict[int, float]] = {}
    for trial in trials:
        if trial.architecture is None or trial.cost is None or trial.architecture.unit != "shufflenet":
            continue
        design, counts = trial.design, trial.architecture.groups
        if len(set(counts)) > 1:
            continue
        rest = (design.depth, design.se, design.scale, design.shuffle, design.ratios)
        alike.setdefault(rest, {}).setdefault(counts[0], trial.cost)
    best = max(alike.values(), key=len, default={})
    return tuple(sorted(best.items())) if len(best) > 1 else ()


def groups_words(trials: Sequence[TrialRecord], cost_axis: str) -> str | None:
    """What groups cost in this study, beside the paper's finding; None if no two candidates are alike."""
    costs = costs_by_groups(trials)
    if not costs:
        return None
    listed = ", ".join(f"g={groups} {cost:.3g}" for groups, cost in costs)
    (fewest, least), (most, last) = costs[0], costs[-1]
    change = last / least - 1
    # The paper's remark is on time: it says nothing of parameters or memory.
    is_time = unit_of(cost_axis) == "ms" or cost_axis == OBJECTIVES[COUNTED].axis
    return (
        f"{cost_axis} at equal MFLOPs, of candidates alike in all else: {listed}. From g={fewest} to g={most} that "
        f"is {change:+.0%}." + (f" {PAPER}" if is_time else "")
    )
