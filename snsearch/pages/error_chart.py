"""The chart of candidates' error against any cost: predicted, measured or counted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from snsearch.pages.charts import Axis, Frame, Mark, Scatter, steps
from snsearch.study import Score, TrialRecord

Palette = Sequence[tuple[int, ...]]  # group counts per stage, in the order of the colors


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A candidate's error and cost, with its label and tooltip."""

    trial: TrialRecord
    score: Score
    cost: float
    cost_interval: tuple[float, float] | None  # None if the cost is exact, or its interval is not drawn
    label: str
    cost_words: str  # for the tooltip


def error_scatter(
    candidates: Sequence[Candidate], fronts: Collection[int], groups: Palette, *, height: int
) -> Scatter:
    """The chart of these candidates; `fronts` are the trial numbers on the front."""
    frame = Frame(width=960, height=height)
    ends = [one.score.error + sign * one.score.deviation_95 for one in candidates for sign in (-1, 1)]
    reach = [end for one in candidates for end in one.cost_interval or (one.cost,)]
    drawn = any(one.cost_interval is not None for one in candidates)
    margin = 0.05 * (max(reach) - min(reach)) if drawn else 0.0  # keep the ends of intervals off the frame
    x = Axis.over([max(0.0, min(reach) - margin), max(reach) + margin], *frame.x_range)
    y = Axis.over([min(1.0, max(0.0, end)) for end in ends], *frame.y_range, percent=True)
    # Draw the front last, on top.
    marks = tuple(
        _mark(one, x, y, groups, one.trial.number in fronts)
        for one in sorted(candidates, key=lambda one: one.trial.number in fronts)
    )
    line = sorted((x.at(one.cost), y.at(one.score.error)) for one in candidates if one.trial.number in fronts)
    return Scatter(frame=frame, x=x, y=y, marks=marks, front=steps(line, frame.x_range[1]))


def _mark(one: Candidate, x: Axis, y: Axis, groups: Palette, on_front: bool) -> Mark:
    trial, error, deviation = one.trial, one.score.error, one.score.deviation_95
    assert trial.architecture is not None
    low, high = one.cost_interval or (None, None)
    return Mark(
        number=trial.number,
        x=x.at(one.cost),
        y=y.at(error),
        y_low=y.at(max(0.0, error - deviation)),
        y_high=y.at(min(1.0, error + deviation)),
        x_low=None if low is None else x.at(low),
        x_high=None if high is None else x.at(high),
        color=groups.index(trial.architecture.groups),
        square=any(trial.architecture.se_reduction),
        on_front=on_front,
        label=one.label,
        title=f"#{trial.number} {trial.words}: error {error:.2%} ± {deviation:.2%}, {one.cost_words}",
    )
