"""Counted devices: their URLs, the cache of counts, and runners that fail."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from snsearch.codec import encode
from snsearch.device.counting.counter import Counter, cpu_of, open_counter, profile_name
from snsearch.device.counting.counts import Counts, Weighing
from snsearch.device.counting.record import CountedRecord
from snsearch.device.counting.tools import requirements
from snsearch.device.registry import Device
from snsearch.engine.artefact import Artefact
from snsearch.engine.ncnn_model import BIN, PARAM
from snsearch.engine.protocol import RunnerError
from snsearch.errors import DeviceError

TESTS = Path(__file__).parents[1]


def _model(param: bytes) -> Artefact:
    return Artefact(files={PARAM: param, BIN: b"weights"})


MODEL, OTHER, BROKEN = map(_model, (b"a model\n", b"another\n", b"x\n"))


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small aarch64 program that stands in for the runner."""
    if missing := [need.name for need in requirements() if need.found is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    return build_stand_in(tmp_path_factory.mktemp("runner") / "runner")


def build_stand_in(path: Path, machine: str = "aarch64", fails: int = 0) -> Path:
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        pytest.skip("aarch64-linux-gnu-gcc is not installed")
    defines = [f'-DMACHINE="{machine}"', f"-DFAILS={fails}"]
    source = str(TESTS / "counted_runner.c")
    subprocess.run(
        [compiler, "-O1", "-static", *defines, "-o", str(path), source], check=True, capture_output=True, timeout=120
    )
    return path


@pytest.fixture
def counter(stand_in: Path, tmp_path: Path) -> Counter:
    return open_counter(cpu_of("counted://cortex-a72"), stand_in, tmp_path / "counted")


def test_a_counted_device_is_told_by_its_url() -> None:
    assert Device(name="a72", url="counted://cortex-a72").is_counted
    assert not Device(name="board", url="ssh://board").is_counted
    assert cpu_of("counted://cortex-a53").l2.size == 512 * 1024
    assert profile_name("counted://cortex-a72") == "counted-cortex-a72"


def test_an_unknown_core_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(DeviceError, match=r"no cpu is named 'm4'.*expected one of counted://cortex-a53"):
        cpu_of("counted://m4")


def test_a_repeat_is_counted_and_kept(counter: Counter) -> None:
    first = counter.count(MODEL)
    assert (
        3 * 1024 <= first.counts.instructions <= 4 * 1024 + 100
    )  # per line: a load, an addition, a comparison and a jump
    assert first.counts.loads >= 1024
    assert first.counts.l1d_misses == pytest.approx(1024, abs=8)  # 64 KiB in a circle through 32
    assert first.counts.l2_misses == pytest.approx(0, abs=8)
    assert first.provenance == "counted, ncnn 1.0.1 for aarch64 under qemu " + (
        f"{counter.tools.qemu_version}, caches of cortex-a72; not a latency"
    )
    kept = counter.folder / f"{first.key}.json"
    assert json.loads(kept.read_text())["counts"] == encode(first.counts)


def test_what_was_counted_before_is_read_and_not_run(counter: Counter, tmp_path: Path) -> None:
    first = counter.count(MODEL)
    gone = Counter(
        cpu=counter.cpu,
        tools=counter.tools,
        runner=tmp_path / "gone",
        runner_digest=counter.runner_digest,
        folder=counter.folder,
    )
    assert gone.count(MODEL) == first
    with pytest.raises(FileNotFoundError):
        gone.count(MODEL, again=True)
    with pytest.raises(FileNotFoundError):
        gone.count(OTHER)


@pytest.mark.long
@pytest.mark.parametrize("damage", ["", "{", '{"counts": {}}', "[]"])
def test_a_damaged_record_is_counted_again(counter: Counter, damage: str) -> None:
    first = counter.count(MODEL)
    kept = counter.folder / f"{first.key}.json"
    kept.write_text(damage)
    assert counter.count(MODEL) == first
    assert json.loads(kept.read_text())["key"] == first.key


def test_the_key_changes_with_all_that_counts_depend_on(counter: Counter, stand_in: Path, tmp_path: Path) -> None:
    other_runner = tmp_path / "runner"
    other_runner.write_bytes(stand_in.read_bytes() + b"\0")
    keys = {
        counter.key(MODEL.key),
        counter.key(OTHER.key),
        open_counter(cpu_of("counted://cortex-a53"), stand_in, tmp_path).key(MODEL.key),
        open_counter(counter.cpu, other_runner, tmp_path).key(MODEL.key),
    }
    assert len(keys) == 4


def test_the_runner_s_own_report_is_raised(counter: Counter) -> None:
    with pytest.raises(RunnerError, match="model: cannot be read"):
        counter.count(BROKEN)


def test_a_runner_for_another_machine_is_refused(stand_in: Path, tmp_path: Path) -> None:
    wrong = build_stand_in(tmp_path / "runner", machine="armv7l")
    with pytest.raises(DeviceError, match='"runner" is for armv7l; expected aarch64'):
        open_counter(cpu_of("counted://cortex-a72"), wrong, tmp_path).count(MODEL)


def test_a_runner_that_is_missing_is_told_how_to_build(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="build it with snsearch device build-runner"):
        open_counter(cpu_of("counted://cortex-a72"), tmp_path / "none", tmp_path)


def test_counts_are_weighed_into_milliseconds_with_their_interval() -> None:
    weighing = Weighing(
        device="a board",
        source="its figures",
        instructions=0.2,
        l1_misses=10,
        l2_misses=14,
        networks=5,
        mape=0.05,
        interval_factor=1.25,
    )
    counts = Counts(
        instructions=50_000_000,
        loads=0,
        stores=0,
        l1d_accesses=0,
        l1d_misses=1_900_000,
        l1i_accesses=0,
        l1i_misses=100_000,
        l2_accesses=2_000_000,
        l2_misses=500_000,
    )
    # 50 * 0.2 + 2 * 10 + 0.5 * 14
    assert weighing.milliseconds(counts) == pytest.approx((37, 29.6, 46.25))
    assert weighing.provenance.startswith("predicted from counted cost, a board, ±5 %")


def test_a_record_says_what_it_is() -> None:
    record = CountedRecord(
        cpu="cortex-a72",
        counts=Counts(**dict.fromkeys(Counts.__dataclass_fields__, 1)),
        artefact="a",
        runner="r",
        ncnn="1",
        qemu="7.2.22",
        key="k",
    )
    values = encode(record)
    assert values["kind"] == "counted"
    assert str(values["provenance"]).endswith("not a latency")
