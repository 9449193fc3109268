"""Statistics that can be checked by hand, the stored record, and its log."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snsearch.codec import decode, encode
from snsearch.device.measurements import Host, Measurement, MeasurementLog, latest, statistics_of
from snsearch.engine.protocol import DeviceState
from snsearch.errors import DeviceError

HOST = Host(
    device="pi",
    url="ssh://pi",
    identity="Raspberry Pi 4, aarch64, 4 cores",
    soc="Raspberry Pi 4",
    machine="aarch64",
    core=3,
    core_max_khz=1_800_000,
    governor="ondemand",
    memory_kb=4_000_000,
    runner="ncnn-cpp",
    runner_sha256="ab" * 32,
    engine="ncnn",
    engine_version="1.0.20260101",
    snsearch="0.1.0",
)
MEASUREMENT = Measurement(
    subject="a-key",
    artefact="cd" * 32,
    host=HOST,
    precision="float32",
    input_seed=1,
    samples_ns=((2_000_000, 2_100_000), (2_000_000, 2_200_000)),
    reference="another-key",
    reference_ns=((1_000_000,), (1_000_000,)),
    states=(DeviceState(at_ns=0, khz=1_800_000, temperature_mc=None, preemptions=None),) * 3,
    loadavg=(0.1, 0.2, 0.3),
    warmup_runs=5,
    parity=3e-7,
    sustained_minutes=None,
    verdict="ok",
    reasons=(),
    measured="2026-01-01T00:00:00+00:00",
)


def test_statistics_are_those_of_all_samples() -> None:
    found = statistics_of([(1_000_000, 2_000_000), (3_000_000, 4_000_000), (5_000_000, 90_000_000)])
    assert found.median_ms == 3.5
    assert found.samples == 6
    assert (found.least_ms, found.most_ms) == (1.0, 90.0)
    assert found.iqr_share == pytest.approx((4.75 - 2.25) / 3.5)
    assert found.outliers == 1, "90 lies beyond 4.75 + 1.5 * 2.5"


def test_the_interval_holds_the_true_median_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        source = random.Random(seed)
        rounds = [[round(1e6 * source.lognormvariate(0, 0.05)) for _ in range(10)] for _ in range(20)]
        found = statistics_of(rounds)
        held += found.low_ms <= 1.0 <= found.high_ms
    assert 180 <= held <= 200


def test_rounds_that_differ_widen_the_interval_though_their_samples_do_not_spread() -> None:
    alike = statistics_of([[1_000_000 + 10_000 * (run % 5) for run in range(20)]] * 10)
    apart = statistics_of([[1_000_000 + 10_000 * (one % 5)] * 20 for one in range(10)])
    assert apart.median_ms == alike.median_ms
    assert apart.interval_share > alike.interval_share == 0


def test_a_measurement_comes_back_from_json_as_it_was() -> None:
    for one in (
        MEASUREMENT,
        replace(MEASUREMENT, parity=math.inf, verdict="refused", reasons=("another output",)),
        replace(MEASUREMENT, loadavg=None, verdict="flagged", reasons=("other load",), sustained_minutes=30.0),
    ):
        assert decode(Measurement, json.loads(json.dumps(encode(one), allow_nan=False)), "it") == one


def test_only_sound_and_flagged_measurements_are_latencies() -> None:
    assert MEASUREMENT.latency_ms == 2.05
    for verdict in ("refused", "emulated"):
        made = replace(MEASUREMENT, verdict=verdict, reasons=("why",))
        assert made.latency_ms is None
        assert encode(made)["interval_ms"] is None
        assert verdict in made.provenance
        assert "why" in made.provenance or verdict == "emulated"


def test_a_record_of_the_time_of_one_engine_is_read() -> None:
    values = encode(MEASUREMENT) | {"schema": 1}
    host = values["host"]
    del host["engine"]
    host["ncnn"] = host.pop("engine_version")
    assert decode(Measurement, values, "it", error=DeviceError) == MEASUREMENT


def test_a_record_of_another_schema_or_shape_is_refused() -> None:
    with pytest.raises(DeviceError, match="schema is 3"):
        decode(Measurement, encode(MEASUREMENT) | {"schema": 3}, "it", error=DeviceError)
    values = encode(MEASUREMENT)
    del values["parity"]
    with pytest.raises(DeviceError, match="parity"):
        decode(Measurement, values, "it", error=DeviceError)


def test_the_log_keeps_what_was_added_and_survives_a_torn_line(tmp_path: Path) -> None:
    log = MeasurementLog(path=tmp_path / "device" / "measurements.jsonl")
    assert log.read() == ()
    log.add(MEASUREMENT)
    with log.path.open("a") as file:
        file.write(json.dumps(encode(MEASUREMENT))[:200])
    assert log.read() == (MEASUREMENT,)
    second = replace(MEASUREMENT, subject="another")
    log.add(second)
    assert log.read() == (MEASUREMENT, second)


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "device").write_text("a file where the folder should be")
    with pytest.raises(DeviceError, match="cannot be written"):
        MeasurementLog(path=tmp_path / "device" / "measurements.jsonl").add(MEASUREMENT)


def test_the_latest_sound_measurement_of_the_same_conditions_is_found() -> None:
    flagged = replace(MEASUREMENT, verdict="flagged", reasons=("x",))
    refused = replace(MEASUREMENT, verdict="refused", reasons=("x",))
    sustained = replace(MEASUREMENT, sustained_minutes=30.0)
    kept = [MEASUREMENT, flagged, sustained, refused]
    asked: dict[str, Any] = {"artefact": MEASUREMENT.artefact, "precision": "float32", "sustained_minutes": None}
    assert latest(kept, **asked) == flagged
    assert latest(kept, **asked | {"sustained_minutes": 30.0}) == sustained
    assert latest([refused], **asked) is None
    assert latest(kept, **asked | {"artefact": "other"}) is None
    assert latest(kept, **asked, identity="another device") is None
    assert latest(kept, **asked, identity=HOST.identity, core=3) == flagged
    assert latest(kept, **asked, core=0) is None
