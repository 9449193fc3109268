"""Shards: tar files of images with a file of the label beside each, as webdataset writes them.

Members are found by one pass of the headers, and then read from where they lie, in any order.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from snsearch.files import MAX_FILE_BYTES
from snsearch.training.assembly import Group, assemble
from snsearch.training.found import Found, Options, Read, Skipped, Unusable, first_line, shown
from snsearch.training.images import SUFFIXES
from snsearch.training.labels import class_labels
from snsearch.training.splits import role_of

_LABELS = (".cls", ".txt", ".json")  # the first that is there counts
_MOST_LABEL_BYTES = 2**16


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    shard: Path
    offset: int
    size: int

    def bytes(self) -> bytes:
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise Unusable(f"{shown(self.shard.name)} is cut off")
        return data


@dataclass(kw_only=True, slots=True)
class _Part:
    """The samples of one split, in the order of their shards."""

    names: list[str] = field(default_factory=list)
    images: list[_Member] = field(default_factory=list)
    labels: list[str | int | None] = field(default_factory=list)


def shard_files(shards: Sequence[Path], name: str, options: Options) -> Found:
    """The data set of tar files, which are of the splits that their names say: train-0000.tar, val-0000.tar."""
    base = Found(name=name, source=f"tar shards of {name}")
    parts: dict[str, _Part] = {}
    skipped: list[Skipped] = []
    wanted = {chosen for _, chosen in options.splits}
    path = Path()
    try:
        for path in shards:
            part = parts.setdefault(_split_of(path, wanted), _Part())
            skipped += _read_shard(path, part)
        groups = {
            split: Group(
                origin=f"shards of {shown(split)}",
                names=part.names,
                labels=class_labels(part.labels, "the shards' label"),
                read=_reader(part.images),
                unlabelled="no label beside it",
            )
            for split, part in parts.items()
            if part.names
        }
    except (OSError, tarfile.TarError) as error:
        refused = f"{name}: {shown(path.name)} cannot be read as an uncompressed tar file: {first_line(error)}"
        return Found(name=name, source=base.source, refused=refused)
    except Unusable as error:
        return Found(name=name, source=base.source, refused=f"{name}: {error}")
    if not groups:
        return Found(name=name, source=base.source, refused=f"{name}: the shards hold no images")
    return assemble(Found(name=name, source=base.source, skipped=tuple(skipped)), groups, options, kind="shard")


def _split_of(path: Path, wanted: set[str]) -> str:
    """The word of a shard's name that is a split, else the name without its number."""
    words = re.split(r"[-_. ]+", path.stem)
    of_role = (word for word in (*words, path.parent.name) if word in wanted or role_of(word))
    return next(of_role, re.sub(r"[-_. ]*\d+$", "", path.stem) or "train")


def _read_shard(path: Path, part: _Part) -> Iterator[Skipped]:
    """Adds a shard's samples; yields what is none."""
    images: dict[str, tuple[str, _Member]] = {}
    labels: dict[str, dict[str, _Member]] = {}
    with tarfile.open(path, "r:") as shard:
        for member in shard:
            name = shown(f"{path.name}/{member.name}")
            place = PurePosixPath(member.name)
            stem, _, rest = place.name.partition(".")
            key, suffix = str(place.parent / stem), f".{rest.rpartition('.')[2].lower()}" if rest else ""
            limit = MAX_FILE_BYTES if suffix in SUFFIXES else _MOST_LABEL_BYTES
            if member.isdir():
                continue
            if not member.isreg() or member.issparse() or member.size > limit:
                yield Skipped(name=name, reason="no plain file, or too large")
                continue
            found = _Member(shard=path, offset=member.offset_data, size=member.size)
            if suffix in SUFFIXES and key not in images:
                images[key] = name, found
            elif suffix in _LABELS:
                labels.setdefault(key, {})[suffix] = found
            else:
                yield Skipped(name=name, reason=f"{shown(suffix)} file" if suffix else "file without a suffix")
        ends = _Member(shard=path, offset=shard.offset, size=tarfile.BLOCKSIZE)
    if any(ends.bytes()):  # an archive ends with blocks of zeros
        raise Unusable(f"{shown(path.name)} is cut off")
    for key, (name, image) in images.items():
        part.names.append(name)
        part.images.append(image)
        part.labels.append(_label(labels.get(key, {}), name))


def _label(files: dict[str, _Member], name: str) -> str | int | None:
    suffix = next((suffix for suffix in _LABELS if suffix in files), None)
    if suffix is None:
        return None
    try:
        text = files[suffix].bytes().decode().strip()
        value = json.loads(text).get("label") if suffix == ".json" else text
    except (ValueError, AttributeError, RecursionError) as error:
        raise Unusable(f"the label of {name} cannot be read: {error}") from None
    if value is None or isinstance(value, str | int):
        return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value) else value
    raise Unusable(f"the label of {name} is {str(value)[:60]!r}; expected a number or a name")


def _reader(images: Sequence[_Member]) -> Read:
    return lambda index: images[index].bytes()
