"""One export: written to a temporary folder, checked there, and only then moved to its place."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snsearch.codec import encode, parse_json
from snsearch.device import Measurement
from snsearch.errors import ExportError, SnsearchError
from snsearch.exports.card import card_of
from snsearch.exports.card_text import int8_lines, latency_words, markdown_of
from snsearch.exports.checking import PARITY, Accuracy, Parity, compared
from snsearch.exports.examples import cpp_example, python_example
from snsearch.exports.formats import STEM, Format
from snsearch.exports.int8 import Int8, Int8Options, write_int8
from snsearch.exports.subject import Subject
from snsearch.files import faults_as, read_limited, write_whole
from snsearch.training import Dataset
from snsearch.units import format_bytes

CARD = "card.json"
CARD_TEXT = "card.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What was exported, and what its check found."""

    files: tuple[Path, ...]
    parity: Parity
    accuracy: Accuracy | None  # None: without test images
    bytes: int  # of the network's float32 files, without the card
    int8: Int8 | None
    card: dict[str, Any]

    def __repr__(self) -> str:
        return f"<{self.lines[0]}>"

    @property
    def document(self) -> dict[str, Any]:
        """As `snsearch export --format json` prints it."""
        return {
            "schema": 1,
            "files": [str(file) for file in self.files],
            "parity": encode(self.parity),
            "accuracy": None if self.accuracy is None else encode(self.accuracy),
            "bytes": self.bytes,
            "int8": None if self.int8 is None else encode(self.int8),
            **{name: self.card[name] for name in ("key", "weights", "trained", "latency")},
        }

    @property
    def lines(self) -> list[str]:
        """The same in words."""
        parity, on = self.parity, f"{self.parity.images:,} test images" if self.parity.images else "random inputs"
        lines = [
            f"{self.files[0].parent}: {', '.join(file.name for file in self.files)}",
            f"parity on {on}: {parity.max_difference:.1e} of the largest logit, the same class in "
            f"{parity.argmax_agreement:.1%}",
        ]
        if self.accuracy is not None:
            lines.append(f"accuracy: torch {self.accuracy.torch:.2%}, exported {self.accuracy.exported:.2%}")
        lines.append(f"size: {format_bytes(self.bytes)}")
        if self.int8 is not None:
            lines += int8_lines(self.int8)
        return lines + [f"latency: {latency_words(one)}" for one in self.card["latency"]]


def check_folder(folder: Path, *, force: bool) -> None:
    """Raises ExportError unless the folder is missing or empty, or may be overwritten."""
    with faults_as(ExportError, f"the folder {str(folder)!r} cannot be used"):
        if folder.is_dir():
            if not force and any(folder.iterdir()):
                raise ExportError(f"{str(folder)!r} is not empty; name another folder, or add --force to overwrite")
        elif folder.exists() or folder.is_symlink():
            raise ExportError(f"{str(folder)!r} is no folder")


def write_export(
    subject: Subject,
    format: Format,
    folder: Path,
    *,
    keep_norms: bool = False,
    dataset: Dataset | None = None,
    data: str | None = None,
    int8: Int8Options | None = None,
    measure: Callable[[], Sequence[Measurement]] = lambda: (),
    command: Sequence[str] = (),
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> Export:
    """Writes a network's files and card into a folder, which appears whole or not at all.

    Raises ExportError if the folder is in use or the check fails, SpecError if the format cannot hold the network.
    """
    check_folder(folder, force=force)
    with faults_as(ExportError, f"{str(folder)!r} cannot be written"), _whole_folder(folder.absolute()) as partial:
        format.write(subject, partial, keep_norms)
        files = {path.name: _described(path) for path in sorted(partial.iterdir())}
        try:
            parity, accuracy = compared(subject, format.open(partial), dataset, progress)
        except SnsearchError as error:
            raise ExportError(f"the {format.name} files cannot be checked: {error}; nothing is written") from None
        _check(format, parity)
        size = sum(file["bytes"] for file in files.values())
        quantised = None
        if int8 is not None:
            assert dataset is not None, "check_int8 has refused it"
            assert not isinstance(format.int8, str)
            quantised = write_int8(subject, format.int8, partial, dataset, int8, say)
            files[format.int8.file] = _described(partial / format.int8.file)
        card = card_of(
            subject,
            format,
            files=files,
            norms_kept=keep_norms,
            parity=parity,
            accuracy=accuracy,
            data=data,
            int8=quantised,
            measured=measure(),
            command=command,
        )
        text = markdown_of(card, quantised, python_example(subject, format), cpp_example(subject, format))
        write_whole(partial / CARD, json.dumps(card, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
        write_whole(partial / CARD_TEXT, text)
    return Export(
        files=tuple(folder / name for name in (*files, CARD, CARD_TEXT)),
        parity=parity,
        accuracy=accuracy,
        bytes=size,
        int8=quantised,
        card=card,
    )


def _check(format: Format, parity: Parity) -> None:
    if not parity.max_difference <= PARITY:
        on = f"{parity.images:,} test images" if parity.images else "random inputs"
        raise ExportError(
            f"the {format.name} files differ from torch by {parity.max_difference:.1e} of the largest logit on {on}; "
            f"at most {PARITY:.0e} is allowed; nothing is written"
        )


def _described(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _exported_before(folder: Path) -> list[str]:
    """The files of an earlier export there, by its card."""
    try:
        files = parse_json(read_limited(folder / CARD))["files"]
        return [name for name in files if re.fullmatch(rf"{STEM}(\.\w+)+", name)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside it, which takes its place at the end of the block, and that of an earlier export.

    Other files that were there stay.

    If the block raises, nothing is left. Raises OSError.
    """
    made = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        yield partial
        if folder.is_dir() and any(folder.iterdir()):
            for name in _exported_before(folder):
                (folder / name).unlink(missing_ok=True)
            for file in partial.iterdir():
                file.replace(folder / file.name)
        else:
            partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # another process uses it
            for parent in made:
                parent.rmdir()
        raise
    shutil.rmtree(partial, ignore_errors=True)
