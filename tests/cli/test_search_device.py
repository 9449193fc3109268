"""snsearch search --device and measure STUDY: a search ends in measured latencies, and loses nothing without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.device.registry import device_folder, profile_path
from snsearch.latency.profile import load_profile
from snsearch.network.arch import Architecture
from snsearch.pages.evidence import measured_by_device, measurements_of, worth_measuring
from snsearch.pages.page import report_data
from snsearch.pages.sections import Section, column_of
from snsearch.study.records import StudyRecord
from snsearch.study.storage import read_study
from tests.cli.test_search import SMALL
from tests.conftest import Outcome
from tests.device.test_measuring import RUNNER, behave, jobs
from tests.studies import pretended_training, train_in

pytestmark = pytest.mark.long
Run = Callable[..., Outcome]
NAME = "shufflenet-v1-3-digits"
SEARCH = ("search", *SMALL)


@pytest.fixture(autouse=True)
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The device's work folder, in a home of the test's own; every output is taken to be torch's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("snsearch.engine.parity.deviation", lambda output, expected: 3e-7)
    monkeypatch.setattr("snsearch.engine.parity.expected_outputs", lambda ops, weights, seed: ())
    monkeypatch.setattr("snsearch.device.measuring.wait", lambda seconds: None)
    train_in(monkeypatch, pretended_training(_wider_is_better))
    folder = tmp_path / "home" / "work"
    folder.mkdir(parents=True)
    return folder


def _wider_is_better(arch: Architecture) -> tuple[float, ...]:
    last = 0.9 - arch.stage_channels[-1] / 2000
    return last + 0.02, last


@pytest.fixture
def board(run: Run) -> str:
    """The name of a device that was added."""
    assert run("device", "add", "board", "local", "--runner", str(RUNNER)).code == 0
    return "board"


def _study() -> StudyRecord:
    return read_study(f"sqlite:///reports/{NAME}/study.db")


def _measured() -> Section:
    [section] = [one for one in report_data(_study()).sections if one.name.startswith("device-")]
    return section


def _cells(section: Section, *heads: str) -> list[list[str]]:
    return [list(column_of(section.tables[0], head)) for head in heads]


def _page() -> Path:
    return Path("reports") / NAME / "report.html"


def test_a_search_ends_in_measured_latencies_of_what_is_worth_it(run: Run, board: str, work: Path) -> None:
    outcome = run(*SEARCH, "--device", board)
    assert outcome.code == 0, outcome.err
    assert "it has no latency profile of its own" in outcome.err
    assert "snsearch device profile board" in outcome.err
    record = _study()
    worth = worth_measuring(record)
    assert {one.subject for one in measurements_of(record)} == {t.architecture.key for t in worth if t.architecture}
    assert all(one.latency_ms == 1.0 for one in measurements_of(record))
    document = json.loads(run("report", NAME, "--format", "json").out)
    assert len(document["measurements"]) == len(worth)
    assert all("samples_ns" not in one for one in document["measurements"])
    kinds = {one["provenance"] for one in document["candidates"]}
    assert "predicted; measured on board" in kinds
    assert "Measured on board" in _page().read_text()
    count = len(jobs(work))
    assert run(*SEARCH, "--device", board).code == 0
    assert len(jobs(work)) == count, "what was measured is not measured again"
    assert len(measurements_of(_study())) == len(worth)


def test_a_device_that_vanishes_costs_no_study_and_is_measured_later(run: Run, board: str, work: Path) -> None:
    behave(work, dies_at=1)
    outcome = run(*SEARCH, "--device", board)
    assert outcome.code == 8
    assert f"snsearch measure reports/{NAME} --device board" in outcome.err
    assert _page().is_file()
    assert "Measured on board" not in _page().read_text()
    assert len(_study().candidates) >= 3
    behave(work)
    later = run("measure", f"reports/{NAME}", "--device", board)
    assert later.code == 0
    assert len(measurements_of(_study())) == len(worth_measuring(_study()))
    assert "Measured on board" in _page().read_text()
    assert run("measure", NAME, "--all", "--device", board, "--format", "json").code == 0
    assert len(measured_by_device(_study())["board"]) == len(_study().candidates)


def test_a_device_that_cannot_be_used_ends_a_new_search_before_anything_is_trained(run: Run, work: Path) -> None:
    for device, message in (("nothing", "no device is named"), ("ssh://nobody@127.0.0.1:1", "Connection refused")):
        outcome = run(*SEARCH, "--device", device)
        assert outcome.code == 8
        assert message in outcome.err
    assert not _page().exists()


def test_the_devices_own_profile_is_the_objective_of_a_new_study(run: Run, board: str) -> None:
    own = profile_path(board)
    device_folder(board).mkdir(parents=True, exist_ok=True)
    own.write_text(replace(load_profile("ncnn-raspberry-pi-4"), name="other").to_toml())
    outcome = run(*SEARCH, "--device", board)
    assert outcome.code == 0
    assert "no latency profile of its own" not in outcome.err
    assert _study().settings.cost_name.startswith("latency other ")
    section = _measured()
    assert all(column_of(section.tables[0], "predicted"))
    assert "off by" not in [column.head for column in section.tables[0].columns], "another device's: by order alone"
    assert "only their order can be compared" in section.lines[-1]


def test_a_profile_of_the_device_itself_is_compared_in_figures(run: Run, board: str) -> None:
    device_folder(board).mkdir(parents=True, exist_ok=True)
    profile_path(board).write_text(replace(load_profile("ncnn-raspberry-pi-4"), name=board).to_toml())
    assert run(*SEARCH, "--device", board).code == 0
    section = _measured()
    costs = {f"#{trial.number}": trial.cost for trial in _study().candidates}
    off = [f"{1.0 / (costs[trial] or 0.0) - 1:+.0%}" for trial in column_of(section.tables[0], "trial")]
    assert off == column_of(section.tables[0], "off by")
    assert "own profile are off by" in section.lines[-1]


def test_a_study_keeps_its_objective_when_a_profile_is_made_later(run: Run, board: str) -> None:
    assert run(*SEARCH, "--device", board).code == 0
    before = _study().settings.cost_name
    profile_path(board).write_text(load_profile("ncnn-raspberry-pi-4").to_toml())
    again = run(*SEARCH, "--device", board)
    assert again.code == 0
    assert "the study was made without its profile" in again.err
    assert _study().settings.cost_name == before


def test_an_emulated_device_shows_parity_and_draws_no_latency(run: Run, work: Path) -> None:
    behave(work, marker="qemu")
    assert run("device", "add", "emulated", "local", "--runner", str(RUNNER)).code == 0
    assert run(*SEARCH, "--device", "emulated").code == 0
    section = _measured()
    assert section.title == "On emulated: no latency"
    cells = {name: set(column_of(section.tables[0], name)) for name in ("ms [95 %]", "verdict", "parity")}
    assert cells == {
        "ms [95 %]": {"emulated: not a latency"},
        "verdict": {"emulated: the device says so (qemu)"},
        "parity": {"3e-07"},
    }
    assert {record["measured_0"] for record in report_data(_study()).table.records()} == {None}
    document = json.loads(run("report", NAME, "--format", "json").out)
    assert {one["latency_ms"] for one in document["measurements"]} == {None}


def test_the_front_of_error_against_measured_latency_is_drawn_of_latencies_alone(
    run: Run, board: str, work: Path
) -> None:
    assert run(*SEARCH).code == 0
    keys = [trial.architecture.key for trial in _study().candidates if trial.architecture]
    behave(work, broken=[])
    assert run("measure", NAME, "--all", "--device", board).code == 0
    data, section = report_data(_study()), _measured()
    # All take 1 ms, so that the front is the one of least error.
    best = min(data.rows, key=lambda row: row.score.error)
    cells = zip(*_cells(section, "trial", "candidate"), strict=True)
    fronts = [trial for trial, words in cells if "(front)" in words]
    assert fronts == [f"#{best.number}"]
    options = data.section("front").charts[0].options
    assert options is not None
    assert {"name": "measured_0", "title": f"ms ({board}, measured)", "interval": True, "note": ""} in options["axes"]
    timed = [record for record in data.table.records() if record["measured_0"] is not None]
    assert len(timed) == len(keys)
    assert all(one["measured_0_low"] <= one["measured_0"] <= one["measured_0_high"] for one in timed)


def test_measuring_all_of_what_is_no_study_is_wrong_usage(run: Run, board: str) -> None:
    outcome = run("measure", "shufflenet-v1", "--all", "--device", board)
    assert outcome.code == 2
    assert "--all applies to a study" in outcome.err
