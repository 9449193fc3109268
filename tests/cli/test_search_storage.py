"""snsearch search and report on storages that fail, that have odd names, and that have secrets."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from snsearch.cli import main
from snsearch.cli.shared.progress import ending_with
from snsearch.errors import StudyError
from snsearch.interrupt import EndNow
from snsearch.study.observer import Observer
from snsearch.study.storage import read_study
from tests.conftest import Outcome, Server
from tests.studies import pretended_training, train_in

Run = Callable[..., Outcome]
SMALL = (
    *("search", "--budget", "3", "--resolution", "96", "--data", "digits", "--full-images", "256"),
    *("--workers", "1", "--threads", "1", "--effort", "quick"),
)
NAME = "shufflenet-v1-3-digits"
SECRET = "s3cret+pw"
AS_TYPED = "s3cret%2Bpw"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def during(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What is done while the second candidate behind the pilot trains, if anything; nothing is trained in fact."""
    faults: list[Callable[[], object]] = []
    train = pretended_training(lambda arch: (0.9 - arch.stage_channels[-1] / 1e4,))
    begun: list[None] = []

    def train_or_fail(*arguments: Any, **options: Any) -> Any:
        begun.append(None)
        if len(begun) == 4 and faults:
            faults.pop()()
        return train(*arguments, **options)

    train_in(monkeypatch, train_or_fail)
    monkeypatch.setattr("random.random", lambda: 0.0)  # how long Optuna waits before it tries again
    return faults


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(options, capture_output=True).returncode:
        pytest.skip("a small disk needs root, and leave to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def _last(outcome: Outcome) -> str:
    return outcome.err[outcome.err.rindex("snsearch: ") :]


def test_a_full_disk_is_told_and_the_same_command_goes_on(
    run: Run, small_disk: Path, during: list[Callable[[], object]]
) -> None:
    filler = small_disk / "filler"

    def fill() -> None:
        with suppress(OSError), filler.open("wb", 0) as file:
            while True:
                file.write(bytes(4096))

    during.append(fill)
    outcome = run(*SMALL, "--out", str(small_disk))
    assert outcome.code == 6
    assert _last(outcome).endswith(
        "study.db' failed: database or disk is full; make room on its disk, then give the same command again"
    )
    assert "report.html' cannot be written: No space left on device" in outcome.err, "a remark before the cause"
    filler.unlink()
    assert run(*SMALL, "--out", str(small_disk)).code == 0
    assert len(read_study(f"sqlite:///{small_disk}/{NAME}/study.db").candidates) >= 3


def test_a_study_on_a_read_only_disk_is_read_and_not_searched(run: Run, small_disk: Path, tmp_path: Path) -> None:
    assert run(*SMALL, "--out", str(small_disk)).code == 0
    _remount(small_disk, "ro")
    try:
        for study in (NAME, "new"):
            outcome = run(*SMALL, "--out", str(small_disk), "--study", study)
            assert outcome.code == 6
            assert "Read-only file system" in _last(outcome)
            assert "make it and its folder writable" in _last(outcome)
        study = str(small_disk / NAME)
        assert run("report", study).code == 6
        assert run("report", study, "--html", str(tmp_path / "page.html")).code == 0
        assert run("report", study, "--format", "json").code == 0
    finally:
        _remount(small_disk, "rw")
    assert run(*SMALL, "--out", str(small_disk)).code == 0


def test_a_damaged_study_is_told_and_goes_on_from_a_copy(run: Run, here: Path) -> None:
    assert run(*SMALL).code == 0
    file = here / "reports" / NAME / "study.db"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    for command in (SMALL, ("report",)):
        outcome = run(*command)
        assert outcome.code == 6
        assert "database disk image is malformed; it is damaged: put a copy back" in _last(outcome)
    file.write_bytes(whole)
    assert run(*SMALL).code == 0


def test_a_lost_table_ends_the_search_with_its_cause(
    run: Run, here: Path, during: list[Callable[[], object]]
) -> None:
    def drop() -> None:
        with closing(sqlite3.connect(here / "reports" / NAME / "study.db")) as connection:
            connection.execute("drop table trial_user_attributes")

    during.append(drop)
    outcome = run(*SMALL)
    assert outcome.code == 6
    assert "no such table: trial_user_attributes" in _last(outcome)
    assert "fault of snsearch" not in outcome.err
    assert "[SQL:" not in outcome.err, "Optuna's own warnings"


def test_a_killed_server_ends_the_search_and_the_same_command_goes_on(
    run: Run, here: Path, during: list[Callable[[], object]], postgresql_server: Server
) -> None:
    url = postgresql_server.url.replace("postgres@", f"postgres:{AS_TYPED}@")
    search = (*SMALL, "--study", "s", "--storage", url)
    during.append(postgresql_server.kill)
    outcome = run(*search)
    assert outcome.code == 6
    assert "make sure that it answers, then give the same command again" in _last(outcome)
    assert "fault of snsearch" not in outcome.err
    assert AS_TYPED not in outcome.err
    assert SECRET not in outcome.err
    postgresql_server.start()
    assert run(*search).code == 0
    assert len(read_study(url).candidates) >= 3


def test_what_ended_the_work_is_raised_where_finishing_fails_too() -> None:
    said: list[str] = []
    observer = Observer()
    observer.said = said.append  # type: ignore[method-assign]

    def fail() -> None:
        raise StudyError("no page")

    with pytest.raises(KeyboardInterrupt), ending_with(fail, observer):
        raise KeyboardInterrupt
    assert said == ["no page"]
    with pytest.raises(StudyError, match="no page"), ending_with(fail, observer):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("error", [KeyboardInterrupt, StudyError, None])
def test_a_signal_while_finishing_lets_it_be_done_and_a_second_one_does_not(
    number: int, error: type[BaseException] | None
) -> None:
    done: list[int] = []

    def finish(signals: int) -> None:
        for _ in range(signals):
            os.kill(os.getpid(), number)
        done.append(signals)

    def work(signals: int) -> None:
        with ending_with(lambda: finish(signals), Observer()):
            if error is not None:
                raise error

    with pytest.raises(error or KeyboardInterrupt):
        work(1)
    with pytest.raises(EndNow):
        work(2)
    assert done == [1]


@pytest.mark.parametrize("content", ["", "not a study"])
@pytest.mark.parametrize("named", [NAME, f"reports/{NAME}", f"reports/{NAME}/study.db"])
def test_a_file_that_is_no_study_is_told(run: Run, here: Path, content: str, named: str) -> None:
    file = here / "reports" / NAME / "study.db"
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="utf-8")
    outcome = run("report", named)
    assert outcome.code == 6
    assert "is not a study: " in outcome.err


@pytest.mark.long
@pytest.mark.parametrize("folder", ["what?", "100%", "50%25", "a#b", "a&b", "a b", "x{y}", "it's", "ü", "a@b:c"])
def test_a_folder_of_any_name_holds_the_study_and_its_page(run: Run, here: Path, folder: str) -> None:
    assert run(*SMALL, "--out", folder).code == 0
    names = {str(path.relative_to(here / folder)) for path in here.rglob("*") if path.is_file()}
    assert names == {f"{NAME}/{name}" for name in ("study.db", "study.db.lock", "report.html", "images.manifest")}
    assert run("report", f"{folder}/{NAME}").code == 0
    assert run("report", "--out", folder).code == 0


def test_a_percent_encoded_storage_is_one_file(run: Run, here: Path) -> None:
    storage = ("--storage", "sqlite:///my%20study%3F.db")
    assert run(*SMALL, "--study", "s", *storage).code == 0
    assert sorted(path.name for path in here.glob("*.db*")) == ["my study?.db", "my study?.db.lock"]
    assert run("report", "s", *storage).code == 0
    assert "my study?.db" not in run("report", "s", *storage, "--format", "json").out


def test_a_storage_that_is_no_url_is_told_before_data_is_read(run: Run, here: Path) -> None:
    outcome = run(*SMALL, "--storage", "postgresql://u:p@s3cret@h/db")
    assert outcome.code == 6
    assert outcome.err.startswith("snsearch: ")
    assert "s3cret" not in outcome.err


def _ask_for_a_password(server: Server) -> None:
    """Lets nobody in without the password, which is SECRET."""
    engine = sqlalchemy.create_engine(server.url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER USER postgres PASSWORD '{SECRET}'")
    engine.dispose()
    (server.folder / "data" / "pg_hba.conf").write_text("local all all scram-sha-256\n", encoding="utf-8")
    server.kill()
    server.start()


def _rows(url: str) -> str:
    """All rows of all tables of a database."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        tables = sqlalchemy.inspect(engine).get_table_names()
        rows = [str(connection.exec_driver_sql(f'SELECT * FROM "{table}"').all()) for table in tables]
    engine.dispose()
    return "\n".join(rows)


def test_a_password_shows_nowhere_whichever_way_it_is_given(
    run: Run,
    here: Path,
    postgresql_server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bare = postgresql_server.url
    server = f"postgresql+psycopg:///postgres?host={postgresql_server.folder}"
    given = {
        "authority": bare.replace("postgres@", f"postgres:{AS_TYPED}@"),
        "query": f"{server}&user=postgres&password={AS_TYPED}",
        "PGPASSWORD": bare,
        "pgpass": bare,
    }
    passfile = here / "pgpass"
    passfile.write_text(f"*:*:*:*:{SECRET}\n", encoding="utf-8")
    passfile.chmod(0o600)
    _ask_for_a_password(postgresql_server)
    outputs = []
    for way, url in given.items():
        monkeypatch.setenv("PGPASSWORD", SECRET if way == "PGPASSWORD" else "")
        monkeypatch.setenv("PGPASSFILE", str(passfile) if way == "pgpass" else "/nowhere")
        storage = ("--study", way, "--storage", url)
        outcome = run(*SMALL, *storage)
        assert outcome.code == 0, outcome.err
        report = run("report", way, "--storage", url, "--format", "json")
        outputs += [outcome.out, outcome.err, report.out, report.err]
        outputs.append((here / "reports" / way / "report.html").read_text(encoding="utf-8"))
    outputs.append(_rows(given["authority"]))
    monkeypatch.setenv("PGPASSWORD", "")
    wrong = f"{server}&user=postgres&password={AS_TYPED}x"
    outcome = run(*SMALL, "--study", "wrong", "--storage", wrong)
    assert outcome.code == 6
    assert "password authentication failed" in outcome.err
    assert "check the user and the password (PGPASSWORD, ~/.pgpass)" in outcome.err
    outputs.append(outcome.err)
    monkeypatch.setattr(sys, "argv", ["snsearch", "--debug", *SMALL, "--study", "wrong", "--storage", wrong])
    with pytest.raises(StudyError) as raised:
        main()
    outputs += [*traceback.format_exception(raised.value), *capsys.readouterr()]
    for text in outputs:
        assert SECRET not in text
        assert AS_TYPED not in text
