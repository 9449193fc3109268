"""snsearch search and report, as a user runs them: to the end, interrupted, killed, resumed, and misused."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snsearch.api.places import default_name
from snsearch.study.records import StudyRecord
from snsearch.study.storage import read_study
from tests.printed import unwrapped
from tests.studies import pretended_training, train_in

Run = Callable[..., Any]
SMALL = (
    "--budget",
    "3",
    "--resolution",
    "96",
    "--data",
    "digits",
    "--full-images",
    "256",
    "--effort",
    "quick",
    "--workers",
    "1",
    "--threads",
    "1",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings have made-up errors at once, which fall with the width."""

    def errors(arch: Any) -> tuple[float, ...]:
        last = 0.9 - arch.stage_channels[-1] / 2000
        return last + 0.05, last + 0.02, last + 0.01, last

    train_in(monkeypatch, pretended_training(errors))


def _study(folder: Path) -> StudyRecord:
    return read_study(f"sqlite:///{folder / 'reports' / 'shufflenet-v1-3-digits' / 'study.db'}")


def _process(folder: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snsearch", "search", *SMALL, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def _until(stream: Iterator[str], beginning: str) -> list[str]:
    """Lines up to the first one with that beginning."""
    lines = []
    for line in stream:
        lines.append(line)
        if line.startswith(beginning):
            return lines
    raise AssertionError(f"ended without a line that begins with {beginning!r}: {lines}")


def test_a_search_ends_in_a_verdict_and_a_page_and_the_same_command_finds_it_done(run: Run, here: Path) -> None:
    first = run("search", *SMALL)
    assert first.code == 0, first.err
    assert "search ended: the effort is spent" in first.err
    page = here / "reports" / "shufflenet-v1-3-digits" / "report.html"
    assert f"report: {page.relative_to(here)}" in first.out
    assert page.is_file()
    assert "Take #" in first.out
    record = _study(here)
    again = run("search", *SMALL)
    assert again.code == 0
    assert _study(here).trials == record.trials
    assert len(_study(here).provenance) == 2
    page.unlink()
    assert run("report").code == 0
    assert page.is_file()
    document = json.loads(run("report", "shufflenet-v1-3-digits", "--format", "json").out)
    assert document["schema"] == 1
    assert document["verdict"]["pick"]["seeds"] == 2
    assert document["verdict"]["pick"]["full"]
    assert "--effort standard" in document["verdict"]["next"]
    best = min(document["candidates"], key=lambda c: c["proxy"]["error"])
    counted = json.loads(run("count", best["key"], "--format", "json").out)["counts"][0]
    assert counted["macs"] == best["costs"]["macs"]


@pytest.mark.usefixtures("pretend")
def test_other_settings_are_refused_with_exit_code_6(run: Run, here: Path) -> None:
    assert run("search", *SMALL).code == 0
    before = _study(here)
    other = run("search", *SMALL, "--seed", "5")
    assert other.code == 6
    assert "seed: 0, now 5" in other.err
    assert _study(here) == before


@pytest.mark.long
def test_a_killed_search_goes_on_without_training_anything_twice(here: Path) -> None:
    with _process(here) as process:
        assert process.stderr is not None
        _until(iter(process.stderr), "#3 ")
        process.kill()
    before = _study(here)
    trained = {trial.number: trial.proxy.images_seen for trial in before.trials if trial.proxy}
    assert len(trained) >= 3
    with _process(here) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    after = {trial.number: trial for trial in _study(here).trials}
    for trial in before.trials:
        if trial.status == "complete":
            assert replace(after[trial.number], repeats=trial.repeats) == trial, (
                "but for the finals behind the search"
            )
    said = [int(line.split()[0][1:]) for line in err.splitlines() if line.startswith("#")]
    assert not set(said) & {trial.number for trial in before.trials if trial.status == "complete"}


@pytest.mark.long
@pytest.mark.parametrize(
    "sent",
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
)
def test_an_interrupted_search_leaves_a_report_and_ends_with_130(here: Path, sent: signal.Signals) -> None:
    with _process(here) as process:
        assert process.stderr is not None
        _until(iter(process.stderr), "1/6 ")
        process.send_signal(sent)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on from here" in err
    assert "report: " in out
    assert "Next: snsearch search" in out
    [tried] = re.findall(r"\d+ candidates tried", err)
    page = here / "reports" / "shufflenet-v1-3-digits" / "report.html"
    assert f"; {tried}, " in page.read_text(encoding="utf-8")
    assert {trial.status for trial in _study(here).trials} <= {"complete", "running", "stopped"}


@pytest.mark.long
def test_sigterm_to_the_whole_group_while_workers_start_ends_with_130(here: Path) -> None:
    with _process(here, "--workers", "2", start_new_session=True) as process:
        assert process.stderr is not None
        _until(iter(process.stderr), "study ")
        os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "the same command goes on from here" in err
    assert "Traceback" not in err


@pytest.mark.long
def test_a_second_ctrl_c_ends_a_search_without_a_traceback(here: Path) -> None:
    with _process(here, "--workers", "2", start_new_session=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        _until(lines, "study ")
        os.killpg(process.pid, signal.SIGINT)
        _until(lines, "stopping at the next step")
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err


@pytest.mark.long
@pytest.mark.parametrize("redirected", [">/dev/full", ">&- 2>&- <&-"])
def test_streams_that_cannot_be_written_cost_no_page(here: Path, redirected: str) -> None:
    words = shlex.join([sys.executable, "-m", "snsearch", "search", *SMALL])
    shell = ["sh", "-c", f"{words} {redirected}"]
    child = subprocess.run(shell, cwd=here, capture_output=True, text=True, timeout=300, check=False)
    assert child.returncode == (1 if redirected == ">/dev/full" else 0), child.stderr
    assert "fault of snsearch" not in child.stderr
    assert (here / "reports" / "shufflenet-v1-3-digits" / "report.html").is_file()


@pytest.mark.long
def test_two_workers_search_to_the_same_kind_of_end(here: Path) -> None:
    with _process(here, "--workers", "2") as process:
        _out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "search ended: the effort is spent" in err
    assert "candidates are predicted outside of the 15.2 to 612.0 ms that the profile is judged by" in unwrapped(err)
    record = _study(here)
    assert {trial.status for trial in record.trials} <= {"complete", "stopped"}
    keys = [trial.architecture.key for trial in record.trials if trial.architecture]
    assert len(set(keys)) == len(keys)
    assert {t.design.groups for t in record.trials} >= {1, 2, 3, 4, 8}, "the published designs are among them"
    assert record.provenance[0]["workers"] == 2


def test_two_workers_search_on_a_database_server(here: Path, run: Run, database_server: str) -> None:
    storage = ("--storage", database_server)
    with _process(here, "--workers", "2", *storage) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    record = read_study(database_server, "shufflenet-v1-3-digits")
    assert len(record.candidates) >= 3
    assert not list(here.rglob("*.db*"))
    document = json.loads(run("report", "shufflenet-v1-3-digits", *storage, "--format", "json").out)
    assert document["verdict"]["pick"]["seeds"] == 2


@pytest.mark.long
def test_interrupted_workers_end_together_and_lose_no_candidate(here: Path) -> None:
    with _process(here, "--workers", "2") as process:
        assert process.stderr is not None
        _until(iter(process.stderr), "#")
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    before = [trial for trial in _study(here).trials if trial.proxy]
    assert before
    with _process(here, "--workers", "2") as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "running" not in {trial.status for trial in _study(here).trials}


@pytest.mark.long
def test_workers_of_a_killed_search_stop_by_themselves(here: Path) -> None:
    with _process(here, "--workers", "2") as process:
        assert process.stderr is not None
        _until(iter(process.stderr), "#")
        process.kill()
        # The workers hold the pipe's other end: it closes when the last of them has ended.
        process.communicate(timeout=120)
    with _process(here) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "search ended: the effort is spent" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--budget", "nonsense"), 3, "no budget is named 'nonsense'"),
        (("--budget", "40", "--space", "shufflenet-v2"), 3, 'did you mean "shufflenet-v1"'),
        (("--budget", "0.01", "--data", "digits"), 4, "no design of shufflenet-v1 meets"),
        (("--budget", "40", "--data", "no/such/folder/x.parquet"), 5, "does not exist"),
        (("--budget", "40", "--data", "nowhere"), 5, "no such folder or file"),
        (("--budget", "40", "--data", "digits", "--proxy-device", "cuda:99"), 6, "device 'cuda:99' cannot be used"),
        (("--budget", "40", "--study", "../escape"), 6, "study name '../escape'"),
        (("--budget", "40", "--study", ""), 6, "study name ''"),
        (("--budget", "40", "--margin", "nan"), 2, "'nan': expected a number"),
        (("--budget", "40", "--margin", "x"), 2, "'x': expected a number"),
        (("--budget", "40", "--seed", "x"), 2, "'x': expected an integer"),
        (("--budget", "40", "--full-images", "1"), 2, "expected at least 64 images"),
        (("--budget", "40", "--data", "digits", "--storage", "nosuch://x"), 6, "cannot be opened"),
        (("--budget", "40", "--trials", "0"), 2, "--trials"),
        (("--budget", "40", "--time-limit", "soon"), 2, "not a quantity"),
        ((), 2, "--budget"),
        (("--budget", "25ms"), 3, "budget '25ms' is a latency; give it as --latency 25ms"),
    ],
)
def test_bad_input_gets_one_message_and_its_exit_code(
    run: Run, here: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    outcome = run("search", *arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not list(here.rglob("*.html"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "holds no study"),
        (("nothing",), "there is no study 'nothing'"),
        (("--storage", "sqlite:///x.db"), "no study at"),
    ],
)
def test_a_report_of_nothing_says_so(run: Run, here: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = run("report", *arguments)
    assert outcome.code == 6
    assert message in outcome.err


def test_a_storages_password_is_not_in_the_page(run: Run, here: Path, postgresql: str) -> None:
    given = postgresql.replace("postgres@", "postgres:secret@")
    assert given != postgresql
    assert run("search", *SMALL, "--storage", given, "--study", "s").code == 0
    assert run("search", *SMALL, f"--storage={given}", "--study", "s").code == 0
    page = (here / "reports" / "s" / "report.html").read_text(encoding="utf-8")
    assert "secret" not in page
    assert page.count("postgres:...@") == 5, "two runs, and the next command in words, on its button, and as JSON"


def test_names_of_files_cannot_steer_the_terminal() -> None:
    from snsearch.cli.shared.console import printable

    assert printable("a\x1b]0;title\x07b\udcfe\n") == "a\\x1b]0;title\\x07b\\udcfe\\n"
    assert printable("Größe 漢.png") == "Größe 漢.png"


@pytest.mark.usefixtures("pretend")
def test_skipped_images_are_named_and_counted(run: Run, here: Path) -> None:
    from PIL import Image

    for label in ("cat", "dog"):
        folder = here / "pets" / "train" / label
        folder.mkdir(parents=True)
        for index in range(12):
            Image.new("RGB", (20, 20), (index * 20, 0, 255 if label == "dog" else 0)).save(folder / f"{index}.png")
    (here / "pets" / "train" / "dog" / "broken.png").write_bytes(b"not an image")
    outcome = run("search", *SMALL, "--data", "pets")
    assert outcome.code == 0, outcome.err
    assert "skipped train/dog/broken.png: not an image that Pillow knows" in outcome.err
    record = read_study(f"sqlite:///{here / 'reports' / 'shufflenet-v1-3-pets' / 'study.db'}")
    assert record.provenance[0]["skipped_count"] == 1
    assert record.settings.budget.classes == 2


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "shufflenet-v1-3-digits"),
        ("folder:/data/cats", "shufflenet-v1-3-cats"),
        ("hf:owner/birds", "shufflenet-v1-3-birds"),
        ("owner/birds", "shufflenet-v1-3-birds"),
        ("pets/", "shufflenet-v1-3-pets"),
    ],
)
def test_a_study_is_named_after_its_data(data: str, name: str) -> None:
    assert default_name("shufflenet-v1", " 3", data) == name


def test_names_that_lose_letters_stay_apart() -> None:
    one, other = (default_name("shufflenet-v1", "3", data) for data in ("猫", "犬"))
    assert one != other


@pytest.mark.usefixtures("pretend")
def test_the_same_data_under_another_spelling_resumes_the_study(run: Run, here: Path) -> None:
    from PIL import Image

    for label in ("cat", "dog"):
        folder = here / "pets" / label
        folder.mkdir(parents=True)
        for index in range(12):
            Image.new("L", (20, 20), index * 20).save(folder / f"{index}.png")
    small = (*SMALL, "--study", "pets")
    assert run("search", *small, "--data", "pets").code == 0
    assert run("search", *small, "--data", "./pets/").code == 0
    assert len(read_study(f"sqlite:///{here / 'reports' / 'pets' / 'study.db'}").provenance) == 2


@pytest.mark.usefixtures("pretend")
def test_a_search_that_gives_up_still_writes_the_page_of_what_is_scored(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("search", *SMALL).code == 0
    page = here / "reports" / "shufflenet-v1-3-digits" / "report.html"
    page.unlink()

    def fail(*arguments: object, **options: object) -> object:
        raise RuntimeError("no such kernel")

    train_in(monkeypatch, fail)
    outcome = run("search", *SMALL, "--trials", "20")
    assert outcome.code == 6
    assert "3 candidates in a row failed; the last: RuntimeError: no such kernel" in outcome.err
    assert page.is_file()


@pytest.mark.usefixtures("pretend")
def test_a_study_keeps_its_sampler(run: Run, here: Path) -> None:
    assert run("search", *SMALL, "--sampler", "random").code == 0
    assert _study(here).settings.sampler == "random"
    other = run("search", *SMALL)
    assert other.code == 6
    assert "sampler: 'random', now 'surrogate'" in other.err
    assert run("search", *SMALL, "--sampler", "random", "--effort", "standard").code == 0
    assert len(_study(here).candidates) >= 8
    assert run("search", *SMALL, "--sampler", "grid").code == 2


def test_a_recipe_file_is_kept_through_the_pilot_and_another_one_is_refused(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_in(monkeypatch, pretended_training(lambda arch: (0.9, 0.88, 0.86)))  # near chance: the pilot goes on
    Path("own.toml").write_text('schema = 1\n[optimizer]\nlearning_rate = 0.02\n[augmentation]\nkind = "none"\n')
    command = ("search", *(word for word in SMALL if word not in ("--full-images", "256")), "--recipe", "own.toml")
    run(*command)
    record = _study(here)
    assert record.lengths is not None
    assert len(record.lengths.tried) > 1
    for recipe in (record.settings.recipe, record.lengths.recipe):
        assert (recipe.learning_rate, recipe.augmentation) == (0.02, "none")
    Path("own.toml").write_text("schema = 1\n[optimizer]\nlearning_rate = 0.03\n")
    assert run(*command).code == 6
    Path("own.toml").write_text("schema = 1\n[optimizer]\nmomentum = 0.9\n")
    assert run(*command).code == 3


@pytest.mark.usefixtures("pretend")
def test_a_time_limit_that_is_over_is_told_with_the_command_that_goes_on(run: Run, here: Path) -> None:
    outcome = run("search", *SMALL, "--time-limit", "0.01s")
    assert outcome.code == 0, outcome.err
    assert "search ended: the time limit leaves no room for more" in outcome.err
    assert "Take #" not in outcome.out
    assert "Next: snsearch search" in outcome.out
    assert "--time-limit" not in outcome.out


@pytest.mark.long
@pytest.mark.usefixtures("pretend")
def test_a_search_for_a_latency_ends_in_a_page_and_is_resumed_with_the_same_one(run: Run, here: Path) -> None:
    asked = ("--latency", "3ms", "--profile", "snapdragon-820", *SMALL[2:])
    outcome = run("search", *asked)
    assert outcome.code == 0, outcome.err
    folder = here / "reports" / "shufflenet-v1-3ms-snapdragon-820-digits"
    record = read_study(f"sqlite:///{folder / 'study.db'}")
    budget = record.settings.budget
    assert (budget.latency_ms, budget.latency_profile.name) == (3.0, "snapdragon-820")
    assert record.settings.cost_name.startswith("latency snapdragon-820 ")
    for trial in record.candidates:
        assert trial.architecture is not None
        assert 2.85 <= budget.latency_profile.predict(trial.architecture).ms <= 3.0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "at most 3 ms on Snapdragon 820 (predicted)" in page
    assert "predicted latency on Snapdragon 820, never exceeded" in page
    assert run("report", folder.name).code == 0
    other = run("search", *asked, "--confidence", "95%", "--study", folder.name)
    assert other.code == 6
    assert "budget confidence: None, now 0.95" in other.err


def test_a_search_needs_a_budget_or_a_latency_and_a_latency_a_device(run: Run, here: Path) -> None:
    assert "give --budget, or --latency" in run("search", *SMALL[2:]).err
    outcome = run("search", "--latency", "3ms", *SMALL[2:])
    assert outcome.code == 3
    assert "a latency needs a device that it is predicted for" in outcome.err


@pytest.mark.long  # solving for a latency takes tens of milliseconds for each of hundreds of networks
def test_an_open_space_is_searched_for_a_latency_and_reported(run: Run, here: Path, pretend: None) -> None:
    options = ["--space", "shufflenet-free", "--latency", "2ms", "--profile", "snapdragon-820", "--study", "free"]
    outcome = run("search", *SMALL[2:], *options, "--objective", "params")
    assert outcome.code == 0, outcome.err
    assert "networks that meet the budget to begin with, and further ones as it learns" in outcome.err
    assert "Take #" in outcome.out
    record = read_study(f"sqlite:///{here / 'reports' / 'free' / 'study.db'}")
    archs = [trial.architecture for trial in record.trials if trial.architecture]
    assert {len({*arch.groups}) for arch in archs} > {1}
    assert all(arch.key.endswith("_1x96x96_c10") for arch in archs)
    document = json.loads(run("report", "reports/free", "--format", "json").out)
    assert document["verdict"]["pick"]["key"] in {arch.key for arch in archs}
    assert run("report", "reports/free", "--html", "page.html").code == 0
