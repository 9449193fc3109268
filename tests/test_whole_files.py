"""Files that others see whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snsearch.files import whole_file, write_whole


def test_a_file_is_replaced_in_one_step_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "page.html"
    write_whole(path, "ä")
    assert path.read_bytes() == "ä".encode()
    with whole_file(path) as partial:
        partial.write_bytes(b"half")
        assert path.read_text(encoding="utf-8") == "ä"
        partial.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_as_it_was_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_whole(path, b"before")

    def broken_off() -> None:
        with whole_file(path) as partial:
            partial.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    with pytest.raises(FileNotFoundError), whole_file(path):
        pass  # nothing was written
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_once_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    contents = [bytes([65 + number]) * 200_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_whole(path, content), contents * 5))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
