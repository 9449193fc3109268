"""snsearch paper, as a user runs it: to the end, stopped, gone on with, added to, and misused."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from snsearch.lab.logs import read_log
from snsearch.training.proxy import TrainingDiverged, train_proxy
from tests.studies import pretended_training, train_in

Run = Callable[..., Any]
SMALL = ("--budget", "5", "--data", "digits", "--proxy-images", "64", "--workers", "1", "--threads", "1")
SHUFFLE = (*SMALL, "--table", "3")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    return tmp_path


def _log(folder: Path, name: str = "paper-digits") -> Path:
    return folder / "reports" / name / "trainings.csv"


def _process(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snsearch", "paper", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _until(stream: Iterator[str], beginning: str) -> None:
    """Reads lines up to the first one with that beginning."""
    lines = []
    for line in stream:
        lines.append(line)
        if line.startswith(beginning):
            return
    raise AssertionError(f"ended without a line that begins with {beginning!r}: {lines}")


def test_a_run_ends_in_claims_and_the_same_command_trains_nothing_more(run: Run, here: Path) -> None:
    first = run("paper", *SHUFFLE)
    assert first.code == 0, first.err
    assert "12 trainings, 0 of them done before" in first.err
    assert "12/12 5 MFLOPs ShuffleNet g=8, no shuffle, proxy, seed 2" in first.err
    assert "channel shuffle helps more at g=8 than at g=3" in first.out
    assert "ImageNet there, digits here; 12 of 12 trainings" in first.out
    assert "data: digits: 1,618 training and 179 test images" in first.out
    assert "quick" not in first.out
    kept = _log(here).read_bytes()
    again = run("paper", *SHUFFLE)
    assert (again.code, again.out) == (0, first.out)
    assert "12 trainings, 12 of them done before" in again.err
    assert _log(here).read_bytes() == kept
    assert {path.name for path in _log(here).parent.iterdir()} <= {
        "settings.json",
        "trainings.csv",
        "trainings.csv.lock",
    }


def test_json_holds_verdicts_networks_and_where_they_come_from(run: Run, here: Path) -> None:
    document = json.loads(run("paper", *SHUFFLE, "--seeds", "2", "--format", "json").out)
    assert document["schema"] == 1
    assert document["complete"]
    assert (document["quick"], document["tight"], document["seeds"]) == (False, True, 2)
    assert document["data"]["description"].startswith("digits: 1,618 training")
    assert document["recipe"]["images"] == 64
    assert document["versions"]["trained_on"] == ["cpu"]
    errors = {network["label"]: network["errors"] for network in document["networks"]}
    assert {label: set(by_seed) for label, by_seed in errors.items()} == {
        f"5 MFLOPs ShuffleNet g={g}{tail}": {"0", "1"} for g in (3, 8) for tail in ("", ", no shuffle")
    }
    assert {(c[0].candidate, str(c[0].seed)): c[-1].test_error for c in read_log(_log(here)).values()} == {
        (label, seed): error for label, by_seed in errors.items() for seed, error in by_seed.items()
    }
    verdict = document["verdicts"][0]
    assert (verdict["claim"], verdict["table"]) == ("shuffle-3", 3)
    assert verdict["paper_errors"] == {"ShuffleNet g=3, no shuffle": 56.3, "ShuffleNet g=3": 55.0}
    assert verdict["paper_points"] == pytest.approx(1.3)
    seen = [errors["5 MFLOPs ShuffleNet g=3, no shuffle"][s] - errors["5 MFLOPs ShuffleNet g=3"][s] for s in "01"]
    assert verdict["points"] == pytest.approx(50 * sum(seen))
    for network in document["networks"]:
        counted = json.loads(run("count", network["key"], "--format", "json").out)["counts"][0]
        assert counted["macs"] == network["macs"]


def test_csv_has_a_row_a_claim(run: Run, here: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("paper", *SHUFFLE, "--seeds", "1", "--format", "csv").out)))
    assert [row["claim"] for row in rows] == ["shuffle-3", "shuffle-8", "shuffle-more"]
    assert rows[0]["networks"] == "5 MFLOPs ShuffleNet g=3, no shuffle: 1; 5 MFLOPs ShuffleNet g=3: -1"
    assert {row["data"] for row in rows} == {"digits"}
    assert {row["points_95"] for row in rows} == {""}, "one seed has no interval"


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings have made-up errors at once, which fall with the width."""
    train_in(monkeypatch, pretended_training(lambda arch: (0.9 - arch.stage_channels[-1] / 2000,)))


@pytest.mark.usefixtures("pretend")
def test_more_seeds_tables_and_budgets_add_to_what_is_there(run: Run, here: Path) -> None:
    run("paper", *SHUFFLE, "--seeds", "1")
    begun = _log(here).read_bytes()
    assert "8 trainings, 4 of them done before" in run("paper", *SHUFFLE, "--seeds", "2").err
    assert "7 trainings, 4 of them done before" in run("paper", *SMALL, "--table", "2,3", "--seeds", "1").err
    more = run("paper", *SHUFFLE, "--seeds", "1", "--budget", "6,7", "--format", "json")
    assert "12 trainings, 4 of them done before" in more.err
    assert {verdict["mflops"][0] for verdict in json.loads(more.out)["verdicts"]} == {5, 6, 7}
    assert _log(here).read_bytes().startswith(begun)


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--proxy-images", "128"), "recipe images: 64, now 128"),
        (("--proxy-epochs", "2"), "recipe epochs: 1, now 2"),
        (("--no-tight",), "tight: True, now False"),
    ],
)
def test_another_recipe_in_the_same_folder_is_refused(
    run: Run, here: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert run("paper", *SHUFFLE, "--seeds", "1").code == 0
    kept = _log(here).read_bytes()
    other = run("paper", *SHUFFLE, *arguments)
    assert other.code == 6
    assert said in other.err
    assert "--out" in other.err
    assert _log(here).read_bytes() == kept
    assert run("paper", *SHUFFLE, "--seeds", "1", *arguments, "--out", "elsewhere").code == 0
    assert len(read_log(here / "elsewhere" / "trainings.csv")) == 4


def test_quick_takes_fewer_images_has_its_own_folder_and_says_so(run: Run, here: Path) -> None:
    outcome = run("paper", *SHUFFLE, "--seeds", "1", "--quick")
    assert outcome.code == 0
    assert "quick, 4 of 4 trainings" in outcome.out
    settings = json.loads((_log(here, "paper-digits-quick").parent / "settings.json").read_text(encoding="utf-8"))
    assert settings["recipe"]["images"] == 64, "what is asked for goes before quick"


@pytest.mark.long
@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_keeps_what_is_done_prints_it_and_ends_with_130(here: Path, workers: str) -> None:
    arguments = (*SHUFFLE, "--seeds", "40", "--workers", workers)
    with _process(here, *arguments) as process:
        assert process.stderr is not None
        _until(iter(process.stderr), "5/160 ")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "interrupted; the same command goes on from here" in err
    kept = len(read_log(_log(here)))
    assert 5 <= kept < 160
    assert f"{kept} of 160 trainings" in out
    assert "channel shuffle helps at g=3" in out
    with _process(here, *SHUFFLE, "--seeds", "2", "--workers", workers) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "8 of 8 trainings" in out


def test_a_training_that_diverges_leaves_its_claims_out_and_ends_with_6(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(arch: Any, *arguments: Any, **options: Any) -> Any:
        if arch.groups[0] == 8:
            raise TrainingDiverged("the training loss became nan")
        return train_proxy(arch, *arguments, **options)

    train_in(monkeypatch, diverges)
    outcome = run("paper", *SHUFFLE, "--format", "json")
    assert outcome.code == 6
    assert "a training diverged: 5 MFLOPs ShuffleNet g=8, proxy, seed 0" in outcome.err
    document = json.loads(outcome.out)
    assert not document["complete"]
    assert [verdict["finding"] == "not run" for verdict in document["verdicts"]] == [False, True, True]


def test_networks_that_the_budget_leaves_out_are_said(run: Run, here: Path) -> None:
    outcome = run("paper", *SHUFFLE, "--seeds", "1", "--budget", "3", "--format", "json")
    document = json.loads(outcome.out)
    missing = [(entry["budget_mflops"], entry["network"]) for entry in document["missing"]]
    assert missing == [(3, "ShuffleNet g=8"), (3, "ShuffleNet g=8, no shuffle")]
    assert "needs 4.34 MFLOPs" in document["missing"][0]["reason"]
    assert [verdict["finding"] for verdict in document["verdicts"][:3]] == ["undecided", "not run", "not run"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--table", "6"), 2, "expected tables of the paper among 2,3,4,5"),
        (("--budget", "many"), 2, "is not a number; expected MFLOPs between"),
        (("--budget", "0.01"), 4, "no network of the paper's meets"),
        (("--budget", "-3"), 2, "expected MFLOPs between"),
        (("--data", "nowhere"), 5, "no such folder or file"),
        (("--proxy-device", "cuda:99"), 6, "device 'cuda:99' cannot be used"),
        (("--seeds", "0"), 2, "--seeds"),
    ],
)
def test_bad_input_gets_one_message_and_its_exit_code(
    run: Run, here: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    outcome = run("paper", *SMALL, *arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert not list(here.rglob("*.csv"))


def test_a_folder_that_holds_another_kind_of_log_is_refused(run: Run, here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "trainings.csv").write_text("name,age\n", encoding="utf-8")
    outcome = run("paper", *SHUFFLE, "--out", "mine")
    assert outcome.code == 6
    assert "is no log of trainings" in outcome.err
    assert (here / "mine" / "trainings.csv").read_text(encoding="utf-8") == "name,age\n"
