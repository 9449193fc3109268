"""Stored counts: they are read unchanged, unknown ones are refused, and no time comes without its interval."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from snsearch.device.counting.cpus import load_cpu
from snsearch.device.counting.record import CountedNetwork, CountedRecord
from snsearch.errors import DeviceError
from snsearch.files import bundled_names
from tests.studies import made_up_counts

COUNTED = made_up_counts("a-key", instructions=50_000_000, l1d_misses=2_000_000, l2_misses=500_000)


def test_counts_come_back_from_json_with_any_core() -> None:
    for name in bundled_names("cpus"):
        one = replace(COUNTED, core=load_cpu(name))
        assert CountedNetwork.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**COUNTED.to_json(), "schema": 99}, "counts have schema 99; this version reads schema 1"),
        ({**COUNTED.to_json(), "record": {**COUNTED.record.to_json(), "schema": 2}}, "counts have schema 2"),
        ({**COUNTED.to_json(), "core": {}}, "a counted network cannot be read: KeyError"),
        ({**COUNTED.to_json(), "core": {**COUNTED.core.to_json(), "l2": {"size": 1}}}, "cannot be read: TypeError"),
        ({**COUNTED.to_json(), "record": []}, "expected a JSON object, not list"),
        ("text", "expected a JSON object, not str"),
    ],
)
def test_unknown_records_are_refused(values: Any, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        CountedNetwork.from_json(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"counts": {"instructions": 1}}, "its counts are invalid"), ({"qemu": None}, "it has no 'qemu'")],
)
def test_a_damaged_record_is_refused(change: dict[str, Any], message: str) -> None:
    values = {key: value for key, value in {**COUNTED.record.to_json(), **change}.items() if value is not None}
    with pytest.raises(DeviceError, match=message):
        CountedRecord.from_json(values)


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
