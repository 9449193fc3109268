"""The whole path over emulated boards: add, check, build, push, parity, measure, pull, search, report.

The runner is the real static one for ARM; ssh, sshd, adb and adbd are the real programs. The same path without any
board or privilege, by qemu's `-L`, is tested too, so real ARM code runs even on hosts that cannot run boards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from snsearch.device.deploy import sha256_of
from snsearch.device.subjects import network_subject, reference_subject
from snsearch.device.transports.transport import Transport
from snsearch.engine.engines import ENGINES
from snsearch.network.arch import Architecture
from snsearch.pages.evidence import measurements_of, worth_measuring
from snsearch.pages.page import report_data
from snsearch.pages.sections import column_of
from snsearch.study.storage import read_study
from tests.arm_userland import WHEELS, UnavailableError, arm_wheels
from tests.boards import MARKER, NETWORKS, Board, measured, own_home
from tests.cli.test_search import SMALL
from tests.conftest import Outcome
from tests.emulated_host import EmulatedHost
from tests.furnishing import KHZ

Run = Callable[..., Outcome]
pytestmark = pytest.mark.board


@pytest.fixture(params=["ssh", "adb", "qemu"])
def arm_device(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> str:
    """A device that runs ARM code, added as "board": each emulated board, and this host by `qemu -L`."""
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    own_home(tmp_path, monkeypatch)
    request.getfixturevalue("aarch64_runner")
    if request.param == "qemu":
        try:
            host = EmulatedHost.in_folder(tmp_path / "work folder")
        except UnavailableError as error:
            pytest.skip(f"no ARM code: {error}")
        monkeypatch.setattr("snsearch.device.board.connect", lambda device: host)
        url = "ssh://this-host-by-qemu"
    else:
        board: Board = request.getfixturevalue(f"{request.param}_board")
        board.reach(monkeypatch)
        board.clear()
        url = board.url
    outcome = run("device", "add", "board", url)
    assert outcome.code == 0, outcome.err
    return str(request.param)


def test_networks_are_measured_and_no_time_is_a_latency(arm_device: str, run: Run) -> None:
    [listed] = json.loads(run("device", "list", "--format", "json").out)["devices"]
    assert listed["description"].endswith(", aarch64")
    spec = ("shufflenet-v1", "--groups", "1,3", "--scale", "0.25", "--resolution", "64", "--classes", "10")
    made = measured(run("measure", *spec, "--device", "board", "--format", "json"))
    assert [one["subject"] for one in made] == list(NETWORKS)
    for one in made:
        assert one["verdict"] == "emulated"
        assert one["latency_ms"] is None
        assert one["parity"] < 1e-5
        assert one["samples_ns"], "raw samples are kept all the same"
        assert one["host"]["machine"] == "aarch64"
        assert one["host"]["runner"] == "ncnn-cpp"
        assert one["artefact"] == network_subject(Architecture.from_key(one["subject"])).artefact
    # Again, in every form: nothing runs, and nothing looks like a latency.
    for form in ("table", "csv"):
        outcome = run("measure", *spec, "--device", "board", "--format", form)
        assert outcome.code == 0, outcome.err
        assert "emulated" in outcome.out
        assert not re.search(r"\d ?ms\b", outcome.out + outcome.err)
    rows = outcome.out.splitlines()[1:]
    assert all(",,,,emulated," in row for row in rows), "no latency_ms, low_ms, high_ms"
    assert measured(run("measure", *spec, "--device", "board", "--format", "json")) == made


def test_a_search_ends_in_parity_on_the_device_and_its_page_shows_no_time_of_it(
    arm_device: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "shufflenet-v1-3-digits"
    outcome = run("search", *SMALL, "--device", "board")
    assert outcome.code == 0, outcome.err
    assert "predicted for Snapdragon 820" in outcome.err
    record = read_study(f"sqlite:///reports/{name}/study.db")
    worth = {trial.architecture.key for trial in worth_measuring(record) if trial.architecture}
    assert worth
    assert {one.subject for one in measurements_of(record)} == worth
    assert {one.verdict for one in measurements_of(record)} == {"emulated"}
    assert all(one.parity < 1e-5 for one in measurements_of(record))
    section = report_data(record).section("device-0")
    assert set(column_of(section.tables[0], "ms [95 %]")) == {"emulated: not a latency"}
    assert run("report", name).code == 0
    page = (Path("reports") / name / "report.html").read_text()
    assert "emulated: not a latency" in page
    document = json.loads(run("report", name, "--format", "json").out)
    assert {one["latency_ms"] for one in document["measurements"]} == {None}


def test_a_check_says_what_the_board_is_and_what_would_spoil(added_board: Board, run: Run) -> None:
    checked = run("device", "check", "board", "--format", "json")
    assert checked.code == 0, checked.err
    found = json.loads(checked.out)
    assert (found["machine"], found["is_arm"], found["runner"]) == ("aarch64", True, "ncnn-cpp")
    assert found["soc"] == "Emulated board, Cortex-A72"
    assert [cluster["kind"] for cluster in found["clusters"]] == ["Cortex-A72"]
    assert found["clusters"][0]["max_khz"] == KHZ
    assert found["memory_kb"] == 3_884_368
    assert found["temperature_mc"] == 45_000
    assert MARKER.strip() in found["emulated_because"]
    assert found["spoilers"][0].startswith("emulated: ")
    assert found["sound"] is True
    assert 0 < found["parity"] < 1e-5, "ARM code adds in another order than torch does here"


def test_the_runner_that_was_built_is_the_one_that_runs(added_board: Board, run: Run, aarch64_runner: Path) -> None:
    built = run("device", "build-runner", "--machine", "aarch64")
    assert built.code == 0, built.err
    digest = sha256_of(aarch64_runner)
    assert digest in built.out
    assert json.loads(run("device", "check", "board", "--format", "json").out)["runner_sha256"] == digest
    assert added_board.files("runner-*") >= {f"runner-{digest[:16]}"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_board_with_python_and_the_engine_needs_no_built_runner(
    engine: str, ssh_board: Board, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "onnxruntime":
        pytest.importorskip("onnx", reason="onnx is not installed (pip install 'snsearch[onnxruntime]')")
    try:
        wheels = arm_wheels()
    except UnavailableError as error:
        pytest.skip(f"no wheels for ARM's Python: {error}")
    ssh_board.reach(monkeypatch)
    ssh_board.clear()
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "empty home"))
    add = ("device", "add", "board", ssh_board.url, "--engine", engine)
    lacking = run(*add)
    assert lacking.code == 8
    assert f"pip install {engine} numpy there" in lacking.err
    assert ("snsearch device build-runner --machine aarch64" in lacking.err) == (engine == "ncnn")
    with ssh_board.enclosure.mounted(wheels, WHEELS):
        added = run(*add)
        assert added.code == 0, added.err
        [made] = measured(run("measure", NETWORKS[1], "--device", "board", "--format", "json"))
    assert (made["host"]["runner"], made["host"]["machine"], made["verdict"]) == (
        f"{engine}-python",
        "aarch64",
        "emulated",
    )
    assert made["parity"] < 1e-5


def test_a_model_is_there_as_it_was_pushed_and_others_are_removed(
    added_board: Board, board_transport: Transport, run: Run
) -> None:
    measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))
    prefix = reference_subject().prefix
    for suffix in (".param", ".bin"):
        there = board_transport.run(["sha256sum", prefix.name + suffix], timeout_s=60)
        assert there.stdout.split()[0] == sha256_of(prefix.with_name(prefix.name + suffix))
    assert added_board.files("*.param") == {prefix.name + ".param"}


def test_what_was_measured_is_measured_again_only_if_asked(added_board: Board, run: Run) -> None:
    [first] = measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/nowhere")  # the board cannot be reached
        [again] = measured(run("measure", NETWORKS[0], "--device", "board", "--format", "json"))
    assert again == first
    [repeated] = measured(run("measure", NETWORKS[0], "--device", "board", "--again", "--format", "json"))
    assert repeated["samples_ns"] != first["samples_ns"]
    assert repeated["artefact"] == first["artefact"]


def test_a_board_that_does_not_say_so_is_emulated_by_its_signs(added_board: Board, run: Run) -> None:
    with added_board.unmarked():
        found = json.loads(run("device", "check", "board", "--format", "json").out)
    assert re.fullmatch(r"its counter runs at 62\.5 MHz.* GFLOP/s", found["emulated_because"])
    assert found["simd_gflops"] < 1


def test_what_the_board_says_about_itself_is_read_again(added_board: Board, run: Run) -> None:
    hot = added_board.telling("sys/class/thermal/thermal_zone0/temp", "75000\n")
    with added_board.telling("proc/loadavg", "3.50 2.00 1.00 2/99 99\n"), hot:
        found = json.loads(run("device", "check", "board", "--format", "json").out)
    assert found["temperature_mc"] == 75_000
    assert any("75 °C" in words for words in found["spoilers"])
    assert any("load average 3.5" in words for words in found["spoilers"])


def test_another_board_under_the_same_name_is_refused(added_board: Board, run: Run) -> None:
    with added_board.telling("sys/firmware/devicetree/base/model", "Another board\0"):
        outcome = run("device", "check", "board")
    assert outcome.code == 8
    assert "is another device now: Another board" in outcome.err
