"""Counts on the caches of cores as sections of a study's page: a table, and error against instructions.

Counts are no latencies: milliseconds are in the table alone, as predictions with their interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snsearch.codec import encode
from snsearch.device import CountedNetwork
from snsearch.pages.error_chart import Candidate, Palette
from snsearch.pages.evidence import counts_of
from snsearch.pages.sections import Facts, Section, SectionRow, drawn, with_interval
from snsearch.study import Score, StudyRecord, TrialRecord

COUNTS = (("M instructions", "instructions", 2), ("M L1d misses", "l1d_misses", 3), ("M L2 misses", "l2_misses", 3))
Counted = tuple[TrialRecord, Score, CountedNetwork]


def counted_section(name: str, ours: Sequence[Counted], groups: Palette) -> Section:
    """The section about a core, with the candidates that were counted on its caches."""
    counted = [one for _, _, one in ours]
    predicts = any(one.milliseconds is not None for one in counted)
    scatter, fronts = drawn([_candidate(*each) for each in ours], groups)
    return Section(
        title=f"Counted on {name}",
        summary=_summary(counted),
        scatter=scatter,
        axis=f"M instructions ({name}, counted)",
        cost="counted instructions",
        caption="bars are 95 % intervals of the error. Only candidates that were counted are drawn.",
        columns=(
            *((head, "") for head, _, _ in COUNTS),
            *([("predicted ms [95 %]", "")] if predicts else []),
            ("provenance", "text wrap"),
        ),
        rows=tuple(
            SectionRow(
                number=trial.number, words=trial.words, on_front=trial.number in fronts, cells=_cells(one, predicts)
            )
            for trial, _, one in ours
        ),
        facts=_facts(max(counted, key=lambda one: one.kept)),
    )


def _cells(one: CountedNetwork, predicts: bool) -> tuple[str, ...]:
    counts = [f"{getattr(one.record.counts, name) / 1e6:.{digits}f}" for _, name, digits in COUNTS]
    predicted = "" if one.milliseconds is None else with_interval(*one.milliseconds)
    return (*counts, *([predicted] if predicts else []), one.record.provenance)


def _candidate(trial: TrialRecord, score: Score, one: CountedNetwork) -> Candidate:
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


def _facts(one: CountedNetwork) -> Facts:
    core, record = one.core, one.record
    return (
        ("Core", core.title),
        ("Caches", f"L1d {core.l1d.words}; L1i {core.l1i.words}; L2 {core.l2.words}"),
        ("Source of the caches", core.source),
        ("Engine", f"ncnn {record.ncnn} for aarch64, runner {record.runner[:12]}, one thread; qemu {record.qemu}"),
    )


def counted_document(study: StudyRecord) -> list[dict[str, Any]]:
    """The counts for programs."""
    return [
        {"subject": one.subject, **encode(one.record), "predicted": one.predicted_json(), "kept": one.kept}
        for one in counts_of(study)
    ]
