"""snsearch report in other forms than a page, of one candidate, of several studies, and again and again."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from snsearch.pages.page import report_data
from snsearch.study.locks import file_lock
from snsearch.study.storage import read_study
from tests.conftest import Outcome
from tests.printed import unwrapped

Run = Callable[..., Outcome]
SAMPLE = "tests/fixtures/finished"


def test_text_is_the_verdict_the_candidates_and_their_channels_within_the_terminal(run: Run) -> None:
    outcome = run("report", SAMPLE, "--format", "text")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "Verdict"
    assert "Candidates" in lines
    assert "Channels of the front" in lines
    assert all(len(line) <= 80 for line in lines)
    rows = [line.split() for line in lines[lines.index("Candidates") :] if line.strip().startswith("#")]
    assert "stopped" not in [row[1] for row in rows]
    wide = run("report", SAMPLE, "--format", "text", "--wide").out
    assert "loss" in wide
    assert "loss" not in outcome.out


def test_csv_json_and_markdown_have_the_same_candidates(run: Run) -> None:
    table = report_data(read_study(f"sqlite:///{SAMPLE}/study.db")).table
    found = list(csv.DictReader(io.StringIO(run("report", SAMPLE, "--format", "csv").out)))
    assert [int(line["trial"]) for line in found] == [row.number for row in table.rows]
    document = json.loads(run("report", SAMPLE, "--format", "json").out)
    statuses = {one["number"]: one["status"] for one in document["candidates"]}
    assert statuses == {int(line["trial"]): line["status"] for line in found}
    assert len(statuses) == len(table.rows) == 32
    assert list(statuses.values()).count("stopped") == 23
    assert document["verdict"]["pick"]["trial"] == 6
    markdown = run("report", SAMPLE, "--format", "markdown").out
    assert markdown.startswith("## Verdict\n")
    assert all(f"| #{row.number} |" in markdown for row in table.rows)


def test_a_trial_is_printed_alone_and_has_no_page(run: Run) -> None:
    outcome = run("report", f"{SAMPLE}#6", "--format", "text")
    assert "160/272/560" in outcome.out
    assert "#16" not in outcome.out
    [line] = csv.DictReader(io.StringIO(run("report", f"{SAMPLE}#6", "--format", "csv").out))
    assert line["trial"] == "6"
    assert run("report", f"{SAMPLE}#6").code == 6
    missing = run("report", f"{SAMPLE}#999", "--format", "text")
    assert missing.code == 6
    assert "no candidate has the number 999; those with a score are #0 to #31" in unwrapped(missing.err)
    wrong = run("report", f"{SAMPLE}#x", "--format", "text")
    assert wrong.code == 6
    assert f"'{SAMPLE}#x': 'x' is no trial's number" in unwrapped(wrong.err)


def test_a_page_and_printed_figures_are_two_runs(run: Run, tmp_path: Path) -> None:
    outcome = run("report", SAMPLE, "--format", "json", "--html", str(tmp_path / "page.html"))
    assert (outcome.code, outcome.out) == (2, "")
    assert "give one of them" in outcome.err


def test_a_reference_set_has_forms_too(run: Run) -> None:
    assert run("report", "letters-5", "--format", "text").out.startswith("Can I trust the ranking?\n")
    assert run("report", "letters-5", "--format", "csv").out.startswith("set,data,")
    assert isinstance(json.loads(run("report", "letters-5", "--format", "json").out), list)


def test_several_studies_are_one_page_and_differing_data_are_said(run: Run, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "other")
    page = tmp_path / "both.html"
    assert run("report", SAMPLE, str(tmp_path / "other"), "--html", str(page)).code == 0
    text = page.read_text(encoding="utf-8")
    for name in ("studies", "verdict-0", "front-0", "candidates-0", "verdict-1", "front-1", "candidates-1"):
        assert f'<section id="{name}"' in text
    document = json.loads(run("report", SAMPLE, str(tmp_path / "other"), "--format", "json").out)
    assert [one["study"] for one in document] == ["sample", "sample"]
    assert run("report", SAMPLE, str(tmp_path / "other"), "--format", "csv").code == 2
    assert run("report", SAMPLE, str(tmp_path / "other"), "--watch").code == 2
    trials = run("report", f"{SAMPLE}#6", f"{SAMPLE}#3")
    assert trials.code == 2
    assert f"{SAMPLE}#6 is one trial, and a page of several compares whole studies" in " ".join(trials.err.split())


def test_a_watch_of_a_study_that_has_ended_writes_its_page_and_ends(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    outcome = run("report", SAMPLE, "--html", str(page), "--watch")
    assert (outcome.code, outcome.out) == (0, f"report: {page}, 32 candidates tried, 9 trained to the end\n")
    assert page.is_file()
    assert "no search is at work on sample" in outcome.err
    assert not list(Path(SAMPLE).glob("*.lock"))


@pytest.mark.long
def test_a_watched_study_is_written_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shutil.copytree(SAMPLE, tmp_path / "study")
    words = [sys.executable, "-m", "snsearch", "report", str(tmp_path / "study"), "--html", str(page), "--watch"]
    with (
        file_lock(tmp_path / "study" / "study.db", wait=False),
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as watching,
    ):
        assert watching.stdout is not None
        assert watching.stdout.readline() == f"report: {page}, 32 candidates tried, 9 trained to the end\n"
        assert page.is_file()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(120) == 0


def test_a_watch_waits_for_a_study_and_names_what_it_waits_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search_begins(seconds: float) -> None:
        """Makes in three steps what a search leaves: an empty file, Optuna's tables, the study."""
        place = tmp_path / "sampel" / "study.db"
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            place.touch()
        elif place.stat().st_size == 0:
            optuna.storages.RDBStorage(f"sqlite:///{place}").remove_session()
        else:
            shutil.copyfile(Path(SAMPLE) / "study.db", place)

    monkeypatch.setattr("snsearch.cli.report.time.sleep", search_begins)
    monkeypatch.setattr("snsearch.cli.report._PAUSE", 1)
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "study.db").touch()
    outcome = run("report", "sampel", "--out", str(tmp_path), "--watch")
    assert (outcome.code, outcome.out.split(",")[-1]) == (0, " 9 trained to the end\n")
    assert (tmp_path / "sampel" / "report.html").is_file()
    assert outcome.err.count("waiting") == 2  # said once: that it waits, and how the waiting ends
    said = " ".join(outcome.err.split())
    assert said.startswith("there is no study 'sampel'")
    assert 'did you mean "sample"' in said


def test_ctrl_c_ends_the_waiting_for_a_study_and_damage_is_not_waited_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snsearch.cli.report.time.sleep", lambda seconds: signal.raise_signal(signal.SIGINT))
    assert run("report", "none", "--out", str(tmp_path), "--watch").code == 130
    assert run("report", "none", "--out", str(tmp_path)).code == 6
    (tmp_path / "study.db").write_text("no database", encoding="utf-8")
    assert run("report", str(tmp_path / "study.db"), "--watch").code == 6


@pytest.mark.parametrize("form", ["text", "csv", "markdown"])
def test_a_hostile_name_steers_no_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    from dataclasses import replace

    from snsearch import api

    study = read_study(f"sqlite:///{SAMPLE}/study.db")
    trials = tuple(replace(t, design=replace(t.design, depth="=1+1\x1b[2J")) for t in study.trials)
    monkeypatch.setattr(api, "load_study", lambda *_, **__: replace(study, trials=trials))
    outcome = run("report", SAMPLE, "--format", form, "--wide")
    assert outcome.code == 0
    if form != "csv":
        assert "\x1b" not in outcome.out
        assert "x1b" in outcome.out
    if form == "csv":
        assert {line["depth"][:2] for line in csv.DictReader(io.StringIO(outcome.out))} == {"'="}
