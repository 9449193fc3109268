"""Faults of a storage that is open: each is a StudyError with the cause and what to do, and the study goes on."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
import sqlalchemy

from snsearch.codec import encode
from snsearch.errors import StudyError
from snsearch.solver.design import Design
from snsearch.study.locks import TakenError
from snsearch.study.storage import Study, attach, read_study
from snsearch.study.storage.opening import making, open_storage
from tests.conftest import Server
from tests.studies import Setup, made_up_result

DESIGN = Design(groups=3, scale=0.5, depth="paper", se=False)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def _begun(setup: Setup, options: str = "") -> Study:
    """A study with a running trial."""
    study = Study.open(setup.url + options, "digits", setup.settings())
    study.begin(setup.candidates().parameters, setup.candidates().values[DESIGN], {})
    return study


def _execute(setup: Setup, *statements: str) -> None:
    with closing(sqlite3.connect(setup.folder / "study.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_locked_database_is_told_and_goes_on_later(setup: Setup) -> None:
    study = _begun(setup, "?timeout=0")
    with closing(sqlite3.connect(setup.folder / "study.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(StudyError, match=r"failed: database is locked; .*: end that program, then"):
            study.note(0, cost=1.0)
    study.note(0, cost=1.0)
    assert study.records()[0].cost == 1.0


def test_a_database_that_becomes_read_only_is_told_and_goes_on_later(setup: Setup) -> None:
    study = _begun(setup)
    engine = cast("Any", study._storage).engine

    def refuse_writing(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA query_only = ON")

    def allow_writing(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA query_only = OFF")

    sqlalchemy.event.listen(engine, "checkout", refuse_writing)
    with pytest.raises(StudyError, match="attempt to write a readonly database; make it and its folder writable"):
        study.note(0, cost=1.0)
    sqlalchemy.event.remove(engine, "checkout", refuse_writing)
    sqlalchemy.event.listen(engine, "checkout", allow_writing)
    study.note(0, cost=1.0)
    assert study.records()[0].cost == 1.0


def test_a_lost_table_is_told(setup: Setup) -> None:
    study = _begun(setup)
    _execute(setup, "drop table trial_user_attributes")
    for call in (lambda: study.note(0, cost=1.0), study.records, lambda: read_study(setup.url)):
        with pytest.raises(StudyError, match="no such table: trial_user_attributes; it holds no whole study"):
            call()


def test_a_damaged_page_is_told_and_a_copy_put_back_goes_on(setup: Setup) -> None:
    _begun(setup).close()
    file = setup.folder / "study.db"
    whole = file.read_bytes()
    for page in range(1, len(whole) // 4096):
        at = page * 4096
        file.write_bytes(whole[:at] + b"\xff" * 4096 + whole[at + 4096 :])
        with suppress(StudyError):  # nothing else is raised; a page that nothing reads is not missed
            _begun(setup).close()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(StudyError, match="database disk image is malformed; it is damaged"):
        read_study(setup.url)
    file.write_bytes(whole)
    assert len(read_study(setup.url).trials) == 1


def test_a_file_moved_away_is_told(setup: Setup) -> None:
    study = _begun(setup)
    (setup.folder / "study.db").rename(setup.folder / "elsewhere.db")
    with pytest.raises(StudyError, match="it was moved or deleted while it was in use: put it back"):
        study.note(0, cost=1.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "the file is empty"), (b"hello", "no SQLite database"), (b"hello" * 999, "no SQLite database")],
)
def test_a_file_that_holds_no_study_is_told_and_left_alone(setup: Setup, content: bytes, words: str) -> None:
    file = setup.folder / "study.db"
    file.write_bytes(content)
    for call in (lambda: read_study(setup.url), lambda: attach(setup.url, "digits", "measured", "key", {})):
        with pytest.raises(StudyError, match=f"study.db' is not a study: .*{words}"):
            call()
    assert file.read_bytes() == content
    if content:
        with pytest.raises(StudyError, match="is not a study"):
            Study.open(setup.url, "digits", setup.settings())
        assert file.read_bytes() == content
    else:  # as a search leaves it that ends before it makes tables
        Study.open(setup.url, "digits", setup.settings()).close()


def test_a_search_killed_while_it_made_tables_leaves_no_study_and_the_next_one_makes_it(setup: Setup) -> None:
    Study.open(setup.url, "digits", setup.settings()).close()
    file = setup.folder / "study.db"
    with closing(sqlite3.connect(file)) as connection:
        made = [sql for (sql,) in connection.execute("select sql from sqlite_master where type = 'table'")]
    for count in range(1, len(made), 3):
        file.unlink()
        _execute(setup, *made[:count])
        before = file.read_bytes()
        for call in (lambda: read_study(setup.url), lambda: attach(setup.url, "digits", "measured", "key", {})):
            with pytest.raises(StudyError, match=r"has no study; .* the same command begins it again"):
                call()
        assert file.read_bytes() == before
        Study.open(setup.url, "digits", setup.settings()).close()
        assert read_study(setup.url).name == "digits"


def test_a_folder_called_study_db_is_told(setup: Setup) -> None:
    (setup.folder / "study.db").mkdir()
    for call in (lambda: read_study(setup.url), lambda: Study.open(setup.url, "digits", setup.settings())):
        with pytest.raises(StudyError, match="is not a study: it is no file"):
            call()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that PyMySQL leaves open
@pytest.mark.server
@pytest.mark.parametrize("kind", ["postgresql_server", "mariadb_server"])
def test_a_killed_server_is_told_and_the_same_study_goes_on_when_it_is_back(
    setup: Setup, kind: str, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    server: Server = request.getfixturevalue(kind)
    setup.storage = server.url
    study = _begun(setup)
    server.kill()
    for call in (lambda: study.note(0, cost=1.0), study.records, lambda: _begun(setup)):
        with pytest.raises(StudyError, match=r"(failed|cannot be opened): .*; make sure that it answers"):
            call()
    server.start()
    study.note(0, cost=1.0)
    server.kill()
    server.start()
    assert study.records()[0].cost == 1.0
    server.kill()
    study.close()
    server.start()
    _begun(setup).close()
    assert capfd.readouterr() == ("", "")
    gc.collect()


def _at_once(count: int, work: Callable[[], object]) -> None:
    """Does the work in that many threads that begin together; raises what one of them raised."""
    barrier, errors = threading.Barrier(count), list[BaseException]()

    def body() -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.long
@pytest.mark.parametrize("storage", ["sqlite", "postgresql", "mariadb"])
def test_searches_that_open_an_empty_storage_at_once_make_one_study(
    setup: Setup, storage: str, request: pytest.FixtureRequest
) -> None:
    if storage != "sqlite":
        setup.storage = request.getfixturevalue(storage)
    settings = setup.settings()
    opened: list[str] = []

    def open_or_be_refused() -> None:
        try:
            Study.open(setup.url, "digits", settings).close()
        except TakenError:
            return
        opened.append("digits")

    _at_once(6, open_or_be_refused)
    assert opened
    assert read_study(setup.url).settings == settings


def test_tables_are_made_by_one_process_at_a_time(setup: Setup) -> None:
    # The order is forced: who makes the tables holds the lock that another one waits for.
    entered: list[str] = []

    def second() -> None:
        with making(setup.url):
            entered.append("second")

    with making(setup.url):
        thread = threading.Thread(target=second)
        thread.start()
        open_storage(setup.url, make=True).remove_session()
        entered.append("first")
    thread.join()
    assert entered == ["first", "second"]


TAMPERED = [
    ("deviation", '"x"', "trial 0: deviation is 'x'; expected a number"),
    ("cost", "NaN", "trial 0: cost is nan; expected a number"),
    ("cost", "null", 'trial 0: missing key "cost", which a complete trial has'),
    ("notes", "5", "trial 0: notes is 5; expected a list"),
    ("notes", "[1]", r"trial 0: notes\[0\] is 1; expected a text"),
    ("binding", "4", "trial 0: binding is 4; expected a text"),
    ("reason", "[1]", r"trial 0: reason is \[1\]; expected a text"),
    ("duplicate_of", '"x"', "trial 0: duplicate_of is 'x'; expected an integer"),
    ("architecture", "{}", 'trial 0: architecture: missing key "unit"'),
    ("architecture", "null", 'trial 0: missing key "architecture"'),
    ("costs", '{"macs": "many"}', "trial 0: costs.macs is 'many'"),
    ("proxy", "null", 'trial 0: missing key "proxy"'),
    ("proxy", '{"error": NaN}', "trial 0: proxy.error is nan"),
    ("proxy", "garbage", "damaged: trial 0: proxy is no JSON"),
    ("published", "3", "trial 0: published is 3; expected"),
    ("status", '"odd"', "trial 0: status is 'odd'; expected one of"),
]


def _with_a_candidate(setup: Setup) -> None:
    study = _begun(setup)
    solution = setup.candidates().solutions[DESIGN]
    study.note(0, architecture=encode(solution.architecture), costs=encode(solution.costs), cost=7.5)
    study.note(0, proxy=encode(made_up_result((0.5,))))
    study.complete(0, 0.5, 7.5)
    study.close()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("error", 5.0, "trial 0: proxy.error is 5.0; expected a share from 0 to 1"),
        ("error", -1e308, "trial 0: proxy.error is -1e[+]308; expected a share"),
        ("balanced_error", 2.0, "trial 0: proxy.balanced_error is 2.0; expected a share"),
        ("test_images", 0, "trial 0: proxy.test_images is 0; expected a positive integer"),
        ("curve", [{}], r'trial 0: proxy.curve\[0\]: missing key "images_seen"'),
    ],
)
def test_a_score_that_cannot_be_is_told_with_its_field(setup: Setup, key: str, value: object, words: str) -> None:
    study = _begun(setup)
    study.note(0, proxy={**encode(made_up_result((0.5,))), key: value})
    with pytest.raises(StudyError, match=words):
        study.records()


@pytest.mark.long
@pytest.mark.parametrize(("key", "value", "words"), TAMPERED)
def test_a_tampered_trial_is_told_with_its_field(setup: Setup, key: str, value: str, words: str) -> None:
    _with_a_candidate(setup)
    assert len(read_study(setup.url).candidates) == 1
    _execute(
        setup,
        f"delete from trial_user_attributes where key = '{key}'",
        f"insert into trial_user_attributes (trial_id, key, value_json) values (1, '{key}', '{value}')",
    )
    with pytest.raises(StudyError, match=words):
        read_study(setup.url)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("settings", "5", "the study's settings is 5"),
        ("settings", "[", "damaged: the study's settings is no JSON"),
        ("runs", "5", "the study's runs is 5; expected a list"),
        ("runs", "[5]", r"the study's runs: \[0\] is 5; expected an object"),
        ("repeat:x:y", "{}", "attribute 'repeat:x:y': expected the numbers of a trial and a seed"),
        ("repeat:0:1", "{}", 'the study\'s repeat:0:1: missing key "error"'),
        ("lost repeat:0:1", "7", "the study's lost repeat:0:1 is 7; expected a text"),
        ("lengths", '{"short": 2}', "the study's lengths"),
        ("noise", '"x"', "the study's noise is 'x'; expected a number"),
        ("measured:x", "7", "the study's measured:x is 7; expected an object"),
        ("counted:x", "7", "the study's counted:x is 7; expected an object"),
    ],
)
def test_a_tampered_study_is_told_with_its_field(setup: Setup, key: str, value: str, words: str) -> None:
    _with_a_candidate(setup)
    _execute(
        setup,
        f"delete from study_user_attributes where key = '{key}'",
        f"insert into study_user_attributes (study_id, key, value_json) values (1, '{key}', '{value}')",
    )
    with pytest.raises(StudyError, match=words):
        read_study(setup.url)


@pytest.mark.parametrize(
    "statement",
    [
        "update trials set state = 'ODD'",
        "update trial_params set distribution_json = '{}'",
        "update trial_params set param_value = 99",
        "delete from trial_values where objective = 0",
    ],
)
def test_damaged_rows_are_told_with_their_trial(setup: Setup, statement: str) -> None:
    _with_a_candidate(setup)
    _execute(setup, statement)
    with pytest.raises(StudyError, match=r"study.db' is damaged: trial 0: .*; put a copy back"):
        read_study(setup.url)


def test_a_fault_of_the_caller_is_no_fault_of_the_storage(setup: Setup) -> None:
    study = _begun(setup)
    with pytest.raises(TypeError):
        study.note(0, cost=object())
    study.fail(0, "failed", "x")
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        study.note(0, cost=1.0)


def test_a_study_that_somebody_deletes_is_told(setup: Setup) -> None:
    study = _begun(setup)
    optuna.delete_study(study_name="digits", storage=setup.url)
    with pytest.raises(StudyError, match=r"is damaged: .*does not exist"):
        study.note(0, cost=1.0)
