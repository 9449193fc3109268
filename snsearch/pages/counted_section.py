"""Counts on the caches of cores as sections of a study's page.

Counts are no latencies: milliseconds are in the table alone, as predictions with their interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

from snsearch.codec import encode
from snsearch.device import CountedNetwork
from snsearch.pages.candidate_rows import CandidateRow
from snsearch.pages.evidence import counts_of
from snsearch.pages.sections import Facts, Section, with_interval
from snsearch.pages.view import View
from snsearch.study import StudyRecord, front
from snsearch.tables import Column, Table

COUNTS = (("M instructions", "instructions", 2), ("M L1d misses", "l1d_misses", 3), ("M L2 misses", "l2_misses", 3))
Counted = tuple[CandidateRow, CountedNetwork]


def counted_sections(view: View) -> tuple[Section, ...]:
    """A section for each core on whose caches a candidate was counted."""
    found = {
        name: [(row, of[key]) for row in view.rows if (key := row.architecture.key) in of]
        for name, of in view.counted.items()
    }
    return tuple(_section(name, at, ours) for at, (name, ours) in enumerate(found.items()) if ours)


def _section(name: str, at: int, ours: Sequence[Counted]) -> Section:
    counted = [one for _, one in ours]
    on_front = front([(row.score.error, one.record.counts.instructions) for row, one in ours])
    return Section(
        name=f"core-{at}",
        title=f"Counted on {name}",
        lines=_summary(counted),
        tables=(
            Table(
                columns=_columns(
                    {ours[index][0].number for index in on_front},
                    predicts=any(one.milliseconds is not None for one in counted),
                ),
                rows=ours,
            ),
        ),
        facts=_facts(max(counted, key=lambda one: one.kept)),
    )


def _columns(numbers: Set[int], *, predicts: bool) -> tuple[Column[Counted], ...]:
    of = Column[Counted]

    def count(name: str, digits: int) -> Callable[[Counted], str]:
        return lambda c: f"{getattr(c[1].record.counts, name) / 1e6:.{digits}f}"

    def predicted(counted: Counted) -> str:
        return "" if counted[1].milliseconds is None else with_interval(*counted[1].milliseconds)

    return (
        of("trial", lambda c: f"#{c[0].number}", align="right"),
        of("candidate", lambda c: c[0].trial.words + (" (front)" if c[0].number in numbers else "")),
        *(of(head, count(name, digits), align="right") for head, name, digits in COUNTS),
        *([of("predicted ms [95 %]", predicted, align="right")] if predicts else []),
        of("provenance", lambda c: c[1].record.provenance),
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
