"""snsearch measure and device check, where the device is counted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from snsearch.cli.search_device import objective_for
from snsearch.counting.cpus import load_cpu
from snsearch.counting.tools import requirements
from snsearch.device_section import provenance_of
from snsearch.devices.registry import device_of
from tests.conftest import Outcome
from tests.test_counted import build_stand_in

URL = "counted://cortex-a72"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [need.name for need in requirements() if need.found is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return build_stand_in(tmp_path_factory.mktemp("runner") / "runner")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_networks_are_counted_once_each_and_kept(run: Callable[..., Outcome], stand_in: Path, home: Path) -> None:
    arguments = ("measure", "shufflenet-v1", "--groups", "1,3", "--scale", "0.25", "--device", URL)
    outcome = run(*arguments, "--runner", str(stand_in), "--format", "json")
    assert outcome.code == 0
    rows = json.loads(outcome.out)["counted"]
    assert [row["network"].split(".")[1] for row in rows] == ["g1", "g3"]
    for row in rows:
        assert row["counts"]["instructions"] > 3 * 1024
        assert row["provenance"].startswith("counted, ncnn 1.0.1 for aarch64 under qemu")
        assert row["predicted"]["interval_ms"][0] < row["predicted"]["ms"] < row["predicted"]["interval_ms"][1]
        assert row["predicted"]["provenance"].startswith("predicted from counted cost")
    kept = list((home / "cache" / "counted").glob("*.json"))
    assert len(kept) == 2
    again = run(*arguments, "--runner", str(stand_in), "--format", "csv")
    table = list(csv.DictReader(io.StringIO(again.out)))
    assert [row["key"] for row in table] == [row["network"] for row in rows]
    assert [int(row["l2_misses"]) for row in table] == [row["counts"]["l2_misses"] for row in rows]


def test_counts_are_never_called_a_latency(run: Callable[..., Outcome], stand_in: Path) -> None:
    shown = run("measure", "shufflenet-v1", "--scale", "0.25", "--device", URL, "--runner", str(stand_in)).out
    assert "not a latency" in shown
    assert "predicted ms, 95 %" in shown


def test_a_core_or_minutes_make_no_sense_for_what_has_no_time(run: Callable[..., Outcome]) -> None:
    outcome = run("measure", "shufflenet-v1", "--device", URL, "--core", "1")
    assert outcome.code == 2
    assert "counted://cortex-a72 is counted, and has no time" in outcome.err


def test_a_check_says_what_is_missing_and_how_to_get_it(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = run("device", "check", URL)
    assert outcome.code == 8
    assert "1024 KiB, 16 ways" in outcome.out
    assert "qemu-aarch64 with plugins: MISSING: on Debian 12, apt-get install qemu-user" in outcome.out
    assert "the aarch64 runner: MISSING: snsearch device build-runner" in outcome.out
    assert "see above for how to get what counting needs" in outcome.err


def test_a_check_of_a_machine_that_can_count_succeeds(run: Callable[..., Outcome], stand_in: Path) -> None:
    outcome = run("device", "check", URL, "--runner", str(stand_in), "--format", "json")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert found["caches"] == {"l1d": "32768:2:64", "l1i": "49152:3:64", "l2": "1048576:16:64"}
    assert all(need["found"] for need in found["needs"])


def test_a_missing_runner_is_told_before_anything_is_counted(run: Callable[..., Outcome]) -> None:
    outcome = run("measure", "shufflenet-v1", "--scale", "0.25", "--device", URL)
    assert outcome.code == 8
    assert "snsearch device build-runner --machine aarch64" in outcome.err


def test_a_search_with_a_counted_device_weighs_its_model(tmp_path: Path) -> None:
    objective = objective_for(None, device_of(URL), f"sqlite:///{tmp_path / 'study.db'}", "study")
    assert objective.name.startswith("latency counted-cortex-a72 ")
    assert objective_for("counted", device_of(URL), "sqlite://", "study").name == "counted"


def test_the_weights_of_a_core_s_file_are_those_of_a_board() -> None:
    weighing = load_cpu("cortex-a72").weighing
    assert weighing is not None
    assert "Raspberry Pi 4" in weighing.device
    assert weighing.mape < 0.1


def test_a_counted_device_predicts_by_its_shipped_profile(run: Callable[..., Outcome]) -> None:
    outcome = run("latency", "--groups", "1,8", "--mflops", "140", "--device", URL, "--format", "json")
    assert outcome.code == 0
    one, eight = json.loads(outcome.out)
    assert one["provenance"].startswith("predicted from counted cost, Raspberry Pi 4")
    assert eight["latency_ms"] > 1.3 * one["latency_ms"]


@pytest.mark.parametrize(
    ("objective", "kind"),
    [
        ("latency counted-cortex-a72 0123abcd", "predicted from counted cost"),
        ("latency snapdragon-820 0123abcd", "predicted"),
        ("counted", "counted"),
    ],
)
def test_a_study_s_page_tells_counted_predictions_from_others(objective: str, kind: str) -> None:
    assert provenance_of("a key", objective, {}, {}) == kind
