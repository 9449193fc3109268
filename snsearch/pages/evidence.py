"""A study's candidates and what was measured or counted of them: which ones are worth it, and what was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from snsearch.codec import decode, encode
from snsearch.device import CountedNetwork, Measurement
from snsearch.errors import DeviceError
from snsearch.study import StudyRecord, TrialRecord, attach, front, possible_front, scores_of


def measurements_of(study: StudyRecord) -> tuple[Measurement, ...]:
    """What was measured of the candidates, oldest first. Raises DeviceError for a record of an unknown schema."""
    found = study.attachments["measured"]
    kept = (decode(Measurement, values, "a measurement of the study", error=DeviceError) for values in found)
    return tuple(sorted(kept, key=lambda one: one.measured))


def counts_of(study: StudyRecord) -> tuple[CountedNetwork, ...]:
    """What was counted of the candidates, oldest first. Raises DeviceError for a record of an unknown schema."""
    found = study.attachments["counted"]
    kept = (decode(CountedNetwork, values, "counts of the study", error=DeviceError) for values in found)
    return tuple(sorted(kept, key=lambda one: one.kept))


def keep_measurement(url: str, name: str, measurement: Measurement) -> None:
    """Attaches a measurement to the study. Raises StudyError if there is no such study."""
    values = encode(measurement)
    key = f"{measurement.host.device}:{measurement.artefact[:16]}:{_digest(values)[:12]}"
    attach(url, name, "measured", key, values)


def keep_counts(url: str, name: str, counted: CountedNetwork) -> None:
    """Attaches counts to the study, replacing those of the same network, core and tools. Raises StudyError."""
    key = _digest([counted.subject, counted.core.name, counted.record.key])
    attach(url, name, "counted", key, encode(counted))


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def standing(trials: Sequence[TrialRecord]) -> tuple[set[int], set[int]]:
    """Of trained candidates the numbers on the front, and those that noise leaves a place there."""
    scores = scores_of([trial.results for trial in trials])
    points = [
        (score.error, trial.cost) for score, trial in zip(scores, trials, strict=True) if trial.cost is not None
    ]
    assert len(points) == len(trials), "a complete trial has both objectives"
    fronts = {trials[index].number for index in front(points)}
    possible = {trials[index].number for index in possible_front(points, [score.deviation for score in scores])}
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

    Measurements on other hardware of the same name, on another core, or after minutes of running stand apart, under a
    name that says so.
    """
    variants: dict[str, set[tuple[str, int]]] = {}
    for one in measurements_of(study):
        variants.setdefault(one.host.device, set()).add((one.host.identity, one.host.core))
    found: dict[str, dict[str, Measurement]] = {}
    for one in measurements_of(study):
        name = _label(one, variants[one.host.device])
        kept = found.setdefault(name, {}).get(one.subject)
        if kept is None or one.verdict != "refused" or kept.verdict == "refused":
            found[name][one.subject] = one
    return found


def counted_by_core(study: StudyRecord) -> dict[str, dict[str, CountedNetwork]]:
    """What was counted, by core and architecture; the last that was kept of each.

    Other cores of the same name stand apart, under a name that says so.
    """
    digests: dict[str, set[str]] = {}
    for one in counts_of(study):
        digests.setdefault(one.core.name, set()).add(one.core.digest)
    found: dict[str, dict[str, CountedNetwork]] = {}
    for one in counts_of(study):
        several = len(digests[one.core.name]) > 1
        name = f"{one.core.name}, description {one.core.digest[:8]}" if several else one.core.name
        found.setdefault(name, {})[one.subject] = one
    return found


def _label(one: Measurement, variants: set[tuple[str, int]]) -> str:
    """The device's name, with what tells this measurement's conditions from others on it."""
    words = [one.host.device]
    if len({identity for identity, _ in variants}) > 1:
        words.append(one.host.identity)
    if len({core for identity, core in variants if identity == one.host.identity}) > 1:
        words.append(f"core {one.host.core}")
    if one.sustained_minutes is not None:
        words.append(f"after {one.sustained_minutes:g} minutes")
    return ", ".join(words)
