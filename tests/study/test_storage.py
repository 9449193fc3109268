"""Studies: resumed by the same settings only, recovered from dead workers, and never half read."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from snsearch.codec import decode, encode
from snsearch.device.reasons import Reason
from snsearch.errors import StudyError
from snsearch.pages.evidence import counts_of, keep_counts, keep_measurement, measurements_of
from snsearch.solver.design import Design
from snsearch.study.presence import start_of, this_process
from snsearch.study.records import Settings, explored, trained
from snsearch.study.storage import Study, read_study
from tests.device.test_measurements import MEASUREMENT
from tests.studies import Setup, candidates_at, made_up_counts, made_up_record, made_up_result

DESIGN = Design(groups=3, scale=0.5, depth="paper", se=False)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_settings_round_trip_through_json(setup: Setup) -> None:
    settings = setup.settings()
    assert decode(Settings, json.loads(json.dumps(encode(settings))), "it", error=StudyError) == settings


def test_settings_of_another_schema_are_refused(setup: Setup) -> None:
    with pytest.raises(StudyError, match="schema is 99"):
        decode(Settings, {**encode(setup.settings()), "schema": 99}, "it", error=StudyError)


def test_a_study_opens_again_with_the_same_settings(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    study.enqueue(DESIGN)
    again = Study.open(setup.url, "digits", setup.settings())
    assert [record.status for record in again.records()] == ["waiting"]
    assert again.records()[0].design == DESIGN


def test_other_settings_are_refused_and_named(setup: Setup) -> None:
    settings = setup.settings()
    Study.open(setup.url, "digits", settings)
    other = replace(settings, seed=7, recipe=replace(settings.recipe, epochs=9))
    with pytest.raises(StudyError, match=r"(?s)recipe epochs: 1, now 9.*seed: 0, now 7"):
        Study.open(setup.url, "digits", other)


def test_a_foreign_study_is_refused_and_left_alone(setup: Setup) -> None:
    foreign = optuna.create_study(study_name="digits", storage=setup.url, directions=["minimize", "minimize"])
    foreign.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))
    with pytest.raises(StudyError, match="not made by snsearch"):
        Study.open(setup.url, "digits", setup.settings())
    assert foreign.user_attrs == {}
    with pytest.raises(StudyError, match="not made by snsearch"):
        read_study(setup.url, "digits")


def test_asking_an_enqueued_design_returns_it(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    study.enqueue(DESIGN)
    number, design = study.ask(setup.candidates().choices)
    assert design == DESIGN
    assert [(r.number, r.status) for r in study.records()] == [(number, "running")]


# Another process that opens a study: its URL, settings and choices are on the command line.
_OPEN = """
import json, os, sys
from snsearch.codec import decode, encode
from snsearch.errors import StudyError
from snsearch.study.presence import this_process
from snsearch.study.records import Settings
from snsearch.study.storage import Study
url, settings, choices = sys.argv[1], *map(json.loads, sys.argv[2:])
study = Study.open(url, "digits", decode(Settings, settings, "it", error=StudyError))
"""


def _other(setup: Setup, program: str) -> list[str]:
    """The command of another process that opens the study and runs the program."""
    told = (encode(setup.settings()), {name: list(options) for name, options in setup.candidates().choices.items()})
    return [sys.executable, "-c", _OPEN + program, setup.url, *map(json.dumps, told)]


def test_the_trial_of_a_killed_process_is_the_next_that_is_asked(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    study.enqueue(DESIGN)
    subprocess.run(_other(setup, "study.ask(choices)\nos._exit(9)"), check=False, timeout=120)
    assert [record.status for record in study.records()] == ["running"]
    study.enqueue(replace(DESIGN, groups=8))
    study.recover()
    assert [(r.status, r.reason) for r in study.records()] == [
        ("interrupted", "the process that trained it is gone"),
        ("waiting", ""),
    ]
    study.recover()
    assert study.ask(setup.candidates().choices) == (0, DESIGN)
    assert [(r.status, r.reason) for r in study.records()] == [("running", ""), ("waiting", "")]


_DIE_ASKING = """
trial = study._study.ask()
for name in list(choices)[:{chosen}]:
    trial.set_user_attr("worker", encode(this_process()))
    trial.suggest_categorical(name, choices[name])
os._exit(9)
"""


@pytest.mark.parametrize("chosen", [0, 1, 3])
def test_a_process_killed_while_it_asks_leaves_a_study_that_goes_on(setup: Setup, chosen: int) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    subprocess.run(_other(setup, _DIE_ASKING.format(chosen=chosen)), check=False, timeout=120)
    assert [record.status for record in study.records()] == ["running"]
    study.recover()
    candidates = setup.candidates()
    number, design = study.ask(candidates.choices)
    assert number == 0
    assert design in candidates.solutions or design in candidates.left_out


def test_a_further_seed_is_taken_by_one_search_only(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    assert study.take_repeat(0, 1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        worker = encode(replace(this_process(), pid=other.pid, started=start_of(other.pid)))
        study._study.set_user_attr("taken repeat:0:1", worker)
        assert not study.take_repeat(0, 1)
        assert study.take_repeat(0, 2)
        other.communicate(b"\n", timeout=60)
    assert study.take_repeat(0, 1)
    study.lose_repeat(0, 1, "diverged")
    assert not study.take_repeat(0, 1)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_storage_that_keeps_nothing_is_refused(setup: Setup, url: str) -> None:
    with pytest.raises(StudyError, match="keeps nothing"):
        Study.open(url, "digits", setup.settings())


def test_an_sqlite_url_may_have_options(setup: Setup) -> None:
    url = f"{setup.url}?timeout=5"
    Study.open(url, "digits", setup.settings()).enqueue(DESIGN)
    assert [t.design for t in read_study(url).trials] == [DESIGN]


def test_reading_a_foreign_database_leaves_it_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    with closing(sqlite3.connect(path)) as mine:
        mine.execute("create table mine (x)")
        mine.commit()
    before = path.read_bytes()
    with pytest.raises(StudyError, match="has no study"):
        read_study(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_the_trial_of_a_living_process_is_left_alone(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    number, _ = study.ask(setup.candidates().choices)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        study.note(number, worker=encode(replace(this_process(), pid=other.pid, started=start_of(other.pid))))
        study.recover()
        assert study.records()[0].status == "running"
        other.communicate(b"\n", timeout=60)
    study.recover()
    assert study.records()[0].status == "interrupted"


def test_a_process_number_used_again_by_another_process_counts_as_gone(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    number, _ = study.ask(setup.candidates().choices)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        study.note(number, worker=encode(replace(this_process(), pid=other.pid, started="12345")))
        study.recover()
        assert study.records()[0].status == "interrupted"
        other.communicate(b"\n", timeout=60)


def test_reading_a_study_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study at"):
        read_study(f"sqlite:///{tmp_path / 'none.db'}")


def test_several_studies_in_a_storage_need_a_name(setup: Setup) -> None:
    for name in ("one", "two"):
        Study.open(setup.url, name, setup.settings())
    with pytest.raises(StudyError, match=r"2 studies \(one, two\)"):
        read_study(setup.url)
    assert read_study(setup.url, "two").name == "two"
    with pytest.raises(StudyError, match="no study 'three'"):
        read_study(setup.url, "three")


def test_a_storage_that_cannot_be_opened_is_named_without_its_password(setup: Setup) -> None:
    with pytest.raises(StudyError, match="cannot be opened") as raised:
        Study.open("nosuchdb://user:secret@localhost/db", "digits", setup.settings())
    assert "secret" not in str(raised.value)


def test_a_file_that_is_no_database_is_a_study_error(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_text("not a database, but long enough to be taken for one" * 50, encoding="utf-8")
    with pytest.raises(StudyError, match="is not a study: it is no SQLite database"):
        read_study(f"sqlite:///{path}")


def test_a_shared_study_names_no_host(setup: Setup) -> None:
    import socket

    study = Study.open(setup.url, "digits", setup.settings())
    study.ask(setup.candidates().choices)
    stored = optuna.load_study(study_name="digits", storage=setup.url).trials[0].user_attrs["worker"]
    assert stored["host"] != socket.gethostname()


_TAKE = """
print("ready", flush=True)
input()
print(*[study.ask(choices)[0] for _ in range(10)])
study.close()
"""


@pytest.mark.long
@pytest.mark.parametrize("storage", ["sqlite", "postgresql", "mariadb"])
def test_processes_that_ask_at_once_never_get_the_same_trial(
    setup: Setup, storage: str, request: pytest.FixtureRequest
) -> None:
    if storage != "sqlite":
        setup.storage = request.getfixturevalue(storage)
    study = Study.open(setup.url, "digits", setup.settings())
    for design in list(setup.candidates().solutions)[:40]:
        study.enqueue(design)
    others = [
        subprocess.Popen(
            _other(setup, _TAKE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    for other in others:
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
    taken = [int(number) for other in others for number in other.communicate(timeout=120)[0].split()]
    assert len(taken) == len(set(taken)) == 30
    assert sum(record.status == "running" for record in study.records()) == 30
    study.close()


def test_another_sampler_or_other_rungs_are_other_settings(setup: Setup) -> None:
    settings = setup.settings()
    Study.open(setup.url, "digits", settings)
    other = replace(settings, sampler="tpe", rungs=replace(settings.rungs, at=(0.1,), keep=0.25))
    with pytest.raises(StudyError, match=r"(?s)sampler: 'surrogate', now 'tpe'.*rungs at: .*now \[0.1\].*rungs keep"):
        Study.open(setup.url, "digits", other)


def test_the_fixed_design_is_asked_where_nothing_waits(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    assert study.ask(setup.candidates().choices, DESIGN) == (0, DESIGN)
    waiting, fixed = replace(DESIGN, groups=8), replace(DESIGN, groups=1)
    study.enqueue(waiting)
    assert study.ask(setup.candidates().choices, fixed) == (1, waiting)
    assert study.ask(setup.candidates().choices) == (2, fixed)


def test_what_was_stopped_early_is_explored_but_not_trained() -> None:
    solutions = list(candidates_at("40").solutions.values())
    whole = made_up_record(0, solutions[0], 0.3, 0.2)
    stopped = made_up_record(1, solutions[1], 0.4, status="stopped")
    others = [
        made_up_record(2, solutions[0], 0.3, 0.2, duplicate_of=0),
        made_up_record(3, solutions[2], status="failed"),
        made_up_record(4, solutions[3], status="running"),
    ]
    assert trained([whole, stopped, *others]) == (whole,)
    assert explored([whole, stopped, *others]) == (whole, stopped)


def test_a_stopped_trial_keeps_its_score_and_reason(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    number, _ = study.ask(setup.candidates().choices, DESIGN)
    result = made_up_result((0.5, 0.4), whole=4)
    solution = setup.candidates().solutions[DESIGN]
    study.note(number, architecture=encode(solution.architecture), costs=encode(solution.costs), cost=7.5)
    study.note(number, proxy=encode(result))
    study.prune(number, "others beat it")
    [record] = study.records()
    assert (record.status, record.reason, record.cost) == ("stopped", "others beat it", 7.5)
    assert record.proxy == result
    assert record.curve == result.curve
    assert record.results == (result,)


@pytest.mark.parametrize(("minutes", "status"), [(14, "running"), (16, "interrupted")])
def test_a_trial_of_another_host_is_taken_up_after_15_minutes_without_a_sign_of_life(
    setup: Setup, minutes: float, status: str
) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    number, _ = study.ask(setup.candidates().choices, DESIGN)
    elsewhere = {"host": "elsewhere", "pid": 1, "started": "1", "seen": time.time() - 60 * minutes}
    study.note(number, worker=elsewhere)
    study.recover()
    assert study.records()[0].status == status


@pytest.mark.parametrize(("minutes", "free"), [(14, False), (16, True)])
def test_a_further_seed_taken_on_another_host_is_free_after_15_minutes_without_a_sign_of_life(
    setup: Setup, minutes: float, free: bool
) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    elsewhere = {"host": "elsewhere", "pid": 1, "started": "1", "seen": time.time() - 60 * minutes}
    study._study.set_user_attr("taken repeat:3:1", elsewhere)
    assert study.take_repeat(3, 1) == free


def test_a_training_gives_a_sign_of_life_once_a_minute(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"monotonic": 1000.0, "time": 5000.0}
    for name in clock:
        monkeypatch.setattr(f"time.{name}", lambda name=name: clock[name])
    study = Study.open(setup.url, "digits", setup.settings())

    def pass_seconds(seconds: float) -> None:
        for name in clock:
            clock[name] += seconds
        study.beat()

    def seen() -> list[float]:
        stored = optuna.load_study(study_name="digits", storage=setup.url)
        of_trials = [trial.user_attrs["worker"]["seen"] for trial in stored.trials]
        return [*of_trials, *(v["seen"] for k, v in stored.user_attrs.items() if k.startswith("taken"))]

    study.beat()
    assert seen() == [], "nothing is under way"
    study.ask(setup.candidates().choices, DESIGN)
    pass_seconds(59)
    assert seen() == [5000.0]
    pass_seconds(2)
    assert seen() == [5061.0]
    pass_seconds(30)
    assert seen() == [5061.0]
    study.complete(0, 0.1, 1.0)
    assert study.take_repeat(0, 1)
    pass_seconds(61)
    assert seen() == [5061.0, 5152.0]


def test_releasing_puts_back_what_this_process_trains_only(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    for groups in (1, 2):
        study.ask(setup.candidates().choices, replace(DESIGN, groups=groups))
    study.note(1, worker={"host": "elsewhere", "pid": 1, "started": "1", "seen": time.time()})
    study.release()
    assert [(r.status, r.reason) for r in study.records()] == [
        ("interrupted", "interrupted by the user"),
        ("running", ""),
    ]


def test_measurements_of_candidates_are_kept_beside_the_trials(setup: Setup) -> None:
    Study.open(setup.url, "digits", setup.settings()).close()
    later = replace(
        MEASUREMENT, measured="2026-01-02T00:00:00+00:00", verdict="flagged", reasons=(Reason.of("load", 4.0),)
    )
    for one in (later, MEASUREMENT, MEASUREMENT):
        keep_measurement(setup.url, "digits", one)
    assert measurements_of(read_study(setup.url)) == (MEASUREMENT, later), "the same record is kept once"
    other = replace(MEASUREMENT, subject="another", artefact="ef" * 32)
    keep_measurement(setup.url, "digits", other)
    assert set(measurements_of(read_study(setup.url))) == {MEASUREMENT, later, other}
    with pytest.raises(StudyError, match="no study 'letters'"):
        keep_measurement(setup.url, "letters", other)


def test_counts_of_candidates_are_kept_once_for_all_that_they_depend_on(setup: Setup) -> None:
    Study.open(setup.url, "digits", setup.settings()).close()
    assert counts_of(read_study(setup.url)) == ()
    first = made_up_counts("a-key")
    again = replace(first, kept="2026-01-02T00:00:00+00:00")
    others = (
        made_up_counts("a-key", core="cortex-a53", kept="2026-01-03T00:00:00+00:00"),
        made_up_counts("a-key", runner="cd" * 32, kept="2026-01-04T00:00:00+00:00"),
        # Another architecture can be the same model, and keeps its own.
        replace(first, subject="another-key", kept="2026-01-05T00:00:00+00:00"),
    )
    for one in (*reversed(others), first, again):
        keep_counts(setup.url, "digits", one)
    assert counts_of(read_study(setup.url)) == (again, *others)
    with pytest.raises(StudyError, match="no study 'letters'"):
        keep_counts(setup.url, "letters", first)


def test_a_study_with_counts_of_an_unknown_schema_is_refused(setup: Setup) -> None:
    Study.open(setup.url, "digits", setup.settings()).close()
    study = optuna.load_study(study_name="digits", storage=setup.url)
    study.set_user_attr("counted:0123", {**encode(made_up_counts("a-key")), "schema": 2})
    with pytest.raises(StudyError, match=r"counts of the study: schema is 2; .* reads schema 1"):
        counts_of(read_study(setup.url))
