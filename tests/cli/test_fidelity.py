"""snsearch fidelity, as a user runs it: a small set is made, gone on with, shown, and misused."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from snsearch.cli import cli
from snsearch.lab import fidelity as fidelity_module
from snsearch.lab import folders, making, ranking, scores
from snsearch.lab.reference import REFERENCE, curves_of, read_scores, read_set
from snsearch.lab.scores import ScoreResult
from snsearch.network.arch import Architecture
from snsearch.training.recipe import ProxyResult, Recipe
from tests.studies import pretended_training, train_in

Run = Callable[..., Any]
MAKE = (
    "fidelity",
    "run",
    "--budget",
    "3",
    "--resolution",
    "96",
    "--data",
    "digits",
    "--workers",
    "1",
    "--threads",
    "1",
)
SMALL = (*MAKE, "--candidates", "6", "--seeds", "2", "--reference-images", "64", "--reference-epochs", "2")
TINY = Recipe(images=64, batch_size=32, test_images=60, curve_points=1, recalibration=32)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """A default recipe of two steps, and fewer bootstraps than users get."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (making, fidelity_module):
            patch.setattr(module, "default_recipe", lambda train_images: TINY)
        patch.setattr(ranking, "BOOTSTRAPS", 50)
        yield


def _training(arch: Architecture, *arguments: Any, seed: int, **options: Any) -> ProxyResult:
    """A training with a made-up error, which falls with the width and moves with the seed."""
    error = 0.9 - arch.stage_channels[-1] / 2000 + 0.01 * (seed % 3)
    return pretended_training(lambda arch: (error,))(arch, *arguments, seed=seed, **options)


def _scores(arch: Architecture, dataset: object, *, seed: int, device: object) -> tuple[ScoreResult, ...]:
    """Every score, made up."""
    width = float(arch.stage_channels[-1])
    return tuple(ScoreResult(name=name, value=width, cpu_seconds=0.01, seed=seed) for name in scores.SCORES)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors and scores are made up at once."""
    train_in(monkeypatch, _training)
    monkeypatch.setattr(making, "zero_cost", _scores)


def _make(folder: Path) -> Path:
    cli.main([*SMALL, "--remark", "small [and quick]", "--out", str(folder)], standalone_mode=False)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set on digits, made by the command with made-up errors and scores."""
    with pytest.MonkeyPatch.context() as patch:
        train_in(patch, _training)
        patch.setattr(making, "zero_cost", _scores)
        return _make(tmp_path_factory.mktemp("made") / "set")


@pytest.mark.parametrize("really", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_set_holds_every_training_and_score(really: bool, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made = _make(tmp_path / "set") if really else request.getfixturevalue("made")
    found = read_set(made)
    assert len(found.members) == 6
    assert found.seeds == (0, 1)
    assert found.recipes["default"] == TINY
    assert found.recipes[REFERENCE].epochs == 2
    assert found.remark == "small [and quick]"
    curves = curves_of(made)
    assert len(curves) == 6 * (2 + 2)
    assert {seed for _, recipe, seed in curves if recipe == REFERENCE} == {0, 1}
    assert not {seed for _, recipe, seed in curves if recipe == "default"} & {0, 1}, "noise is not shared"
    names = {score.name for _, score in read_scores(made)}
    assert names == set(scores.SCORES)
    assert len(read_scores(made)) == 6 * 2 * len(names)
    assert not (made / "checkpoints").exists()


def test_the_same_command_finds_the_set_done(made: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> object:
        raise AssertionError("trained again")

    train_in(monkeypatch, fail)
    monkeypatch.setattr(making, "zero_cost", fail)
    before = (made / "trainings.csv").read_bytes()
    outcome = run(*SMALL, "--out", str(made))
    assert outcome.code == 0, outcome.err
    assert "24 trainings, 24 of them done before" in outcome.err
    assert (made / "trainings.csv").read_bytes() == before
    assert read_set(made).remark == "small [and quick]"
    assert "default" in outcome.out


def test_another_recipe_or_budget_is_refused_and_changes_nothing(made: Path, run: Run) -> None:
    before = (made / "set.json").read_bytes()
    longer = run(*SMALL, "--reference-epochs", "3", "--out", str(made))
    assert longer.code == 6
    assert "the set 'set' was made with other settings (recipe 'reference' epochs: " in longer.err
    assert "name another folder" in longer.err
    dearer = run(*SMALL, "--budget", "4", "--out", str(made))
    assert dearer.code == 6
    assert "budget name: '3 MFLOPs', now '4 MFLOPs'" in dearer.err
    assert "members: " in dearer.err
    assert (made / "set.json").read_bytes() == before


@pytest.mark.usefixtures("pretend")
def test_a_set_that_another_process_makes_is_left_as_it_is(made: Path, run: Run) -> None:
    before = (made / "set.json").read_bytes()
    with filelock.FileLock(made / "trainings.csv.lock"):
        result = run(*SMALL, "--remark", "another", "--out", str(made))
    assert result.code == 6
    assert "another process is at work" in result.err
    assert (made / "set.json").read_bytes() == before


@pytest.mark.usefixtures("pretend")
def test_a_set_grows_by_seeds(made: Path, run: Run, tmp_path: Path) -> None:
    for file in made.iterdir():
        if file.suffix in (".json", ".csv"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    outcome = run(*SMALL, "--seeds", "3", "--out", str(tmp_path))
    assert outcome.code == 0, outcome.err
    assert "30 trainings, 24 of them done before" in outcome.err
    assert read_set(tmp_path).seeds == (0, 1, 2)
    assert len(curves_of(tmp_path)) == 30


@pytest.mark.usefixtures("pretend")
def test_an_interrupted_command_ends_with_130_and_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def interrupted(*arguments: Any, **options: Any) -> object:
        begun.append(options["seed"])
        if len(begun) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return _training(*arguments, **options)

    with monkeypatch.context() as patched:
        train_in(patched, interrupted)
        outcome = run(*SMALL, "--out", str(tmp_path / "set"))
    folder = tmp_path / "set"
    assert outcome.code == 130
    assert "the same command goes on from here" in outcome.err
    assert len(curves_of(folder)) == 3
    outcome = run(*SMALL, "--out", str(folder))
    assert outcome.code == 0, outcome.err
    assert "24 trainings, 3 of them done before" in outcome.err
    assert len(curves_of(folder)) == 24


def test_an_interruption_is_heard_among_the_training_free_scores(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def interrupted(arch: object, dataset: object, *, seed: int, device: object) -> tuple[ScoreResult, ...]:
        calls.append(seed)
        os.kill(os.getpid(), signal.SIGINT)
        return ()

    monkeypatch.setattr(making, "zero_cost", interrupted)
    outcome = run(*SMALL, "--out", str(tmp_path / "set"))
    assert outcome.code == 130
    assert len(calls) == 1
    assert not (tmp_path / "set" / "scores.csv").exists()


def test_a_space_with_too_few_networks_is_refused_before_anything_is_trained(run: Run, tmp_path: Path) -> None:
    outcome = run(*SMALL, "--space", "mobilenet-v1", "--out", str(tmp_path / "set"))
    assert outcome.code == 6
    assert "leaves 4 different networks of mobilenet-v1; fidelity needs 6" in outcome.err
    assert not (tmp_path / "set").exists()


def test_a_set_is_shown_as_table_json_and_csv(made: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # no heading wraps
    table = run("fidelity", "show", str(made))
    assert table.code == 0, table.err
    assert "set: 6 candidates of" in table.out
    assert "small [and quick]" in table.out
    assert "Kendall tau" in table.out
    records = json.loads(run("fidelity", "show", str(made), "--format", "json").out)
    assert {"set", "data", "budget_mflops", "candidates", "noise_ceiling", "proxy", "kind", "images"} <= set(
        records[0]
    )
    assert {"kendall_tau", "interval", "cost_seconds", "cost_ratio", "default"} <= set(records[0])
    assert all(-1 <= record["interval"][0] <= record["interval"][1] <= 1 for record in records)
    assert sum(record["default"] for record in records) == 1
    assert {record["candidates"] for record in records} == {6}
    rows = list(csv.DictReader(io.StringIO(run("fidelity", "show", str(made), "--format", "csv").out)))
    assert [row["proxy"] for row in rows] == [record["proxy"] for record in records]
    assert [float(row["kendall_tau"]) for row in rows] == [record["kendall_tau"] for record in records]
    every = run("fidelity", "show", str(made), "--all")
    assert len(every.out.splitlines()) >= len(records) > 0


def test_an_unknown_set_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run("fidelity", "show", "nonsense")
    assert outcome.code == 6
    assert "no reference set 'nonsense': expected a folder with a set.json" in outcome.err
    monkeypatch.setattr(folders, "SHIPPED", tmp_path)
    for form in ("table", "csv", "json"):
        nothing = run("fidelity", "show", "--format", form)
        assert nothing.code == 6
        assert "none comes with snsearch" in nothing.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--budget", "nonsense"), 3, "no budget is named 'nonsense'"),
        (("--candidates", "5"), 2, "--candidates"),
        (("--seeds", "1"), 2, "--seeds"),
        (("--data", "nowhere"), 5, "no such folder or file"),
    ],
)
def test_bad_input_gets_one_message_and_its_exit_code(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    outcome = run(*SMALL, *arguments, "--out", str(tmp_path / "set"))
    assert outcome.code == code
    assert message in outcome.err
    assert not (tmp_path / "set").exists()
