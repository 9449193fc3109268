"""Stored counts: they are read unchanged, unknown ones are refused, and no time comes without its interval."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from snsearch.codec import decode, encode
from snsearch.device.counting.cpus import load_cpu
from snsearch.device.counting.record import CountedNetwork, CountedRecord
from snsearch.errors import DeviceError
from snsearch.files import bundled_names
from tests.studies import made_up_counts

COUNTED = made_up_counts("a-key", instructions=50_000_000, l1d_misses=2_000_000, l2_misses=500_000)


def test_counts_come_back_from_json_with_any_core() -> None:
    for name in bundled_names("cpus"):
        one = replace(COUNTED, core=load_cpu(name))
        assert decode(CountedNetwork, json.loads(json.dumps(encode(one))), "it", error=DeviceError) == one


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**encode(COUNTED), "schema": 99}, "it: schema is 99; this version of snsearch reads schema 1"),
        ({**encode(COUNTED), "record": {**encode(COUNTED.record), "schema": 2}}, "it: record.schema is 2"),
        ({**encode(COUNTED), "core": {}}, 'it: core: missing key "name"'),
        ({**encode(COUNTED), "core": {**encode(COUNTED.core), "l2": {"size": 1}}}, 'it: core.l2: missing key "ways"'),
        ({**encode(COUNTED), "record": []}, r"it: record is \[\]; expected an object"),
        ("text", "it is 'text'; expected an object"),
    ],
)
def test_unknown_records_are_refused(values: Any, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        decode(CountedNetwork, values, "it", error=DeviceError)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"counts": {"instructions": 1}}, 'counts: missing key "loads"'), ({"qemu": None}, 'it: missing key "qemu"')],
)
def test_a_damaged_record_is_refused(change: dict[str, Any], message: str) -> None:
    values = {key: value for key, value in {**encode(COUNTED.record), **change}.items() if value is not None}
    with pytest.raises(DeviceError, match=message):
        decode(CountedRecord, values, "it", error=DeviceError)


def test_milliseconds_come_with_their_interval_or_not_at_all() -> None:
    # The A72's file, in ms per million: 0.325973 for instructions, 8.04795 for L1 misses, 9.18806 for L2 misses.
    ms = 50 * 0.325973 + 2 * 8.04795 + 0.5 * 9.18806
    predicted = COUNTED.predicted_json()
    assert predicted is not None
    assert predicted["ms"] == pytest.approx(ms, abs=1e-4)
    assert predicted["interval_ms"] == pytest.approx([ms / 1.26941, ms * 1.26941], abs=1e-4)
    assert predicted["provenance"].startswith("predicted from counted cost, Raspberry Pi 4B")
    unweighed = replace(COUNTED, core=replace(COUNTED.core, weighing=None))
    assert (unweighed.milliseconds, unweighed.predicted_json()) == (None, None)
