"""Studies: resumed by the same settings only, recovered from dead workers, and never half read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from snsearch.codec import decode, encode
from snsearch.device.reasons import Reason
from snsearch.errors import StudyError
from snsearch.pages.evidence import counts_of, keep_counts, keep_measurement, measurements_of
from snsearch.solver.design import Design
from snsearch.study.records import Settings, explored, trained
from snsearch.study.storage import Study, opening, read_study
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
    study.begin(setup.candidates().parameters, setup.candidates().values[DESIGN], {})
    study.close()
    again = Study.open(setup.url, "digits", setup.settings())
    assert [record.status for record in again.records()] == ["running"]
    assert again.records()[0].design == DESIGN
    again.close()


def test_other_settings_are_refused_and_named(setup: Setup) -> None:
    settings = setup.settings()
    Study.open(setup.url, "digits", settings).close()
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


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize", "minimize"]])
def test_a_foreign_study_of_other_objectives_is_refused_and_left_alone(setup: Setup, directions: list[str]) -> None:
    foreign = optuna.create_study(study_name="digits", storage=setup.url, directions=directions)
    with pytest.raises(StudyError, match="not made by snsearch"):
        Study.open(setup.url, "digits", setup.settings())
    assert (foreign.user_attrs, foreign.metric_names) == ({}, None)


def test_a_study_that_is_refused_keeps_the_names_of_its_objectives(setup: Setup) -> None:
    settings = setup.settings()
    Study.open(setup.url, "digits", settings).close()
    with pytest.raises(StudyError, match="made with other settings"):
        Study.open(setup.url, "digits", replace(settings, seed=7, cost_axis="another"))
    kept = optuna.load_study(study_name="digits", storage=setup.url)
    assert kept.metric_names == ["error on validation images", settings.cost_axis]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_storage_that_keeps_nothing_is_refused(setup: Setup, url: str) -> None:
    with pytest.raises(StudyError, match="keeps nothing"):
        Study.open(url, "digits", setup.settings())


def test_an_sqlite_url_may_have_options(setup: Setup) -> None:
    url = f"{setup.url}?timeout=5"
    study = Study.open(url, "digits", setup.settings())
    study.begin(setup.candidates().parameters, setup.candidates().values[DESIGN], {})
    study.close()
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


def test_reading_a_study_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study at"):
        read_study(f"sqlite:///{tmp_path / 'none.db'}")


def test_several_studies_in_a_storage_need_a_name(setup: Setup) -> None:
    for name in ("one", "two"):
        Study.open(setup.url, name, setup.settings()).close()
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

    Study.open(setup.url, "digits", setup.settings()).close()
    stored = optuna.load_study(study_name="digits", storage=setup.url).user_attrs["holder"]
    assert stored["host"] != socket.gethostname()


def test_a_dashboard_finds_names_of_the_objectives_and_a_note(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    study.leave_note("see `report.html`")
    study.close()
    loaded = optuna.load_study(study_name="digits", storage=setup.url)
    assert loaded.metric_names == ["error on validation images", setup.settings().cost_axis]
    kept = loaded._storage.get_study_system_attrs(loaded._study_id)
    assert kept["dashboard:note_str:0"] == "see `report.html`"


def test_another_sampler_is_another_setting(setup: Setup) -> None:
    settings = setup.settings()
    Study.open(setup.url, "digits", settings).close()
    with pytest.raises(StudyError, match=r"sampler: 'surrogate', now 'tpe'"):
        Study.open(setup.url, "digits", replace(settings, sampler="tpe"))


def test_the_fixed_design_is_asked(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    candidates = setup.candidates()
    fixed = [candidates.values[design] for design in (DESIGN, replace(DESIGN, groups=1))]
    assert [study.begin(candidates.parameters, values, {}) for values in fixed] == [0, 1]
    assert [study.values(number) for number in (0, 1)] == fixed
    study.close()


def test_what_was_stopped_early_or_is_on_its_way_is_explored_but_not_trained() -> None:
    solutions = list(candidates_at("40").solutions.values())
    whole = made_up_record(0, solutions[0], 0.3, 0.2)
    stopped = made_up_record(1, solutions[1], 0.4, status="stopped")
    others = [
        made_up_record(2, solutions[0], 0.3, 0.2, duplicate_of=0),
        made_up_record(3, solutions[2], status="failed"),
        made_up_record(4, solutions[3], status="running"),
    ]
    going_on = replace(made_up_record(5, solutions[4], 0.4, status="stopped"), status="running")
    longer = replace(made_up_record(6, solutions[1], 0.4, 0.3, status="stopped"), status="running")
    assert trained([whole, stopped, *others, going_on]) == (whole,)
    assert explored([whole, stopped, *others, going_on]) == (whole, stopped, going_on)
    assert explored([whole, stopped, longer]) == (whole, longer), "one network, which goes on"


def test_a_stopped_trial_keeps_its_score_and_reason(setup: Setup) -> None:
    study = Study.open(setup.url, "digits", setup.settings())
    number = study.begin(setup.candidates().parameters, setup.candidates().values[DESIGN], {})
    result = made_up_result((0.5, 0.4), whole=4)
    solution = setup.candidates().solutions[DESIGN]
    study.note(number, architecture=encode(solution.architecture), costs=encode(solution.costs), cost=7.5)
    study.note(number, proxy=encode(result))
    study.prune(number, "others promise more")
    [record] = study.records()
    assert study.record(number) == record
    study.close()
    assert (record.status, record.reason, record.cost) == ("stopped", "others promise more", 7.5)
    assert record.proxy == result
    assert record.curve == result.curve
    assert record.results == (result,)


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


def test_a_search_begins_although_another_process_looks_at_the_lock_for_a_moment(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, locked = iter([True, False]), opening._locked

    @contextmanager
    def looked_at(*arguments: Any, **options: Any) -> Iterator[None]:
        if next(taken, False):
            raise opening.TakenError
        with locked(*arguments, **options):
            yield

    monkeypatch.setattr(opening, "_locked", looked_at)
    Study.open(setup.url, "digits", setup.settings()).close()
    assert next(taken, None) is None
