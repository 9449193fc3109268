"""Measurements of a study's candidates: which candidates to measure, and which measurement counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from snsearch.codec import decode, encode
from snsearch.device.measurements import Measurement
from snsearch.device.reasons import Reason
from snsearch.pages.evidence import keep_measurement, measured_by_device, worth_measuring
from snsearch.study.records import StudyRecord
from tests.device.test_measurements import HOST, MEASUREMENT
from tests.studies import Setup, candidates_at, made_up_record, made_up_result


def _study(tmp_path: Any, *measurements: Measurement) -> StudyRecord:
    """Four candidates: a front of two, one beaten by far, and one beaten that was trained with a further seed."""
    solutions = list(candidates_at("40").solutions.values())[:4]
    points = [(0.10, 50.0), (0.20, 40.0), (0.90, 60.0), (0.80, 70.0)]
    trials = [
        made_up_record(number, solution, error, cost=cost)
        for number, (solution, (error, cost)) in enumerate(zip(solutions, points, strict=True))
    ]
    trials[3] = replace(trials[3], repeats=(made_up_result((0.8,), seed=1),))
    return StudyRecord(
        name="made-up",
        settings=Setup(tmp_path).settings(),
        provenance=(),
        trials=tuple(trials),
        attachments={"measured": tuple(encode(one) for one in measurements), "counted": ()},
    )


def test_the_front_and_the_finalists_are_worth_a_measurement(tmp_path: Any) -> None:
    assert [trial.number for trial in worth_measuring(_study(tmp_path))] == [0, 1, 3]
    assert worth_measuring(replace(_study(tmp_path), trials=())) == ()


def test_the_latest_measurement_counts_unless_it_was_refused(tmp_path: Any) -> None:
    later = replace(MEASUREMENT, measured="2026-02-01T00:00:00+00:00", parity=1e-7)
    refused = replace(
        MEASUREMENT,
        measured="2026-03-01T00:00:00+00:00",
        verdict="refused",
        reasons=(Reason.of("spread", 0.5, 0.05),),
    )
    found = measured_by_device(_study(tmp_path, MEASUREMENT, later, refused))
    assert found == {"pi": {"a-key": later}}
    assert measured_by_device(_study(tmp_path, refused)) == {"pi": {"a-key": refused}}


def test_other_cores_other_hardware_and_minutes_of_running_stand_apart(tmp_path: Any) -> None:
    small = replace(MEASUREMENT, host=replace(HOST, core=0))
    hot = replace(MEASUREMENT, sustained_minutes=30.0)
    found = measured_by_device(_study(tmp_path, MEASUREMENT, small, hot))
    assert list(found) == ["pi, core 3", "pi, core 0", "pi, core 3, after 30 minutes"]
    other = replace(MEASUREMENT, host=replace(HOST, identity="Raspberry Pi 5"))
    assert list(measured_by_device(_study(tmp_path, MEASUREMENT, other))) == [
        "pi, Raspberry Pi 4, aarch64, 4 cores",
        "pi, Raspberry Pi 5",
    ]


def test_a_measurement_has_the_same_key_in_a_study_as_before_reasons_were_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys: list[str] = []
    monkeypatch.setattr("snsearch.pages.evidence.attach", lambda url, name, kind, key, values: keys.append(key))
    flagged = replace(MEASUREMENT, verdict="flagged", reasons=(Reason.of("spread", 0.1, 0.05),))
    stored = {key: value for key, value in encode(flagged).items() if key != "causes"}
    for one in (flagged, decode(Measurement, stored, "it"), MEASUREMENT):
        keep_measurement("url", "name", one)
    assert keys[0] == keys[1] != keys[2]
