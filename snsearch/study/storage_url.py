"""Storage URLs: parsed and written by SQLAlchemy's own type, and what of them may be shown. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote_plus

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from snsearch.errors import StudyError

_HIDDEN = "..."  # needs no quoting in a URL
# The options whose values may be shown: what an option means is the driver's, so all others may hold a secret.
_SHOWN = frozenset(
    {"application_name", "charset", "client_encoding", "connect_timeout", "db", "dbname", "host", "hostaddr"}
    | {"isolation_level", "mode", "port", "service", "sslmode", "target_session_attrs", "timeout", "unix_socket"}
    | {"uri", "user", "username"}
)


def sqlite_url(file: Path) -> str:
    """The storage URL of an SQLite file, whatever its name. Raises StudyError for one that is not UTF-8."""
    try:
        return _text(URL.create("sqlite", database=str(file)))
    except UnicodeEncodeError:
        raise StudyError(
            f"a study cannot be kept at {str(file)!r}: the name is not UTF-8; give another folder by --out"
        ) from None


def parse_url(url: str) -> URL:
    """The storage URL in its parts. Raises StudyError for what is none, or could be read in two ways."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise StudyError(
            f"the storage {without_secrets(url)!r} cannot be opened: expected a URL such as sqlite:///study.db or "
            "postgresql+psycopg://USER@HOST/DATABASE; write the characters @ : / ? % of a password as %40 %3A %2F "
            "%3F %25"
        ) from None
    if _is_ambiguous(url, found):
        raise StudyError(
            f"the storage {without_secrets(url)!r} cannot be opened: where its password ends is not clear; write the "
            "characters @ : / ? % in it as %40 %3A %2F %3F %25, or leave it out (PGPASSWORD, ~/.pgpass)"
        )
    return found


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for other databases. Raises StudyError for one that names no file."""
    found = parse_url(url)
    if found.get_backend_name() != "sqlite":
        return None
    path = found.database or ""
    if found.host or path in ("", ":memory:"):
        raise StudyError(
            f"the storage {without_secrets(url)!r} keeps nothing; name a file, such as sqlite:///study.db"
        )
    if found.query.get("uri") or path.startswith("file:"):
        raise StudyError(
            f"the storage {without_secrets(url)!r} names its file by a URI; give its path, such as sqlite:///study.db"
        )
    return Path(path)


def engine_url(url: str) -> str:
    """The URL with every special character quoted: Optuna fills in what stands in braces."""
    return _text(parse_url(url))


def shown_place(url: str) -> str:
    """Where a study is, in words that may be shown: its file, or its URL without secrets."""
    file = sqlite_file(url)
    return without_secrets(url) if file is None else str(file)


def without_secrets(url: str) -> str:
    """A storage URL that may be shown: without password, and without options that may hold one."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        scheme = re.match(r"[\w+]+://", url)
        return url if not set("@:=") & set(url) else f"{scheme.group() if scheme else ''}{_HIDDEN}"
    is_misplaced = found.get_backend_name() == "sqlite" and (found.host or found.username)  # SQLite has neither
    if is_misplaced or _is_ambiguous(url, found):
        return f"{found.drivername}://{_HIDDEN}"
    if found.password is not None:
        found = found.set(password=_HIDDEN)
    return _text(found.update_query_dict({name: _HIDDEN for name in found.query if name not in _SHOWN}))


def without_secrets_of(url: str, text: str) -> str:
    """A driver's message without what of the URL must not be shown."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _is_ambiguous(url: str, found: URL) -> bool:
    """Whether a special character that is not quoted may have put a part of the password elsewhere."""
    if found.get_backend_name() == "sqlite":
        return False
    around = f"{found.username or ''}{found.host or ''}"
    return url.count("@") > 1 or bool(set("?&=") & set(around))


def _secrets(url: str) -> set[str]:
    """The password and the values of hidden options, quoted and not."""
    found = set(_secrets_as_given(url))
    found |= {unquote_plus(secret) for secret in found}
    return (found | {quoted(secret) for secret in found for quoted in (quote, quote_plus)}) - {""}


def _secrets_as_given(url: str) -> Iterator[str]:
    parsed = parse_url(url)
    if parsed.password is not None:
        yield parsed.password
        yield url.partition("://")[2].partition(":")[2].partition("@")[0]
    for name, values in parsed.normalized_query.items():
        if name not in _SHOWN:
            yield from values
            yield from re.findall(rf"[?&]{re.escape(quote_plus(name))}=([^&]*)", url)
