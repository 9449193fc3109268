"""What was counted on the caches of cores, as a study's page shows it: a table, and error against instructions.

Nothing here is a latency: milliseconds stand in the table alone, as predictions with their interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snsearch.codec import encode
from snsearch.device import CountedNetwork
from snsearch.pages.charts import Scatter
from snsearch.pages.error_chart import Candidate, error_scatter
from snsearch.pages.evidence import counted_by_core, counts_of
from snsearch.study import Score, StudyRecord, TrialRecord, front


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedRow:
    """One candidate on one core."""

    number: int
    words: str
    instructions: str  # millions, as the misses
    l1d_misses: str
    l2_misses: str
    predicted: str  # milliseconds with their interval; empty where no published figures stand for the core
    provenance: str
    on_front: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedSection:
    """Everything that the page says of one core."""

    title: str
    summary: tuple[str, ...]
    rows: tuple[CountedRow, ...]
    predicts: bool
    scatter: Scatter
    axis: str
    facts: tuple[tuple[str, str], ...]


def counted_sections(
    study: StudyRecord, trials: Sequence[TrialRecord], scores: Sequence[Score], groups: Sequence[int]
) -> tuple[CountedSection, ...]:
    """One section a core, in the order in which they were counted on; `scores` are the trials'."""
    sections = []
    for name, found in counted_by_core(study).items():
        ours = [
            (trial, score, found[trial.architecture.key])
            for trial, score in zip(trials, scores, strict=True)
            if trial.architecture is not None and trial.architecture.key in found
        ]
        if ours:
            sections.append(_section(name, ours, groups))
    return tuple(sections)


Counted = tuple[TrialRecord, Score, CountedNetwork]


def _section(name: str, ours: Sequence[Counted], groups: Sequence[int]) -> CountedSection:
    points = [(score.error, float(one.record.counts.instructions)) for _, score, one in ours]
    fronts = {ours[index][0].number for index in front(points)}
    counted = [one for _, _, one in ours]
    return CountedSection(
        title=f"Counted on {name}",
        summary=_summary(counted),
        rows=tuple(_row(trial, one, trial.number in fronts) for trial, _, one in ours),
        predicts=any(one.milliseconds is not None for one in counted),
        scatter=error_scatter([_drawn(*each) for each in ours], fronts, groups, height=400),
        axis=f"M instructions ({name}, counted)",
        facts=_facts(max(counted, key=lambda one: one.kept)),
    )


def _row(trial: TrialRecord, one: CountedNetwork, on_front: bool) -> CountedRow:
    counts, ms = one.record.counts, one.milliseconds
    return CountedRow(
        number=trial.number,
        words=trial.words,
        instructions=f"{counts.instructions / 1e6:.2f}",
        l1d_misses=f"{counts.l1d_misses / 1e6:.3f}",
        l2_misses=f"{counts.l2_misses / 1e6:.3f}",
        predicted="" if ms is None else f"{ms[0]:.3g} [{ms[1]:.3g}, {ms[2]:.3g}]",
        provenance=one.record.provenance,
        on_front=on_front,
    )


def _drawn(trial: TrialRecord, score: Score, one: CountedNetwork) -> Candidate:
    millions = one.record.counts.instructions / 1e6
    return Candidate(
        trial=trial,
        score=score,
        cost=millions,
        cost_interval=None,
        label=f"#{trial.number}",
        cost_words=f"{one.record.provenance}: {millions:.2f} M instructions",
    )


def _summary(counted: Sequence[CountedNetwork]) -> tuple[str, ...]:
    lines = ["These are counts of what one inference executes and what misses in the caches. They are not latencies."]
    weighings = dict.fromkeys(one.core.weighing for one in counted)
    lines += [f"Milliseconds are {weighing.provenance}." for weighing in weighings if weighing is not None]
    if len({(one.record.runner, one.record.qemu) for one in counted}) > 1:
        lines.append("Several runners or versions of qemu made them; to compare them closely, count with one.")
    return tuple(lines)


def _facts(one: CountedNetwork) -> tuple[tuple[str, str], ...]:
    core, record = one.core, one.record
    return (
        ("Core", core.title),
        ("Caches", f"L1d {core.l1d.words}; L1i {core.l1i.words}; L2 {core.l2.words}"),
        ("Source of the caches", core.source),
        ("Engine", f"ncnn {record.ncnn} for aarch64, runner {record.runner[:12]}, one thread; qemu {record.qemu}"),
    )


def counted_document(study: StudyRecord) -> list[dict[str, Any]]:
    """What was counted, for programs."""
    return [
        {"subject": one.subject, **encode(one.record), "predicted": one.predicted_json(), "kept": one.kept}
        for one in counts_of(study)
    ]
