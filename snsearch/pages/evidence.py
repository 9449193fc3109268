"""Measurements and counts of a study's candidates: which candidates to measure, and what was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from snsearch.codec import decode, encode
from snsearch.device import CountedNetwork, Measurement
from snsearch.errors import StudyError
from snsearch.study import StudyRecord, TrialRecord, attach, front, possible_front, scores_of


def measurements_of(study: StudyRecord) -> tuple[Measurement, ...]:
    """All measurements of candidates, oldest first. Raises StudyError for a record of an unknown schema."""
    found = study.attachments["measured"]
    kept = (decode(Measurement, values, "a measurement of the study", error=StudyError) for values in found)
    return tuple(sorted(kept, key=lambda one: one.measured))


def counts_of(study: StudyRecord) -> tuple[CountedNetwork, ...]:
    """All counts of candidates, oldest first. Raises StudyError for a record of an unknown schema."""
    found = study.attachments["counted"]
    kept = (decode(CountedNetwork, values, "counts of the study", error=StudyError) for values in found)
    return tuple(sorted(kept, key=lambda one: one.kept))


def keep_measurement(url: str, name: str, measurement: Measurement) -> None:
    """Attaches a measurement to the study. Raises StudyError if there is no such study."""
    values = encode(measurement)
    # Without causes, which earlier versions did not store: the same measurement keeps its key.
    digest = _digest({name: value for name, value in values.items() if name != "causes"})
    key = f"{measurement.host.device}:{measurement.artefact[:16]}:{digest[:12]}"
    attach(url, name, "measured", key, values)


def keep_counts(url: str, name: str, counted: CountedNetwork) -> None:
    """Attaches counts to the study, replacing those of the same network, core and tools. Raises StudyError."""
    key = _digest([counted.subject, counted.core.name, counted.record.key])
    attach(url, name, "counted", key, encode(counted))


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def standing(trials: Sequence[TrialRecord]) -> tuple[set[int], set[int]]:
    """The trial numbers on the front, and those that noise may hide from it."""
    scores = scores_of([trial.results for trial in trials])
    points = [
        (score.error, trial.cost) for score, trial in zip(scores, trials, strict=True) if trial.cost is not None
    ]
    assert len(points) == len(trials), "a complete trial has both objectives"
    fronts = {trials[index].number for index in front(points)}
    possible = {trials[index].number for index in possible_front(points, [score.deviation for score in scores])}
    return fronts, possible


def worth_measuring(study: StudyRecord) -> tuple[TrialRecord, ...]:
    """The candidates to choose among: the front, those that noise may hide from it, and the finalists."""
    trials = study.candidates
    if not trials:
        return ()
    fronts, possible = standing(trials)
    return tuple(t for t in trials if t.number in fronts | possible or t.repeats)


def measured_by_device(study: StudyRecord) -> dict[str, dict[str, Measurement]]:
    """Measurements by device and architecture: the latest that was not refused, else the refused one.

    Other hardware of the same name, another core, and minutes of running before get an entry of their own, whose name
    says so.
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
    """Counts by core and architecture: the latest of each.

    Another core of the same name gets an entry of its own, whose name says so.
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
    """The device's name, with the conditions that distinguish this measurement from others on it."""
    words = [one.host.device]
    if len({identity for identity, _ in variants}) > 1:
        words.append(one.host.identity)
    if len({core for identity, core in variants if identity == one.host.identity}) > 1:
        words.append(f"core {one.host.core}")
    if one.sustained_minutes is not None:
        words.append(f"after {one.sustained_minutes:g} minutes")
    return ", ".join(words)


def provenance_of(
    key: str,
    cost_name: str,
    counted: Mapping[str, Mapping[str, CountedNetwork]],
    measured: Mapping[str, Mapping[str, Measurement]],
) -> str:
    """Which kinds of figures a candidate has beside its error: "predicted; counted on cortex-a72; measured on pi"."""
    kinds = ["counted"]
    if cost_name.startswith("latency "):
        kinds = ["predicted from counted cost" if cost_name.startswith("latency counted-") else "predicted"]
    kinds += [f"counted on {core}" for core, found in counted.items() if key in found]
    for device, found in measured.items():
        if (one := found.get(key)) is not None:
            kinds.append(f"{'measured' if one.latency_ms is not None else one.verdict} on {device}")
    return "; ".join(kinds)
