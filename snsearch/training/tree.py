"""The files below a folder by kind. Hidden, special and foreign ones are skipped by name and never opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from snsearch.files import MAX_FILE_BYTES, unfit
from snsearch.training.found import Skipped, shown
from snsearch.training.images import SUFFIXES

_HINTS = {".heic": "convert it to JPEG or PNG", ".heif": "convert it to JPEG or PNG", ".zip": "unpack it"}
_Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """Paths from the root on, sorted; `skipped` says what else lies there."""

    root: Path
    images: list[PurePosixPath] = field(default_factory=list)
    tables: list[PurePosixPath] = field(default_factory=list)  # .csv and .tsv
    parquet: list[PurePosixPath] = field(default_factory=list)
    shards: list[PurePosixPath] = field(default_factory=list)  # .tar
    skipped: list[Skipped] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)  # links that lead out of the root, and where to

    def below(self, folder: str) -> Tree:
        """The tree of a folder that holds all images; what was skipped elsewhere stays listed."""

        def moved(paths: list[PurePosixPath]) -> list[PurePosixPath]:
            return [path.relative_to(folder) for path in paths if path.parts[0] == folder]

        return Tree(
            root=self.root / folder,
            images=moved(self.images),
            tables=moved(self.tables),
            parquet=moved(self.parquet),
            shards=moved(self.shards),
            skipped=self.skipped,
            outside=self.outside,
        )


def scan(root: Path) -> Tree:
    """The tree below a folder.

    Links are followed, except in a circle and to a folder that another link leads to already; those that leave the
    folder are listed.
    """
    tree = Tree(root=root)
    real = root.resolve()
    # A link to a folder above the root would lead back into it.
    above = tuple(_identity(folder.stat()) for folder in (real, *real.parents))
    followed: set[_Identity] = set()
    waiting: list[tuple[PurePosixPath, tuple[_Identity, ...]]] = [(PurePosixPath(), above)]
    while waiting:
        folder, path_to = waiting.pop()
        for entry in _entries(tree, folder):
            name = folder / entry.name
            if entry.name.startswith("."):
                _skip(tree, name, "hidden")
                continue
            try:
                status = entry.stat()
            except OSError as error:
                _skip(tree, name, "broken link" if entry.is_symlink() else f"unreadable: {error.strerror}")
                continue
            if not stat.S_ISDIR(status.st_mode):
                _note_link(tree, real, entry, name)
                _sort_in(tree, name, status)
                continue
            identity = _identity(status)
            if identity in path_to:
                _skip(tree, name, "link in a circle")
            elif entry.is_symlink() and identity in followed:
                _skip(tree, name, "link to a folder that is read already")
            else:
                _note_link(tree, real, entry, name)
                if entry.is_symlink():
                    followed.add(identity)
                waiting.append((name, (*path_to, identity)))
    for paths in (tree.images, tree.tables, tree.parquet, tree.shards):
        paths.sort()
    tree.skipped.sort(key=lambda one: one.name)
    return tree


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _entries(tree: Tree, folder: PurePosixPath) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(tree.root / folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        _skip(tree, folder, f"unreadable: {error.strerror}")


def _skip(tree: Tree, name: PurePosixPath, reason: str) -> None:
    tree.skipped.append(Skipped(name=shown(str(name)), reason=reason))


def _note_link(tree: Tree, real: Path, entry: os.DirEntry[str], name: PurePosixPath) -> None:
    if entry.is_symlink():
        target = Path(entry.path).resolve()
        if not target.is_relative_to(real):
            tree.outside.append(f"{shown(str(name))} -> {shown(str(target))}")


def _sort_in(tree: Tree, name: PurePosixPath, status: os.stat_result) -> None:
    suffix = name.suffix.lower()
    # These are read in parts, however large they are.
    if reason := unfit(status, 2**62 if suffix in (".parquet", ".tar") else MAX_FILE_BYTES):
        _skip(tree, name, reason)
    elif suffix in SUFFIXES:
        tree.images.append(name)
    elif suffix in (".csv", ".tsv"):
        tree.tables.append(name)
    elif suffix == ".parquet":
        tree.parquet.append(name)
    elif suffix == ".tar":
        tree.shards.append(name)
    else:
        kind = f"{shown(suffix)} file" if suffix else "file without a suffix"
        _skip(tree, name, f"{kind}: {_HINTS[suffix]}" if suffix in _HINTS else kind)
