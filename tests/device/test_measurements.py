"""Statistics that can be checked by hand, the stored record, and its log."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from snsearch.codec import decode, encode
from snsearch.device.conditions import Conditions
from snsearch.device.log import MeasurementLog, latest
from snsearch.device.measurements import Host, Measurement
from snsearch.device.reasons import Cause, Reason
from snsearch.device.samples import statistics_of
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
    assert found.most_ms == 90.0
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


DRIFT = Reason.of("drift", 0.041, 0.03)


def test_a_measurement_comes_back_from_json_as_it_was() -> None:
    wrong = Reason.of("parity", math.inf, 1e-4)
    for one in (
        MEASUREMENT,
        replace(MEASUREMENT, parity=math.inf, verdict="refused", reasons=(wrong,)),
        replace(MEASUREMENT, verdict="emulated", reasons=(Reason.of("emulated", text="a marker"),)),
        replace(MEASUREMENT, loadavg=None, verdict="flagged", reasons=(DRIFT,), sustained_minutes=30.0),
    ):
        assert decode(Measurement, json.loads(json.dumps(encode(one), allow_nan=False)), "it") == one


def test_reasons_are_stored_as_data_and_in_words() -> None:
    values = encode(replace(MEASUREMENT, verdict="flagged", reasons=(DRIFT,)))
    assert values["reasons"] == ["the reference network drifted by 4.1% (limit 3%)"]
    assert values["causes"] == [{"cause": "drift", "figures": [0.041, 0.03], "text": ""}]


def test_words_of_reasons_that_were_stored_before_they_were_data_are_read() -> None:
    words = ["throttled: the core's frequency fell between 2.40 and 2.20 GHz", "{odd} words"]
    values = encode(MEASUREMENT) | {"verdict": "flagged", "reasons": words}
    del values["causes"]
    read = decode(Measurement, values, "it", error=DeviceError)
    assert [(reason.cause, reason.words) for reason in read.reasons] == [("earlier", one) for one in words]
    assert decode(Measurement, encode(read), "it", error=DeviceError) == read


@pytest.mark.parametrize(
    "cause",
    [
        {"cause": "of tomorrow", "figures": [], "text": ""},
        {},
        "drift",
        {"cause": "drift", "figures": ["x"], "text": ""},
    ],
)
def test_causes_that_are_not_known_are_refused(cause: object) -> None:
    with pytest.raises(DeviceError, match=r"it: causes\[0\]"):
        decode(Measurement, encode(MEASUREMENT) | {"causes": [cause]}, "it", error=DeviceError)


@pytest.mark.parametrize("cause", get_args(Cause))
def test_every_cause_has_its_words(cause: Cause) -> None:
    assert Reason.of(cause, 1.0, 2.0, text="text").words


def test_only_sound_and_flagged_measurements_are_latencies() -> None:
    assert MEASUREMENT.latency_ms == 2.05
    for verdict in ("refused", "emulated"):
        made = replace(MEASUREMENT, verdict=verdict, reasons=(DRIFT,))
        assert made.latency_ms is None
        assert encode(made)["interval_ms"] is None
        assert verdict in made.provenance
        assert DRIFT.words in made.provenance or verdict == "emulated"


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
    flagged = replace(MEASUREMENT, verdict="flagged", reasons=(DRIFT,))
    refused = replace(MEASUREMENT, verdict="refused", reasons=(DRIFT,))
    sustained = replace(MEASUREMENT, sustained_minutes=30.0)
    kept, artefact, cool = [MEASUREMENT, flagged, sustained, refused], MEASUREMENT.artefact, Conditions()
    assert latest(kept, artefact, cool) == flagged
    assert latest(kept, artefact, Conditions(sustained_minutes=30.0)) == sustained
    assert latest([refused], artefact, cool) is None
    assert latest(kept, "other", cool) is None
    assert latest(kept, artefact, cool, identity="another device") is None
    assert latest(kept, artefact, Conditions(core=3), identity=HOST.identity) == flagged
    assert latest(kept, artefact, Conditions(core=0)) is None
