"""What the sections say, by numbers that can be checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.network.costs import count_costs
from snsearch.pages.cards import verdict_section
from snsearch.pages.compare import pairs_of
from snsearch.pages.deployed import deployed_section
from snsearch.pages.operators_section import live_bytes
from snsearch.pages.page import Report, report_data
from snsearch.pages.sections import Section
from snsearch.pages.several import several_sections
from snsearch.solver.budget import load_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from snsearch.study.storage import read_study
from snsearch.study.verdict import verdict_of

FINISHED = Path(__file__).parent.parent / "fixtures" / "finished"
SAMPLE = Path(__file__).parent.parent.parent / "reports" / "sample"


@pytest.fixture(scope="module")
def report() -> Report:
    return report_data(read_study(f"sqlite:///{FINISHED / 'study.db'}"))


def test_the_cards_are_the_verdict_s_choices(report: Report) -> None:
    verdict = verdict_of(report.view.study)
    assert verdict is not None
    fastest, balanced = report.section("verdict").cards
    assert balanced.trial == verdict.pick.trial == verdict.most_accurate.trial
    assert balanced.title == "Balanced, most accurate"
    assert (fastest.title, fastest.trial) == ("Faster, undecided", 16)
    assert "-0.3, +0.6] points beside the balanced one: not told apart" in fastest.marks[0]
    assert not any("extrapolated" in mark for card in (fastest, balanced) for mark in card.marks)
    [judged] = [line for line in report.section("verdict").lines if "judged on" in line]
    assert f"#{fastest.trial}" in judged
    assert dict(balanced.figures)["latency"] == "18.4 ms [14.0, 24.2], predicted"
    assert dict(balanced.commands)["train"] == "snsearch train 'sample#6' --out trained-6 --recipe modern"


def test_a_verdict_that_separates_does_not_send_for_more(report: Report) -> None:
    assert verdict_section(report.view).lines[0].startswith("The best are not told apart")
    verdict = report.view.verdict
    assert verdict is not None
    apart = verdict_section(replace(report.view, verdict=replace(verdict, separated=True, decided=True)))
    assert apart.lines[0].startswith("Take #6")


def test_the_cards_that_are_the_same_network_are_counted_once(report: Report) -> None:
    def first_line(kept: set[int]) -> str:
        found = _with_finals_of(report, kept).section("verdict")
        assert {card.trial for card in found.cards} == kept
        return found.lines[0]

    fastest, balanced = (card.trial for card in report.section("verdict").cards)
    assert first_line({fastest, balanced}).endswith("take one of these two.")
    assert first_line({balanced}).startswith(f"Take #{balanced} "), "there is nothing to choose among"


def _with_finals_of(report: Report, kept: set[int]) -> Report:
    """The report where only these candidates were finalists."""
    study = report.view.study
    trials = tuple(trial if trial.number in kept else replace(trial, repeats=()) for trial in study.trials)
    return report_data(replace(study, trials=trials))


def test_a_network_has_one_card_that_says_all_that_it_is(report: Report) -> None:
    fastest, balanced = (card.trial for card in report.section("verdict").cards)
    alone = _with_finals_of(report, {balanced}).view
    [card] = verdict_section(alone).cards
    assert (card.trial, card.title) == (balanced, "Fastest of the finalists, balanced, most accurate")
    assert alone.verdict is not None
    assert report.view.verdict is not None
    other = replace(report.view.verdict.pick, trial=fastest)
    cards = verdict_section(replace(alone, verdict=replace(alone.verdict, most_accurate=other))).cards
    assert [(card.trial, card.title) for card in cards] == [
        (balanced, "Fastest of the finalists, balanced"),
        (fastest, "Most accurate"),
    ]


def test_a_pick_beside_a_faster_finalist_is_not_called_the_fastest(report: Report) -> None:
    verdict = report.view.verdict
    assert verdict is not None
    one = replace(verdict.against[0], interval_points=(-2.0, -1.0), cost_ratio=1.2)
    found = verdict_section(replace(report.view, verdict=replace(verdict, against=(one,), others=())))
    assert [card.title for card in found.cards] == ["Balanced, most accurate"]


def test_where_no_network_learnt_there_is_none_to_take(report: Report) -> None:
    study = report.view.study
    assert study.lengths is not None
    guessed = report_data(replace(study, lengths=replace(study.lengths, chance=0.01)))
    section = guessed.section("verdict")
    assert section.cards == ()
    assert section.command is not None
    images = 4 * study.lengths.images
    assert section.command.endswith(f" --study sample-{images} --full-images {images}")
    assert section.lines == (*verdict_of(guessed.view.study).lines(),)  # type: ignore[union-attr]
    assert "not told apart from guessing" in section.lines[0]
    assert "Take" not in "\n".join(section.text(80))
    assert not next(several_sections([guessed])).tables[0].records()[0]["told apart"]


def test_before_finals_the_verdict_says_why_there_is_none(report: Report) -> None:
    study = report.view.study
    trials = tuple(replace(trial, repeats=()) for trial in study.trials)
    run = {**study.provenance[-1], "command": ["snsearch", "search", "--budget", "40", "--time-limit", "60.0"]}
    found = report_data(replace(study, trials=trials, provenance=(run,)))
    said = found.document["verdict"]
    assert said == {"why_none": found.section("verdict").lines[0], "next": "snsearch search --budget 40"}
    assert "time limit" in said["why_none"]
    assert found.section("verdict").command == said["next"]


def test_before_finals_the_cards_are_judged_by_the_search_and_say_so(report: Report) -> None:
    study = report.view.study
    trials = tuple(replace(trial, repeats=()) for trial in study.trials)
    cards = report_data(replace(study, trials=trials)).section("verdict").cards
    assert [card.title for card in cards] == ["Fastest, balanced", "Most accurate"]
    assert all("not on test images" in " ".join(card.marks) for card in cards)
    assert all("one seed" in " ".join(card.marks) for card in cards)


def test_pairs_are_the_verdict_s_own_differences(report: Report) -> None:
    verdict = report.view.verdict
    assert verdict is not None
    pairs = {(pair.first.number, pair.second.number): pair for pair in pairs_of(report.view)}
    for one in (*verdict.against, *verdict.others):
        pair = pairs.get((verdict.pick.trial, one.trial)) or pairs[(one.trial, verdict.pick.trial)]
        sign = 1 if pair.first.number == verdict.pick.trial else -1
        assert sign * pair.mean == pytest.approx(one.difference_points)
        assert pair.high - pair.low == pytest.approx(one.interval_points[1] - one.interval_points[0])
        assert pair.words == "5 seeds on test images"


def test_what_was_trained_is_named_beside_what_is_deployed(report: Report) -> None:
    [section] = deployed_section(report.view)
    [table] = section.tables
    lines = {line[0]: line[1:] for line in table.rows}
    assert lines["input"] == ("1x32x32", "1x224x224")
    assert lines["max-pooling after it"] == ("no", "yes")
    trained = report.view.row(6).architecture.at_input(channels=1, resolution=(32, 32), classes=10)
    assert lines["MFLOPs"] == (f"{count_costs(trained).mflops:.2f}", "39.97")
    settings = replace(report.view.study.settings, data_description="images of an unknown size")
    assert deployed_section(replace(report.view, study=replace(report.view.study, settings=settings))) == ()


def test_live_bytes_are_no_less_than_the_best_order_s_peak() -> None:
    arch = solve(load_space("shufflenet-v1"), load_budget("40"), Design(groups=3)).architecture
    most = max(size for _, size in live_bytes(arch, 4))
    assert count_costs(arch).peak_activation_bytes <= most <= 2 * count_costs(arch).peak_activation_bytes


def test_every_section_has_text_and_markdown(report: Report) -> None:
    for section in report.sections:
        assert section.markdown().startswith(f"## {section.title}\n")
        assert all(len(line) <= 80 for line in section.text(80))


def test_markdown_holds_no_markup_of_names() -> None:
    section = Section(name="x", title="a|b", lines=("<b>*bold*</b> [link](x)",), command="echo `x` ``y``")
    assert section.markdown() == "## a\\|b\n\n\\<b\\>\\*bold\\*\\</b\\> \\[link\\](x)\n\n``` echo `x` ``y`` ```\n"


def test_the_sample_s_page_is_what_its_study_writes_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from snsearch.pages.page import render

    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))  # the sample's page has no developer's own devices
    report = report_data(read_study(f"sqlite:///{SAMPLE / 'study.db'}"))

    def settled(page: str) -> str:
        start = page.index('<footer class="soft">')
        return page[:start] + page[page.index("</footer>", start) :]

    kept = (SAMPLE / "report.html").read_text(encoding="utf-8")
    assert settled(kept) == settled(render(report)), "snsearch report reports/sample writes it again"
