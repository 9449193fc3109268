"""A study's candidates and what was measured of them: which ones are worth a measurement, and what was found."""

from __future__ import annotations

from collections.abc import Sequence

from snsearch.confidence import Z95, scores_of
from snsearch.measurements import Measurement
from snsearch.pareto import front, possible_front
from snsearch.study import StudyRecord, TrialRecord


def standing(trials: Sequence[TrialRecord]) -> tuple[set[int], set[int]]:
    """Of trained candidates the numbers on the front, and those that noise leaves a place there."""
    scores = scores_of([trial.results for trial in trials])
    points = [
        (score.error, trial.cost) for score, trial in zip(scores, trials, strict=True) if trial.cost is not None
    ]
    assert len(points) == len(trials), "a complete trial has both objectives"
    fronts = {trials[index].number for index in front(points)}
    possible = {trials[index].number for index in possible_front(points, [score.deviation for score in scores], Z95)}
    return fronts, possible


def worth_measuring(study: StudyRecord) -> tuple[TrialRecord, ...]:
    """The candidates that a choice is made among: the front, what noise leaves a place there, and the finalists."""
    trials = study.candidates
    if not trials:
        return ()
    fronts, possible = standing(trials)
    return tuple(t for t in trials if t.number in fronts | possible or t.repeats)


def measured_by_device(study: StudyRecord) -> dict[str, dict[str, Measurement]]:
    """What was measured, by device and architecture; the latest of each that is no refusal, else the refusal.

    Measurements after minutes of running stand beside the cool ones, under the device's name with the minutes.
    """
    found: dict[str, dict[str, Measurement]] = {}
    for one in study.measurements:
        minutes = one.sustained_minutes
        name = one.host.device + ("" if minutes is None else f", after {minutes:g} minutes")
        kept = found.setdefault(name, {}).get(one.subject)
        if kept is None or one.verdict != "refused" or kept.verdict == "refused":
            found[name][one.subject] = one
    return found
