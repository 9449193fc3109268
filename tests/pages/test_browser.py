"""The page in a real browser: what a reader does with it, at every width, by keyboard, in the dark and on paper."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pypdf import PdfReader

from snsearch.pages.page import Report, render, report_data
from snsearch.study.records import StudyRecord
from snsearch.study.storage import read_study
from tests.pages.browser import axe_script, point, violations
from tests.pages.test_device_log import measured_in_two_runs

SAMPLE = Path(__file__).parent.parent.parent / "tests" / "fixtures" / "finished" / "study.db"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028=1+1"

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def study() -> StudyRecord:
    return read_study(f"sqlite:///{SAMPLE}")


@pytest.fixture(scope="module")
def report(study: StudyRecord) -> Report:
    return report_data(study)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def path(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render(report), encoding="utf-8")
    return file


@pytest.fixture
def page_at(browser: Browser, path: Path) -> Iterator[Open]:
    """Opens a page that is drawn; what it logs is an error.

    The page forbids eval, so that what is waited for has to be a function.
    """
    contexts, heard = [], []

    def open_page(file: Path = path, *, width: int = 1280, **options: object) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, permissions=["clipboard-read", "clipboard-write"], **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(file.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_function("() => document.documentElement.dataset.drawn")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert heard == []


def _trials(page: Page) -> list[int]:
    return [
        int(one) for one in page.locator("#candidates tbody tr").evaluate_all("all => all.map(e => e.dataset.trial)")
    ]


def test_the_verdict_is_first_and_its_commands_can_be_copied(page_at: Open, report: Report) -> None:
    page = page_at()
    assert page.locator("main > section").first.get_attribute("id") == "verdict"
    expect(page.locator(".card h3")).to_have_text(["Faster, undecided", "Balanced, most accurate"])
    page.get_by_role("button", name="Copy the command").click()
    assert page.evaluate("navigator.clipboard.readText()") == report.section("verdict").command
    balanced = report.section("verdict").cards[1]
    card = page.locator(".card").nth(1)
    for name, text in balanced.commands:
        card.get_by_role("button", name=name, exact=True).click()
        assert page.evaluate("navigator.clipboard.readText()") == text


def test_a_candidate_under_the_pointer_is_described_with_its_channels(page_at: Open, report: Report) -> None:
    page = page_at()
    row = report.view.row(6)
    page.mouse.move(*point(page, 6))
    card = page.locator(".hover")
    expect(card).to_be_visible()
    expect(card).to_contain_text("#6")
    expect(card.locator("table").nth(1)).to_contain_text(str(row.architecture.stage_channels[0]))


def test_a_click_pins_and_the_pinned_are_compared_in_pairs(page_at: Open, report: Report) -> None:
    page = page_at()
    heads = page.locator("#compare .pinned thead th")
    expect(heads).to_have_count(2)  # the verdict's own: two of its three cards are one network
    page.mouse.click(*point(page, 3))
    expect(heads).to_have_count(3)
    expect(page.locator("#compare .pinned tbody tr").first).to_contain_text("paired by 5 seeds on test images")
    page.get_by_label("Pin #3", exact=True).uncheck()
    expect(heads).to_have_count(2)
    for trial in (0, 1):
        page.get_by_label(f"Pin #{trial}", exact=True).check()
    page.get_by_label("Pin #10", exact=True).click()
    expect(heads).to_have_count(4)
    expect(page.locator("#said")).to_contain_text("4 are pinned")


def test_the_axes_can_be_chosen_and_the_chart_be_zoomed(page_at: Open) -> None:
    page = page_at()
    domain = "snsearch.front.view.scale('x').domain()"
    whole = page.evaluate(domain)
    page.get_by_role("button", name="Zoom in").click()
    page.wait_for_function(f"() => {domain}[0] > {whole[0]}")
    zoomed = page.evaluate(domain)
    x, y = point(page, 6)
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function(f"() => {domain}[0] > {zoomed[0]}")
    page.get_by_role("button", name="Start").click()
    page.wait_for_function(f"() => {domain}[0] == {whole[0]}")
    page.get_by_label("x axis").select_option(label="parameters")
    page.wait_for_function(f"() => {domain}[1] > 100000")
    page.get_by_label("logarithmic").first.check()
    page.wait_for_function("() => snsearch.front.view.scale('x').type === 'log'")
    page.get_by_label("y axis").select_option(label="error of finalists on test images")
    page.wait_for_function("() => snsearch.front.shown.length === 4")


def test_a_latency_by_another_profile_is_an_axis_that_says_what_it_is(page_at: Open, report: Report) -> None:
    page = page_at()
    profile = next(one for one in report.view.others if one.name == "ncnn-oneplus-7t")
    page.get_by_label("x axis").select_option(label="ms (ncnn-oneplus-7t, predicted)")
    page.wait_for_function("() => snsearch.front.view.scale('x').domain()[1] < 10")  # of the study's own: above 20
    expect(page.locator("#front-chart .note")).to_have_text(profile.provenance)
    page.mouse.move(*point(page, 6))
    found = profile.predict(report.view.row(6).architecture)
    hollow = "outside of" in found.provenance
    words = f"{found.ms:.3g} [{found.low_ms:.3g}, {found.high_ms:.3g}]" + ("*" if hollow else "")
    expect(page.locator(".hover")).to_contain_text(f"{profile.name}, predicted){words}")
    assert page.evaluate("snsearch.front.record(snsearch.byTrial.get(6)).extrapolated") is hollow
    page.get_by_label("x axis").select_option(index=0)
    expect(page.locator("#front-chart .note")).to_be_empty()


def test_dragging_selects_what_the_table_shows(page_at: Open) -> None:
    page = page_at()
    x, y = point(page, 16)
    page.mouse.move(x - 30, y - 40)
    page.mouse.down()
    page.mouse.move(x, y, steps=3)
    page.mouse.move(x + 30, y + 40, steps=3)
    page.mouse.up()
    expect(page.locator(".state")).to_contain_text("1 selected")
    expect(page.locator("#candidates tbody tr")).to_have_count(1)
    assert _trials(page) == [16]
    page.get_by_role("button", name="Zoom to them").click()
    page.wait_for_function("() => snsearch.front.view.scale('x').domain()[1] < 12")


def test_filters_take_candidates_from_the_table_and_the_chart(page_at: Open, report: Report) -> None:
    page = page_at()
    status = page.get_by_role("group", name="status")
    status.get_by_role("button", name="stopped").click()
    expect(page.locator("#candidates tbody tr")).to_have_count(len(report.rows))
    page.wait_for_function(f"() => snsearch.front.shown.length === {len(report.rows)}")
    page.get_by_role("group", name="g", exact=True).get_by_role("button", name="8").click()
    left = [row.number for row in report.rows if row.architecture.groups[0] != 8]
    expect(page.locator("#candidates tbody tr")).to_have_count(len(left))
    assert sorted(_trials(page)) == sorted(left)


def test_the_table_is_sorted_by_values_and_not_by_words(page_at: Open, report: Report) -> None:
    page = page_at()
    page.get_by_role("button", name="params").click()  # printed as "288.9 k" or "1.87 M"
    order = _trials(page)
    params = {record["trial"]: record["params"] for record in report.table.records()}
    assert [params[trial] for trial in order] == sorted(params.values())
    page.get_by_role("button", name="params").click()
    assert [params[trial] for trial in _trials(page)] == sorted(params.values(), reverse=True)
    expect(page.locator("#candidates th[aria-sort=descending]")).to_have_text("params")


def test_csv_and_json_hold_what_the_table_shows(page_at: Open, report: Report) -> None:
    page = page_at()
    page.get_by_role("group", name="status").get_by_role("button", name="stopped").click()
    files = {}
    for name in ("CSV", "JSON"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=name, exact=True).click()
        files[name] = Path(waiting.value.path()).read_text(encoding="utf-8")
    whole = [row for row in report.table.rows if row.status != "stopped"]
    expected = replace(report.table, rows=whole)
    assert json.loads(files["JSON"]) == expected.records()
    ours, theirs = (list(csv.reader(io.StringIO(text))) for text in (expected.csv(), files["CSV"]))
    assert ours[0] == theirs[0]
    assert [line[0] for line in ours] == [line[0] for line in theirs]


def test_everything_can_be_done_by_keyboard(page_at: Open) -> None:
    page = page_at()
    page.locator("#front-chart .live").focus()
    page.keyboard.press("Home")
    expect(page.locator("#said")).to_contain_text("#16, front, error 11.77")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#said")).to_contain_text("#0, tied")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("#0 is pinned")
    expect(page.get_by_label("Pin #0", exact=True)).to_be_checked()
    page.keyboard.press("+")
    page.wait_for_function("() => snsearch.front.domain !== null")
    page.keyboard.press("0")
    page.wait_for_function("() => snsearch.front.domain === null")
    head = page.get_by_role("button", name="MFLOPs")
    head.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#candidates th[aria-sort=ascending]")).to_have_text("MFLOPs")
    expect(head).to_be_focused()


@pytest.mark.parametrize(
    ("width", "axis"),
    [
        *((width, "") for width in (390, 800, 1280, 1400)),
        (390, "ms (Raspberry Pi 4B (1.8GHz) (BCM2711B0), predicted)"),
    ],
)
def test_nothing_is_wider_than_the_window(
    page_at: Open, study: StudyRecord, path: Path, tmp_path: Path, width: int, axis: str
) -> None:
    if axis:
        path = tmp_path / "long.html"
        named = replace(study, settings=replace(study.settings, cost_axis=axis))
        path.write_text(render(report_data(named)), encoding="utf-8")
    page = page_at(path, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width >= 1280:
        assert page.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('#candidates .scroll'))")
    if width < 600:
        expect(page.locator("#candidates thead")).to_be_hidden()
        cell = page.locator("#candidates tbody td[data-head='error ± 95 %']").first
        expect(cell).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_axe_finds_nothing_serious(page_at: Open, scheme: str, width: int) -> None:
    script = axe_script()
    page = page_at(width=width, color_scheme=scheme, bypass_csp=True)
    assert violations(page, script) == []


def test_a_change_to_dark_draws_the_charts_again(page_at: Open) -> None:
    page = page_at(color_scheme="light")
    before = page.locator("#front-chart canvas").evaluate("e => e.toDataURL()")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        f"() => document.querySelector('#front-chart canvas').toDataURL().length !== {len(before)}"
    )


def test_paper_has_the_error_column_and_everything_that_was_folded(
    page_at: Open, report: Report, tmp_path: Path
) -> None:
    page = page_at(color_scheme="dark")
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    text = " ".join(_pdf_text(tmp_path / "page.pdf").split())
    for row in report.rows:
        assert f"{100 * row.score.error:.2f} ± {100 * row.score.deviation_95:.2f} %" in text
        assert row.trial.words.split(", ")[-1] in text
    assert "snsearch train 'sample#6'" in text, "a command that is folded on the screen"


def _pdf_text(path: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


def test_a_reader_without_scripts_has_the_charts_and_the_table(page_at: Open, report: Report) -> None:
    page = page_at(java_script_enabled=False)
    for name in ("front-chart", "curves-chart"):
        expect(page.locator(f"#{name} svg")).to_be_visible()
    expect(page.locator("#candidates tbody tr")).to_have_count(len(report.table.rows))
    expect(page.locator("#candidates thead")).to_contain_text("error ± 95 %")


@pytest.mark.parametrize("scripts", [True, False])
def test_a_device_s_log_is_drawn_with_scripts_and_without(
    page_at: Open, study: StudyRecord, tmp_path: Path, scripts: bool
) -> None:
    file = tmp_path / "logged.html"
    file.write_text(render(report_data(measured_in_two_runs(study))), encoding="utf-8")
    page = page_at(file, width=390, java_script_enabled=scripts)
    drawn = page.locator("#log-0-chart canvas" if scripts else "#log-0-chart svg")
    expect(drawn).to_be_visible()
    box = drawn.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390


def test_hostile_names_are_only_text(page_at: Open, study: StudyRecord, tmp_path: Path) -> None:
    settings = replace(
        study.settings, data=HOSTILE, data_description=HOSTILE, space=HOSTILE, cost_axis=f"ms ({HOSTILE})"
    )
    trials = tuple(
        replace(trial, notes=(HOSTILE,), design=replace(trial.design, depth="=1+1" + HOSTILE), reason=HOSTILE)
        for trial in study.trials
    )
    hostile = replace(study, name=HOSTILE, settings=settings, trials=trials)
    file = tmp_path / "hostile.html"
    file.write_text(render(report_data(hostile)), encoding="utf-8")
    page = page_at(file)
    assert page.locator("img").count() == 0
    expect(page.locator("h1")).to_contain_text("<script>alert(1)</script>")
    page.mouse.move(*point(page, 6))
    expect(page.locator(".hover")).to_contain_text("onerror=alert(2)")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV", exact=True).click()
    lines = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))
    assert {line["depth"][:2] for line in lines} == {"'="}, "no formula"


def test_colors_have_enough_contrast() -> None:
    styles = (Path(render.__code__.co_filename).parent / "templates" / "page.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in styles.split("@media screen")[:2])
    for colors in (light, dark):
        for name in ("ink", "soft", "accent", "good", "bad"):
            for ground in ("card", "page", "pick"):
                assert _contrast(colors[name], colors[ground]) >= 4.5, (name, ground)
        for name in ("rule", "dim", *(f"c{at}" for at in range(8))):
            assert _contrast(colors[name], colors["card"]) >= 3, name
        for at in range(8):  # those of dominated candidates are at three quarters
            assert _contrast(_mixed(colors[f"c{at}"], colors["card"], 0.75), colors["card"]) >= 3, at


def _rgb(color: str) -> list[float]:
    return [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def _mixed(color: str, ground: str, share: float) -> str:
    both = zip(_rgb(color), _rgb(ground), strict=True)
    return "#" + "".join(f"{round(255 * (share * a + (1 - share) * b)):02x}" for a, b in both)


def _contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2."""

    def luminance(color: str) -> float:
        linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in _rgb(color)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
