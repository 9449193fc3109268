"""What a device reported while it measured, as a chart of the evidence section."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.codec import encode
from snsearch.device.measurements import Measurement
from snsearch.engine.protocol import DeviceState
from snsearch.pages.device_log import device_log
from snsearch.pages.page import report_data
from snsearch.study.records import StudyRecord
from snsearch.study.storage import read_study
from tests.device.test_measurements import HOST, MEASUREMENT

SAMPLE = Path(__file__).parent.parent.parent / "tests" / "fixtures" / "finished" / "study.db"


def _state(seconds: float, khz: int | None, degrees: float | None, preemptions: int | None) -> DeviceState:
    return DeviceState(
        at_ns=int(seconds * 1e9),
        khz=khz,
        temperature_mc=None if degrees is None else int(1000 * degrees),
        preemptions=preemptions,
    )


def measured_in_two_runs(study: StudyRecord) -> StudyRecord:
    """Three candidates, measured on "pi": two in a run that they share, one in a later run that got hot."""
    first = (_state(3, 1_800_000, 50, 10), _state(5, 1_800_000, 55, 10), _state(7, 1_800_000, 60, 14))
    second = (_state(1, 1_800_000, 60, 0), _state(2, 1_200_000, 80, 3))
    keys = [trial.architecture.key for trial in study.candidates if trial.architecture][:3]
    made = [
        replace(MEASUREMENT, subject=keys[0], states=first),
        replace(MEASUREMENT, subject=keys[1], states=first),
        replace(MEASUREMENT, subject=keys[2], states=second, measured="2026-01-01T00:01:00+00:00"),
    ]
    return replace(study, attachments={**study.attachments, "measured": tuple(encode(one) for one in made)})


@pytest.fixture
def study() -> StudyRecord:
    return read_study(f"sqlite:///{SAMPLE}")


def _values(measurements: list[Measurement], unit: str) -> list[tuple[int, float, float]]:
    log = device_log(reversed(measurements))
    return [(one["run"], one["seconds"], one["value"]) for one in log if one["unit"] == unit]


def test_runs_lie_end_to_end_and_what_they_share_is_shown_once(study: StudyRecord) -> None:
    found = [*report_data(measured_in_two_runs(study)).view.measured["pi"].values()]
    assert _values(found, "GHz") == [(1, 0, 1.8), (1, 2, 1.8), (1, 4, 1.8), (2, 4, 1.8), (2, 5, 1.2)]
    assert [value for *_, value in _values(found, "°C")] == [50, 55, 60, 60, 80]
    assert _values(found, "preemptions per s") == [(1, 2, 0), (1, 4, 2), (2, 5, 3)]
    assert _values(found, "load average") == []


def test_what_is_not_reported_is_left_out_and_emulation_has_no_log() -> None:
    dumb = replace(MEASUREMENT, states=(_state(0, None, None, None), _state(1, None, None, None)))
    assert list(device_log([dumb])) == [{"unit": "load average", "run": 1, "seconds": 0, "value": 0.1}]
    assert list(device_log([replace(dumb, loadavg=None)])) == []
    assert list(device_log([replace(MEASUREMENT, verdict="emulated")])) == []


def test_the_evidence_section_has_a_chart_for_each_device_that_reported(study: StudyRecord) -> None:
    assert not [one for one in report_data(study).section("evidence").charts if one.name.startswith("log")]
    logged = measured_in_two_runs(study)
    silent = replace(MEASUREMENT, host=replace(HOST, device="silent"), states=(), loadavg=None)
    both = (*logged.attachments["measured"], encode(replace(silent, subject=study.candidates[0].architecture.key)))  # type: ignore[union-attr]
    report = report_data(replace(logged, attachments={**logged.attachments, "measured": both}))
    [chart] = [one for one in report.section("evidence").charts if one.name.startswith("log")]
    assert chart.title == "pi: frequency, temperature, load of the core while it measured, runs end to end"
    assert chart.label == (
        "What pi reported while it measured: 1.2 to 1.8 GHz, 50 to 80 °C, 0 to 3 preemptions per s"
    )
