"""The page: data that claims no more than was measured, and HTML that is safe and self-contained."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from snsearch.codec import encode
from snsearch.device.counting.record import CountedNetwork
from snsearch.errors import StudyError
from snsearch.network.arch import Architecture
from snsearch.network.costs import count_costs
from snsearch.pages.audit import Audit
from snsearch.pages.facts import unscored_facts
from snsearch.pages.page import Report, render, report_data, write_report
from snsearch.pages.sections import Section, column_of
from snsearch.pages.vega import script
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from snsearch.study.effort import Effort
from snsearch.study.records import Settings, StudyRecord, TrialRecord
from snsearch.study.search import run_plan
from tests.studies import Log, Setup, made_up_counts, pretended_training

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028"


def _errors(arch: Architecture) -> tuple[float, ...]:
    last = 0.5 - arch.stage_channels[-1] / 4000
    return last + 0.2, last + 0.1, last


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    setup = Setup(tmp_path_factory.mktemp("study"), train=pretended_training(_errors))
    run = {"command": ["snsearch", "search"], "started": "2026-01-01T00:00:00+00:00", "cores": 2}
    plan = setup.plan(effort=Effort(start=6, trainings=9.0, seeds=1))
    run_plan(plan, run, Log(), lambda: False)
    found = setup.study()
    whole = (trial for trial in found.trials if trial.status == "complete")
    return replace(found, trials=tuple(replace(trial, number=number) for number, trial in enumerate(whole)))


@pytest.fixture(scope="module")
def data(study: StudyRecord) -> Report:
    return report_data(study)


def _scored(study: StudyRecord, scores: list[tuple[float, float]], test_images: int = 10_000) -> StudyRecord:
    """The study with other errors and costs."""
    trials = []
    for trial, (error, cost) in zip(study.candidates, scores, strict=False):
        assert trial.proxy is not None
        proxy = replace(trial.proxy, error=error, test_images=test_images)
        trials.append(replace(trial, cost=cost, proxy=proxy, repeats=()))
    return replace(study, trials=tuple(trials), lengths=None)


def test_the_rows_are_the_study_s_candidates(study: StudyRecord, data: Report) -> None:
    assert [row.number for row in data.rows] == [trial.number for trial in study.candidates]
    for row, trial in zip(data.rows, study.candidates, strict=True):
        assert trial.proxy is not None
        assert trial.architecture is not None
        assert (row.score.error, row.cost, row.architecture) == (trial.proxy.error, trial.cost, trial.architecture)


def test_the_front_is_marked_and_what_noise_could_put_there_is_tied(study: StudyRecord) -> None:
    # 10,000 images at 10 % error: a standard error of 0.3 %, so 0.5 % apart is noise and 3 % is not.
    scores = [(0.100, 50.0), (0.105, 60.0), (0.130, 70.0), (0.120, 40.0)]
    rows = report_data(_scored(study, scores)).rows
    assert [row.on_front for row in rows] == [True, False, False, True]
    assert [row.tied for row in rows] == [False, True, False, False]


def test_intervals_of_one_seed_are_those_of_the_test_images(study: StudyRecord) -> None:
    row = report_data(_scored(study, [(0.1, 50.0)])).rows[0]
    assert row.score.seeds == 1
    assert row.score.deviation_95 == pytest.approx(1.96 * (0.1 * 0.9 / 10_000) ** 0.5, rel=1e-2)


def test_further_seeds_make_a_mean_and_widen_every_candidate_s_interval(study: StudyRecord) -> None:
    alone = _scored(study, [(0.10, 50.0), (0.12, 40.0)])
    first, second = alone.trials
    assert first.proxy is not None
    repeats = tuple(replace(first.proxy, error=error, seed=seed) for seed, error in ((1, 0.11), (2, 0.12)))
    data = report_data(replace(alone, trials=(replace(first, repeats=repeats), second)))
    assert [(row.score.seeds, round(row.score.error, 6)) for row in data.rows] == [(3, 0.11), (1, 0.12)]
    before = report_data(alone).rows
    assert data.rows[1].score.deviation_95 > 2 * before[1].score.deviation_95
    assert data.rows[0].score.deviation_95 < data.rows[1].score.deviation_95
    facts = dict(data.section("meaning").facts)
    assert facts["Seeds"].startswith("0, 1, 2; 1 finalists have several")
    assert "spreads by 1.00%" in facts["Seeds"]
    assert "the spread between seeds" in facts["Intervals"]
    assert data.document["candidates"][0]["error"] == pytest.approx(0.11)
    assert len(data.document["candidates"][0]["repeats"]) == 2


def test_the_summary_names_the_cheapest_that_cannot_be_told_apart(study: StudyRecord) -> None:
    summary = (
        report_data(_scored(study, [(0.100, 50.0), (0.104, 40.0), (0.2, 30.0)])).section("verdict").lines[1:]
    )  # behind why there is no verdict
    assert summary[0].startswith("Lowest proxy error: #0 ")
    assert "#1 " in summary[1]
    assert "20% less" in summary[1]
    assert summary[2].startswith("2 of 3 candidates cannot be told apart")


def test_a_clear_winner_is_not_hedged(study: StudyRecord) -> None:
    assert len(report_data(_scored(study, [(0.1, 50.0), (0.2, 40.0)])).section("verdict").lines[1:]) == 1


def test_the_channel_table_has_a_column_for_each_network_of_the_front(data: Report) -> None:
    [table] = data.section("channels").tables
    front_numbers = {f"#{row.number}" for row in data.rows if row.on_front}
    assert {column.name.split()[0] for column in table.columns[5:]} == front_numbers
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_networks_that_mix_groups_have_a_color_a_name_and_a_column(study: StudyRecord) -> None:
    first, *others = study.candidates
    assert first.architecture is not None
    widths = solve(load_space("shufflenet-v1"), study.settings.budget, Design(groups=(1, 3, 8))).architecture
    mixed = replace(widths, se_reduction=(0, 16, 16))
    trial = replace(first, architecture=mixed, costs=count_costs(mixed), cost=0.001)
    data = report_data(replace(study, trials=(trial, *others)))
    families = data.view.families
    assert (1, 3, 8) in families.color
    assert [families.names[at] for at in families.color.values()]
    many = product((1, 2, 3, 4, 8), (1, 2), (4, 8))
    space, budget = load_space("shufflenet-v1"), study.settings.budget
    found = [solve(space, budget, Design(groups=groups)) for groups in many]
    trials = [
        replace(trial, number=at, architecture=one.architecture, costs=one.costs) for at, one in enumerate(found)
    ]
    last = report_data(replace(study, trials=tuple(trials))).view.families
    assert len(last.names) == 2, "those of the last stage, where all groups together are more than colors"
    assert {groups[-1] for groups, color in last.color.items() if color == 0} == {4}
    [table] = data.section("channels").tables
    assert f"#{trial.number} g=1-3-8" in [column.name for column in table.columns]
    assert "g=1-3-8" in trial.words
    assert "SE 0-16-16" in trial.words
    page = render(data)
    assert "g = 1-3-8" in page
    [entry] = [one for one in data.document["candidates"] if one["number"] == trial.number]
    assert (entry["architecture"]["groups"], entry["architecture"]["se_reduction"]) == ([1, 3, 8], [0, 16, 16])


def _audits(study: StudyRecord) -> Sequence[Audit]:
    return report_data(study).section("audit").tables[0].rows


def test_the_audit_holds_for_a_budget_that_was_met_and_fails_for_one_that_was_not(study: StudyRecord) -> None:
    [audit] = _audits(study)
    assert audit.bound == "MFLOPs"
    assert audit.held
    budget = study.settings.budget
    stricter = replace(study, settings=replace(study.settings, budget=replace(budget, params=1000)))
    assert [(a.bound, a.held) for a in _audits(stricter)] == [("MFLOPs", True), ("Parameters", False)]


def test_mflops_that_another_bound_keeps_low_are_no_fault(study: StudyRecord) -> None:
    budget = replace(study.settings.budget, macs=study.settings.budget.macs * 2)  # type: ignore[operator]
    far = replace(study, settings=replace(study.settings, budget=budget))
    assert [audit.held for audit in _audits(far)] == [False]
    capped = replace(far, trials=tuple(replace(trial, binding="params") for trial in far.trials))
    [audit] = _audits(capped)
    assert audit.held
    assert audit.rule.endswith(f"{len(study.candidates)} of {len(study.candidates)} end below, at another bound")


def test_a_stored_cost_that_is_not_what_the_network_counts_is_found_out(study: StudyRecord) -> None:
    first = study.candidates[0]
    assert first.costs is not None
    tampered = replace(first, costs=replace(first.costs, macs=first.costs.macs - 1))
    with pytest.raises(StudyError, match="#0: its stored costs"):
        report_data(replace(study, trials=(tampered, *study.trials[1:])))


def test_a_study_without_a_trained_candidate_has_no_report(study: StudyRecord) -> None:
    with pytest.raises(StudyError, match="no trained candidate"):
        report_data(replace(study, trials=()))


def test_every_error_comes_with_its_proxy_data_seeds_and_spread(data: Report) -> None:
    facts = dict(data.section("meaning").facts)
    assert "validation images by which the search chooses" in facts["What the error is"]
    assert facts["Length of training"].startswith("a full training takes 256 images, a short one ")
    assert "digits" in facts["Data"]
    assert facts["Seeds"] == "0 for what the search chooses by; 1 for the answer above"
    assert "10,000 validation images" in facts["Intervals"]
    assert "not a latency" in facts["Second objective"]


def test_failed_trials_are_listed_with_their_reason(study: StudyRecord) -> None:
    failed: TrialRecord = replace(study.trials[0], number=99, status="failed", proxy=None, reason="out of memory")
    assert unscored_facts(replace(study, trials=(*study.trials, failed))) == (("#99 failed", "out of memory"),)


def _hostile(study: StudyRecord) -> StudyRecord:
    settings: Settings = replace(
        study.settings,
        data=HOSTILE,
        data_description=HOSTILE,
        space=HOSTILE,
        budget=replace(study.settings.budget, name=HOSTILE, source=HOSTILE),
    )
    trials = tuple(
        replace(t, notes=(HOSTILE,), design=replace(t.design, depth=HOSTILE), reason=HOSTILE) for t in study.trials
    )
    return replace(study, name=HOSTILE, settings=settings, trials=trials, provenance=({"command": [HOSTILE]},))


def test_untrusted_text_is_escaped_everywhere(study: StudyRecord) -> None:
    page = render(report_data(_hostile(study)))
    clean = render(report_data(study))
    for tag in ("<script", "</script", "<img"):
        assert page.count(tag) == clean.count(tag)
    assert html.escape(HOSTILE, quote=False)[:30] in page.replace("&#34;", '"').replace("&#39;", "'")


def test_the_embedded_json_is_the_document_whatever_it_holds(study: StudyRecord) -> None:
    data = report_data(_hostile(study))
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', render(data), re.DOTALL)
    assert found is not None
    figures = json.loads(found[1])
    assert figures["study"] == HOSTILE
    assert figures["verdict"] == json.loads(json.dumps(data.document["verdict"]))
    names = [column["name"] for column in figures["candidates"]["columns"]]
    assert [dict(zip(names, row, strict=True)) for row in figures["candidates"]["values"]] == data.table.records()


def with_counts(study: StudyRecord, counts: Iterable[CountedNetwork]) -> StudyRecord:
    """The study with these counts attached."""
    attached = tuple(encode(one) for one in counts)
    return replace(study, attachments={**study.attachments, "counted": attached})


def _counted(study: StudyRecord, *millions: float, **options: Any) -> tuple[CountedNetwork, ...]:
    """Counts of the study's first candidates: millions of instructions, half as many misses."""
    return tuple(
        made_up_counts(
            trial.architecture.key,
            instructions=round(1e6 * value),
            l1d_misses=round(5e5 * value),
            l2_misses=round(5e5 * value),
            **options,
        )
        for trial, value in zip(study.candidates, millions, strict=False)
        if trial.architecture is not None
    )


def _instructions(section: Section) -> tuple[str, ...]:
    return tuple(column_of(section.tables[0], "M instructions"))


def _cores(data: Report) -> list[Section]:
    return [section for section in data.sections if section.name.startswith("core-")]


def _numbers(section: Section) -> list[str]:
    return list(column_of(section.tables[0], "trial"))


def _on_front(section: Section) -> list[bool]:
    return ["(front)" in cell for cell in column_of(section.tables[0], "candidate")]


def test_a_core_has_a_section_of_the_candidates_that_were_counted(study: StudyRecord) -> None:
    scored = _scored(study, [(0.1, 50.0), (0.2, 40.0), (0.3, 60.0), (0.4, 30.0)])
    foreign = made_up_counts("shufflenet-of-another-study")
    data = report_data(with_counts(scored, (*_counted(scored, 20, 10, 30), foreign)))
    [section] = _cores(data)
    assert section.title == "Counted on cortex-a72"
    assert _numbers(section) == ["#0", "#1", "#2"]
    assert _instructions(section) == ("20.00", "10.00", "30.00")
    for misses in ("M L1d misses", "M L2 misses"):
        assert column_of(section.tables[0], misses) == ["10.000", "5.000", "15.000"]
    assert _on_front(section) == [True, True, False]
    # The A72's file: 10 * 0.325973 + 5 * 8.04795 + 5 * 9.18806 ms, and a factor of 1.26941 either way.
    assert column_of(section.tables[0], "predicted ms [95 %]")[1] == "89.4 [70.5, 114]"
    assert "They are not latencies." in section.lines[0]
    assert section.lines[1].startswith("Milliseconds are predicted from counted cost, Raspberry Pi 4B")
    assert len(section.lines) == 2
    assert dict(section.facts)["Caches"].startswith("L1d 32 KiB, 2 ways, lines of 64 bytes; L1i 48 KiB")
    assert [row.provenance.partition("; ")[2] for row in data.rows] == ["counted on cortex-a72"] * 3 + [""]


def test_counts_are_axes_of_the_front_s_chart_and_columns_of_the_table(study: StudyRecord) -> None:
    scored = _scored(study, [(0.1, 50.0), (0.2, 40.0), (0.3, 60.0)])
    data = report_data(with_counts(scored, _counted(scored, 20, 25, 10)))
    assert {row.number for row in data.rows if row.on_front} == {0, 1}
    assert _on_front(_cores(data)[0]) == [True, False, True], "a front of its own"
    options = data.section("front").charts[0].options
    assert options is not None
    axes = {axis["name"]: axis for axis in options["axes"]}
    assert axes["instructions_0"]["title"] == "M instructions (cortex-a72, counted)"
    assert not axes["instructions_0"]["interval"], "a count has no interval"
    assert [record["instructions_0"] for record in data.table.records()] == [20, 25, 10]


def test_a_core_without_published_figures_has_no_milliseconds(study: StudyRecord) -> None:
    data = report_data(with_counts(study, _counted(study, 20, core="cortex-a76")))
    [section] = _cores(data)
    assert "predicted ms [95 %]" not in [column.head for column in section.tables[0].columns]
    assert len(section.lines) == 1
    assert "predicted ms" not in render(data)
    assert "predicted ms" in render(report_data(with_counts(study, _counted(study, 20))))


def test_the_last_count_of_a_candidate_is_shown_and_mixed_programs_are_told(study: StudyRecord) -> None:
    later = _counted(study, 21, runner="cd" * 32, kept="2026-01-02T00:00:00+00:00")
    [section] = _cores(report_data(with_counts(study, (*_counted(study, 20, 10), *later))))
    assert _instructions(section) == ("21.00", "10.00")
    assert section.lines[-1].startswith("Several runners or versions of qemu")
    assert "runner cdcdcdcdcdcd" in dict(section.facts)["Engine"]


def test_other_cores_of_one_name_have_sections_of_their_own(study: StudyRecord) -> None:
    first, second = _counted(study, 20, 10)
    small = replace(second.core, l2=replace(second.core.l2, size=1 << 19))
    sections = _cores(report_data(with_counts(study, (first, replace(second, core=small)))))
    assert list(map(_instructions, sections)) == [("20.00",), ("10.00",)]
    assert sections[0].title != sections[1].title


def test_counts_stand_in_the_document_and_a_study_without_has_none(study: StudyRecord, data: Report) -> None:
    assert (_cores(data), data.document["counts"]) == ([], [])
    [first] = _counted(study, 20)
    [shown] = report_data(with_counts(study, (first,))).document["counts"]
    assert shown["subject"] == first.subject
    assert shown["counts"] == encode(first.record.counts)
    assert shown["kind"] == "counted"
    assert shown["predicted"] == first.predicted_json()


def test_a_core_s_own_words_are_escaped(study: StudyRecord) -> None:
    [first] = _counted(study, 20)
    assert first.core.weighing is not None
    hostile = replace(
        first,
        core=replace(
            first.core,
            name=HOSTILE,
            title=HOSTILE,
            source=HOSTILE,
            weighing=replace(first.core.weighing, device=HOSTILE, source=HOSTILE),
        ),
        record=replace(first.record, cpu=HOSTILE, ncnn=HOSTILE, qemu=HOSTILE, runner=HOSTILE),
    )
    page, clean = (render(report_data(with_counts(study, (one,)))) for one in (hostile, first))
    for tag in ("<script", "</script", "<img"):
        assert page.count(tag) == clean.count(tag)
    assert page.count("&lt;img src=x onerror=alert(2)&gt;") >= 8, "in title, axis, facts, sentences, tooltip and rows"


def test_names_that_are_no_unicode_stand_in_a_page_that_can_be_written(study: StudyRecord, tmp_path: Path) -> None:
    odd = replace(study, provenance=({"skipped_images": ["bad\udcfe.png: no image"]},))
    write_report(report_data(odd), tmp_path / "report.html")
    assert "bad\\udcfe.png" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_reaches_for_nothing_outside_itself(data: Report) -> None:
    page = render(data)
    assert "default-src 'none'" in page
    assert "unsafe-eval" not in page
    own = page.replace(script(), "")
    assert not re.findall(r"""\s(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", own)
    assert not re.findall(r"url\((?!#)", own)
    assert not re.findall(r"https?:(?!//www\.w3\.org/)", own)


def test_a_stored_network_that_cannot_be_built_is_found_out(study: StudyRecord) -> None:
    first = study.candidates[0]
    assert first.architecture is not None
    tampered = replace(first, architecture=replace(first.architecture, unit="made-up"))
    with pytest.raises(StudyError, match="trial #0: architecture: unknown structure unit 'made-up'"):
        report_data(replace(study, trials=(tampered, *study.trials[1:])))


def test_the_summary_gives_costs_with_their_unit(data: Report) -> None:
    unit = data.view.unit
    assert unit
    [line] = [line for line in data.section("verdict").lines if line.startswith("Take ")]
    assert re.search(
        rf" at \d+\.\d+ {re.escape(unit)}; trained in full, 1 seed; guessing errs on (89|9\d)\.\d%\.$", line
    )


def test_writing_leaves_no_partial_file(data: Report, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(data, path)
    write_report(data, path)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_page_that_cannot_be_written_is_a_study_error(data: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StudyError, match=r"report\.html' cannot be written"):
        write_report(data, tmp_path / "file" / "report.html")
