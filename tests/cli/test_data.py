"""snsearch data, and what search says of its data, its memory and its time before it trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snsearch.lab import making, ranking
from snsearch.study.storage import read_study
from tests.studies import pretended_training, train_in
from tests.training.test_folder import fill, picture

Run = Callable[..., Any]
SMALL = (
    "--budget", "3", "--resolution", "96", "--full-images", "64", "--workers", "1", "--threads", "1",
    "--effort", "quick", "--time-limit", "0.1s",
)  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_data_prints_classes_splits_skipped_and_remarks_as_json(run: Run, here: Path) -> None:
    fill(here / "pets", "cat/.ipynb_checkpoints", "cat", count=28)
    fill(here / "pets", "dog", count=2)
    (here / "pets" / "dog" / "a.heic").write_bytes(b"")
    outcome = run("data", "pets", "--format", "json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert [(one["name"], one["images"]) for one in document["classes"]] == [("cat", 28), ("dog", 2)]
    assert document["splits"] == {"train": 24, "validation": 2, "test": 4}
    assert document["skipped"] == {"hidden": 1, ".heic file": 1}
    assert [one["name"] for one in document["skipped_files"]] == ["pets/cat/.ipynb_checkpoints", "pets/dog/a.heic"]
    assert len(document["remarks"]) == 2
    assert "look at the balanced error" in document["remarks"][0]
    assert document["remarks"][1] == "no validation images of 1 class: dog"
    assert document["sizes"] == [{"width": 8, "height": 8, "images": 30}]
    assert document["becomes"] == {"channels": 3, "height": 32, "width": 32}


def test_the_first_unreadable_files_are_named_and_how_many_more(run: Run, here: Path) -> None:
    fill(here / "pets", "cat", "dog", count=16)
    for number in range(7):
        (here / "pets" / "dog" / f"broken{number}.png").write_bytes(b"none")
    lines = run("data", "pets").out.splitlines()
    assert sum(line.startswith("  skipped: pets/dog/broken") for line in lines) == 5
    assert "  skipped: 2 more; --format json names all" in lines
    assert len(json.loads(run("data", "pets", "--format", "json").out)["skipped_files"]) == 7


def test_data_that_a_search_refuses_is_described_with_the_reason(run: Run, here: Path) -> None:
    fill(here / "pets", "val/a", "val/b", "test/a", "test/b")
    outcome = run("data", "pets", "--format", "json")
    document = json.loads(outcome.out)
    assert outcome.code == 0
    assert document["usable"] is False
    assert document["remarks"][0].startswith("refused: no folder is named as the training split")
    assert sum(document["splits"].values()) == 0
    assert run("data", "pets").code == 0
    assert run("data", "pets", "--split", "train=val,test=test").code == 0
    refused = run("search", *SMALL, "--data", "pets")
    assert refused.code == 5
    assert "'test', 'val'" in refused.err
    empty = here / "empty"
    empty.mkdir()
    assert "refused: folder 'empty' holds no images" in run("data", "empty").out


PAPER = ("paper", "--budget", "5", "--table", "3", "--seeds", "1")
FIDELITY = ("fidelity", "run", "--budget", "3", "--resolution", "96", "--candidates", "6", "--seeds", "2")


@pytest.mark.parametrize(("command", "kept"), [(PAPER, "settings.json"), (FIDELITY, "set.json")])
@pytest.mark.parametrize("way", ["--split", "columns"])
def test_paper_and_fidelity_read_data_as_search_does(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], kept: str, way: str
) -> None:
    train_in(monkeypatch, pretended_training(lambda arch: (0.5, arch.stage_channels[-1] / 1e4)))
    monkeypatch.setattr(making, "zero_cost", lambda *_, **__: ())
    monkeypatch.setattr(ranking, "BOOTSTRAPS", 50)
    if way == "--split":
        fill(here / "pets", "old/cat", "old/dog", "new, blurred/cat", "new, blurred/dog")
        options = ["--split", "old", "--split", "test=new, blurred"]
    else:
        fill(here, "pets", count=16)
        rows = "".join(f"{number}.png,{('cat', 'dog')[number % 2]}\n" for number in range(16))
        (here / "pets" / "notes.csv").write_text(f"photo,kind\n{rows}")
        options = ["--image-column", "photo", "--label-column", "kind"]
    outcome = run(*command, "--data", "pets", "--workers", "1", "--out", "made", *options)
    assert outcome.code == 0, outcome.err
    assert "2 classes" in outcome.err
    assert (here / "made" / kept).is_file()
    wrong = run(*command, "--data", "pets", "--workers", "1", "--out", "made", "--split", "part=a")
    assert (wrong.code, wrong.out) == (5, "")


@pytest.mark.parametrize("arguments", [("nosuch",), ("pets/nosuch",), ("pets", "--split", "part=a")])
def test_data_that_is_not_there_ends_with_5(run: Run, here: Path, arguments: tuple[str, ...]) -> None:
    fill(here / "pets", "a", "b")
    outcome = run("data", *arguments)
    assert (outcome.code, outcome.out) == (5, "")


_LOADED = """
import sys, snsearch.cli
sys.argv = ["snsearch", *{!r}]
try:
    snsearch.cli.main()
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    "arguments", [("data", "pets"), ("search", "--budget", "3", "--data", "nosuch"), ("data", "pets.parquet")]
)
def test_describing_data_and_wrong_data_load_no_torch(here: Path, arguments: tuple[str, ...]) -> None:
    fill(here / "pets", "a", "b")
    import pyarrow
    import pyarrow.parquet

    columns = {"image": [picture() for _ in range(8)], "label": [number % 2 for number in range(8)]}
    pyarrow.parquet.write_table(pyarrow.table(columns), here / "pets.parquet")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(here / "cache")}
    finished = subprocess.run(
        [sys.executable, "-c", _LOADED.format(arguments)],
        capture_output=True, text=True, timeout=120, env=environment, check=False,
    )  # fmt: skip
    assert finished.stdout.splitlines()[-1] == "False", finished.stderr


def test_search_prints_the_summary_first_and_the_page_says_it(run: Run, here: Path) -> None:
    fill(here / "pets", "Train/cat", "Train/dog", "Testing/cat", "Testing/dog", size=(96, 80))
    outcome = run("search", *SMALL, "--data", "pets")
    assert outcome.code == 0, outcome.err
    lines = outcome.errors.splitlines()
    assert lines[0] == "data: pets (image folder pets); 2 classes"
    assert lines[1:4] == [
        "  train: 6 images, folder Train/",
        "  validation: 2 images, a tenth of every class of folder Train/",
        "  test: 8 images, folder Testing/",
    ]
    assert "images are 96x80, brought to 3x64x64" in outcome.err
    assert "a full training takes 66 images, not 64: 11 whole passes (at most 60) over 6 of the 6" in outcome.err
    record = read_study(f"sqlite:///{here / 'reports' / 'shufflenet-v1-3-pets' / 'study.db'}")
    result = next(trial.proxy for trial in record.trials if trial.proxy is not None)
    assert (result.train_images, result.test_images) == (6, 2)  # chosen by validation images
    assert result.balanced_error is not None
    page = (here / "reports" / "shufflenet-v1-3-pets" / "report.html").read_text(encoding="utf-8")
    assert "test: 8 images, folder Testing/" in page
    assert "share of wrong validation images" in page
    document = json.loads(run("report", "--format", "json").out)
    assert document["candidates"][0]["proxy"]["balanced_error"] == result.balanced_error


def test_a_search_on_changed_images_says_how_many_were_added_removed_and_altered(run: Run, here: Path) -> None:
    fill(here / "pets", "cat", "dog")
    assert run("search", *SMALL, "--data", "pets").code == 0
    cats = here / "pets" / "cat"
    (cats / "0.png").unlink()
    (cats / "1.png").write_bytes(picture())
    for name in ("new.png", "newer.png"):
        (cats / name).write_bytes(picture())
    outcome = run("search", *SMALL, "--data", "pets")
    assert outcome.code == 6
    assert "the images changed: 2 added, 1 removed, 1 altered" in outcome.err
    other = run("search", *SMALL, "--data", "pets", "--proxy-resolution", "48")
    assert "the images changed: 2 added" in other.err


def test_a_search_at_another_size_says_that_the_images_are_the_same(run: Run, here: Path) -> None:
    fill(here / "pets", "cat", "dog")
    assert run("search", *SMALL, "--data", "pets").code == 0
    outcome = run("search", *SMALL, "--data", "pets", "--proxy-resolution", "48")
    assert outcome.code == 6
    assert "the images are the same files, but brought to another size" in outcome.err


@pytest.mark.long
def test_a_budget_of_other_channels_or_classes_is_said_in_a_line_each(run: Run, here: Path) -> None:
    fill(here / "pets", "cat", "dog")
    (here / "mine.toml").write_text(
        'schema = 1\nname = "mine"\nmflops = 3\nresolution = 96\ninput_channels = 5\nclasses = 2\n'
    )
    outcome = run("search", *SMALL[2:], "--budget", "mine.toml", "--data", "pets")
    assert outcome.code == 0, outcome.err
    said = " ".join(outcome.err.split())
    assert (
        "input channels: the budget has 5, the data has 3; networks are trained with the data's and counted" in said
    )
    assert "classes: the budget has" not in said
    one = run("search", *SMALL, "--data", "pets", "--classes", "1")
    assert "classes: the budget has 1, the data has 2;" in " ".join(one.err.split())


def test_a_search_says_its_memory_and_time_and_needs_yes_beyond_what_is_free(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snsearch import training

    digits = (*SMALL, "--data", "digits")
    monkeypatch.setattr(training, "available_memory", lambda: 2**20, raising=False)
    refused = run("search", *digits)
    assert refused.code == 3
    said = " ".join(refused.err.split())
    assert "expected for the work of up to 13 full trainings of 64 images, 1 worker: about" in said
    assert "0.0 GiB are free" in refused.err
    assert "--yes" in refused.err
    assert not list(here.rglob("study.db"))
    assert run("search", *digits, "--yes").code == 0


def test_a_folder_name_that_is_not_utf_8_ends_in_a_study_and_a_page(run: Run, here: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    fill(here / name, "cat", "dog")
    assert run("data", name).code == 0
    outcome = run("search", *SMALL, "--data", name)
    assert outcome.code == 0, outcome.err
    assert len(list(here.rglob("report.html"))) == 1
