"""Storage URLs: any file name is one file, and no secret is shown, whatever form the URL has."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.errors import StudyError
from snsearch.study.storage_url import (
    engine_url,
    parse_url,
    shown_place,
    sqlite_file,
    sqlite_url,
    without_secrets,
    without_secrets_of,
)

SECRET = "s3cretpw"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_every_file_name_is_read_back_from_its_url(name: str) -> None:
    file = Path("reports") / name / "study.db"
    url = sqlite_url(file)
    assert sqlite_file(url) == file
    assert parse_url(engine_url(url)).database == str(file)
    assert not set(engine_url(url)) & set("{}"), "Optuna would fill them in"
    assert shown_place(url) == str(file)


def test_a_file_name_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(StudyError, match="not UTF-8; give another folder by --out"):
        sqlite_url(Path("\udcff") / "study.db")


def test_a_percent_encoded_file_name_is_one_file() -> None:
    assert sqlite_file("sqlite:///my%20study.db?timeout=5") == Path("my study.db")


@pytest.mark.parametrize("url", ["sqlite:///file:study.db?uri=true", "sqlite:///study.db?uri=1"])
def test_a_uri_file_name_is_refused(url: str) -> None:
    with pytest.raises(StudyError, match="by a URI; give its path"):
        sqlite_file(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://u:s3cretpw@h:1/db", "postgresql+psycopg://u:...@h:1/db"),
        ("postgresql+psycopg://u:s3c%72etpw@h/db", "postgresql+psycopg://u:...@h/db"),
        ("postgresql+psycopg://u:a/s3cretpw?b@h/db", "postgresql+psycopg://u:...@h/db"),
        ("postgresql://h/db?user=u&password=s3cretpw", "postgresql://h/db?password=...&user=u"),
        ("postgresql://h/db?sslpassword=s3cretpw", "postgresql://h/db?sslpassword=..."),
        ("postgresql://h/db?user=me@corp&password=a@s3cretpw", "postgresql://..."),
        ("mysql+pymysql://h/db?passwd=s3cretpw&charset=utf8", "mysql+pymysql://h/db?charset=utf8&passwd=..."),
        ("mssql+pyodbc:///?odbc_connect=PWD%3Ds3cretpw", "mssql+pyodbc:///?odbc_connect=..."),
        ("postgresql://u:p@s3cretpw@h/db", "postgresql://..."),
        ("postgresql://u:p@s3cretpw/w@h/db", "postgresql://..."),
        ("postgresql://u:p@s3cretpw:w@h/db", "postgresql://..."),
        ("postgresql://h?password=s3cretpw@x", "postgresql://..."),
        ("postgresql://u:s3cretpw/db", "postgresql://..."),
        ("postgresql:u:s3cretpw@h", "..."),
        ("sqlite://u:s3cretpw@h/db", "sqlite://..."),
        ("sqlite://u:a@s3cretpw@h/db", "sqlite://..."),
        ("sqlite:///a@b.db?key=s3cretpw", "sqlite:///a%40b.db?key=..."),
        ("study.db", "study.db"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    try:
        place = shown_place(url)
    except StudyError as error:
        place = str(error)
    assert SECRET not in place


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@w@h/db", "postgresql://u:p@s/w@h/db", "postgresql://h?password=a@x"]
)
def test_a_url_that_can_be_read_in_two_ways_is_refused_before_a_driver_sees_it(url: str) -> None:
    with pytest.raises(StudyError, match=r"where its password ends is not clear; .*%40.*PGPASSWORD"):
        sqlite_file(url)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6).filter(lambda text: text.strip(". ")))
def test_a_drivers_message_never_quotes_a_secret(secret: str) -> None:
    for url in (
        f"postgresql://u:{quote(secret, safe='')}@h/db",
        f"mysql+pymysql://h/db?user=u&passwd={quote_plus(secret)}",
    ):
        for form in {secret, quote(secret), quote_plus(secret), quote(secret, safe="")} - {"..."}:
            assert form not in without_secrets_of(url, f"no host {form!s} (from {form})").replace("...", "")
