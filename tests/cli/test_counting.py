"""snsearch measure and device check, where the device is counted."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snsearch.api.places import Place
from snsearch.api.targets import objective_of
from snsearch.device.counting.counter import open_counter
from snsearch.device.counting.cpus import load_cpu
from snsearch.device.counting.record import CountedRecord
from snsearch.device.counting.tools import requirements
from snsearch.device.registry import device_of
from snsearch.engine.artefact import Artefact
from snsearch.errors import DeviceError
from snsearch.network.arch import Architecture
from snsearch.pages.evidence import counts_of, provenance_of, worth_measuring
from snsearch.study.observer import Observer
from snsearch.study.records import StudyRecord
from snsearch.study.storage import read_study
from tests.cli.test_search import SMALL
from tests.conftest import Outcome
from tests.device.test_counted import build_stand_in
from tests.studies import made_up_counts, pretended_training, train_in

URL = "counted://cortex-a72"
NAME = "shufflenet-v1-3-digits"
SEARCH = ("search", *SMALL, "--effort", "standard")


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
    assert "not a latency" in " ".join(shown.split())
    assert "predicted" in shown


@dataclass
class PretendedCounter:
    """Counts nothing: a wider model has more instructions. Ends, as told, before a model."""

    counted: list[str] = field(default_factory=list)
    before: Callable[[int], None] = lambda index: None

    def count(self, artefact: Artefact, *, again: bool = False) -> CountedRecord:
        self.before(len(self.counted))
        self.counted.append(artefact.key)
        size = sum(map(len, artefact.files.values()))
        return made_up_counts(artefact.key, instructions=10 * size, l1d_misses=size, l2_misses=size // 10).record


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PretendedCounter:
    """What counts, in a folder of the test's own in which nothing is trained."""
    found = PretendedCounter()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("snsearch.api.measuring.open_counter", lambda cpu, runner: found)
    train_in(monkeypatch, pretended_training(_four_groups_are_worse))
    return found


def _four_groups_are_worse(arch: Architecture) -> tuple[float, ...]:
    """Errors by which one of four candidates is not worth counting."""
    last = 0.8 if arch.groups[0] == 4 else 0.4
    return last + 0.1, last


def _study() -> StudyRecord:
    return read_study(f"sqlite:///reports/{NAME}/study.db")


def _page() -> str:
    return Path("reports", NAME, "report.html").read_text(encoding="utf-8")


def _worth() -> set[str]:
    return {trial.architecture.key for trial in worth_measuring(_study()) if trial.architecture}


def test_a_search_ends_in_counts_that_stand_in_the_study_and_on_its_page(
    run: Callable[..., Outcome], counter: PretendedCounter
) -> None:
    outcome = run(*SEARCH, "--device", URL)
    assert outcome.code == 0, outcome.err
    record = _study()
    assert {one.subject for one in counts_of(record)} == _worth()
    assert len(counts_of(record)) == len(_worth())
    assert {one.core.name for one in counts_of(record)} == {"cortex-a72"}
    assert "Counted on cortex-a72" in _page()
    document = json.loads(run("report", NAME, "--format", "json").out)
    assert [one["subject"] for one in document["counts"]] == [one.subject for one in counts_of(record)]
    assert all(one["counts"]["instructions"] and one["predicted"]["interval_ms"] for one in document["counts"])
    kinds = {one["key"]: one["provenance"] for one in document["candidates"]}
    assert {key for key, kind in kinds.items() if kind.endswith("; counted on cortex-a72")} == _worth()


@pytest.mark.long
def test_measuring_a_study_on_a_core_keeps_each_count_once_and_writes_the_page_again(
    run: Callable[..., Outcome], counter: PretendedCounter
) -> None:
    assert run(*SEARCH, "--profile", "counted").code == 0
    assert "Counted on" not in _page()
    outcome = run("measure", NAME, "--device", URL)
    assert outcome.code == 0
    assert f"report: reports/{NAME}/report.html" in outcome.err
    assert {one.subject for one in counts_of(_study())} == _worth()
    assert "Counted on cortex-a72" in _page()
    assert run("measure", NAME, "--all", "--device", URL, "--format", "json").code == 0
    assert len(counts_of(_study())) == len(_study().candidates) >= len(_worth())
    assert run("measure", NAME, "--device", "counted://cortex-a76").code == 0
    assert "Counted on cortex-a76" in _page()
    assert len(counts_of(_study())) == len(_study().candidates) + len(_worth())


def test_what_was_counted_before_a_fault_is_kept_and_shown(
    run: Callable[..., Outcome], counter: PretendedCounter
) -> None:
    assert run(*SEARCH).code == 0

    def fail(index: int) -> None:
        if index == 1:
            assert len(counts_of(_study())) == 1, "the first is kept before the second is counted"
            raise DeviceError("qemu ended")

    counter.before = fail
    outcome = run("measure", NAME, "--all", "--device", URL, "--format", "json")
    assert outcome.code == 8
    assert "qemu ended" in outcome.err
    assert [one["network"] for one in json.loads(outcome.out)["counted"]] == [
        one.subject for one in counts_of(_study())
    ]
    assert "Counted on cortex-a72" in _page()


def test_a_search_whose_machine_cannot_count_has_its_page_and_says_how_to_count_later(
    run: Callable[..., Outcome], counter: PretendedCounter
) -> None:
    def fail(index: int) -> None:
        raise DeviceError("qemu ended")

    counter.before = fail
    outcome = run(*SEARCH, "--device", URL)
    assert outcome.code == 0
    assert "the aarch64 runner missing, so that nothing will be counted at the end" in outcome.err
    assert f"qemu ended Later: snsearch measure reports/{NAME} --device {URL}" in outcome.err
    assert "Counted on" not in _page()


def test_an_interrupt_ends_counting_behind_the_network_and_the_search_has_its_page(
    run: Callable[..., Outcome], counter: PretendedCounter
) -> None:
    counter.before = lambda index: os.kill(os.getpid(), signal.SIGINT)
    outcome = run(*SEARCH, "--device", URL)
    assert outcome.code == 130
    assert "stopping at the next step" in outcome.err
    assert len(counts_of(_study())) == 1 < len(_worth())
    assert "Counted on cortex-a72" in _page()


@pytest.mark.long
def test_a_study_is_counted_by_the_real_emulator(
    run: Callable[..., Outcome], counter: PretendedCounter, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*SEARCH).code == 0
    monkeypatch.setattr("snsearch.api.measuring.open_counter", open_counter)
    assert run("measure", NAME, "--device", URL, "--runner", str(stand_in)).code == 0
    assert {one.subject for one in counts_of(_study())} == _worth()
    assert all(one.record.counts.instructions > 3 * 1024 for one in counts_of(_study()))


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
    place = Place(url=f"sqlite:///{tmp_path / 'study.db'}", name="study", folder=tmp_path)
    objective = objective_of("latency", None, device_of(URL), place, Observer())
    assert objective.name.startswith("latency counted-cortex-a72 ")
    assert objective_of("latency", "counted", device_of(URL), place, Observer()).name == "counted"


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
