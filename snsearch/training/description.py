"""A data set in words and numbers, as a search or a training uses it. Loads no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snsearch.prose import counted
from snsearch.training.found import ROLES, Role, Skipped
from snsearch.training.images import is_padded


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassCount:
    """The usable images of a class per split."""

    name: str
    train: int
    validation: int
    test: int

    @property
    def images(self) -> int:
        """In all splits."""
        return self.train + self.validation + self.test


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """The sizes and channels of the usable images, and what they become."""

    found: tuple[tuple[tuple[int, int], int], ...]  # (width, height) and how many, the most frequent first
    side: int  # pixels a side that images are brought to
    channels: int
    gray: int  # images without color
    white: tuple[int, ...]  # what becomes white, where images have more than 8 bits a channel

    def describe(self) -> str:
        """The sizes and what they become in a sentence."""
        if not self.found:
            return "no sizes: no image could be read"
        shown = self._found_words()
        whole = f"{self.channels}x{self.side}x{self.side}"
        same = len(self.found) == 1 and self.found[0][0] == (self.side, self.side)
        words = f"images are {shown}, used as they are" if same else f"images are {shown}, brought to {whole}"
        changes = [] if same else self._changes()
        images = sum(count for _, count in self.found)
        if self.channels == 3 and self.gray:
            changes.append(f"{self.gray:,} of {images:,} are gray, and made three channels")
        changes += [f"values up to {white:,} are scaled to 255" for white in self.white]
        return "; ".join([words, *changes])

    def _found_words(self) -> str:
        [(width, height), _] = self.found[0]
        if len(self.found) == 1:
            return f"{width}x{height}"
        ordered = sorted((size for size, _ in self.found), key=lambda size: (size[0] * size[1], size))
        (w, h), (x, y) = ordered[0], ordered[-1]
        return f"{w}x{h} to {x}x{y} (most often {width}x{height})"

    def _changes(self) -> list[str]:
        """What bringing the images to one size does to them."""
        kinds: Counter[str] = Counter()
        lost = total = 0.0
        for (width, height), count in self.found:
            if is_padded(width, height, self.side):
                kinds["padded with black"] += 0 if (width, height) == (self.side, self.side) else count
                continue
            kinds["enlarged" if min(width, height) < self.side else "shrunk"] += (
                min(width, height) != self.side and count
            )
            total += count
            lost += count * (1 - min(width, height) / max(width, height))
        images = sum(count for _, count in self.found)
        words = [kind if count == images else f"{count:,} of them {kind}" for kind, count in kinds.items() if count]
        if total and lost / total >= 0.005:
            words.append(f"cropped in the middle ({lost / total:.0%} of the longer side is cut off)")
        return words


@dataclass(frozen=True, kw_only=True, slots=True)
class SameImage:
    """Two files or rows with the same image, by name."""

    first: str
    second: str
    splits: tuple[Role, Role] | None  # None: one split, two classes

    @property
    def where(self) -> str:
        """Such as "train and test", or "two classes"."""
        return "two classes" if self.splits is None else " and ".join(self.splits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """A data set as a search or a training uses it."""

    name: str
    source: str
    classes: tuple[ClassCount, ...]
    origins: Mapping[Role, str]  # where each split came from
    sizes: Sizes
    skipped: tuple[Skipped, ...]
    suspicious: tuple[str, ...]
    same: tuple[SameImage, ...]
    refused: str = ""  # why it cannot be used; empty where it can

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to know before training, why the data is refused first."""
        why = self.refused.removeprefix(f"{self.name}: ")  # the summary names the data once
        return (*([f"refused: {why}"] if why else []), *self.suspicious)

    @property
    def splits(self) -> dict[Role, int]:
        """Usable images per split; 0 where the data is refused."""
        counts = {role: sum(getattr(one, role) for one in self.classes) for role in ROLES}
        return dict.fromkeys(ROLES, 0) if self.refused else counts

    @property
    def skipped_kinds(self) -> dict[str, int]:
        """How many files were skipped for each reason, the most frequent first."""
        return dict(Counter(one.kind for one in self.skipped).most_common())

    def to_json(self) -> dict[str, Any]:
        """The description as JSON values."""
        return {
            "schema": 1,
            "name": self.name,
            "source": self.source,
            "usable": not self.refused,
            "classes": [
                {"name": one.name, "images": one.images} | {role: getattr(one, role) for role in ROLES}
                for one in self.classes
            ],
            "splits": self.splits,
            "origins": dict(self.origins),
            "sizes": [
                {"width": width, "height": height, "images": count} for (width, height), count in self.sizes.found
            ],
            "becomes": {"channels": self.sizes.channels, "height": self.sizes.side, "width": self.sizes.side},
            "skipped": self.skipped_kinds,
            "skipped_files": [{"name": one.name, "reason": one.reason} for one in self.skipped],
            "same_images": [{"images": [one.first, one.second], "where": one.where} for one in self.same],
            "remarks": list(self.remarks),
        }

    def lines(self) -> Iterator[str]:
        """The summary that commands print before they train."""
        yield f"data: {self.name} ({self.source}); {counted(len(self.classes), 'class', 'classes')}"
        if not self.refused:
            for role, count in self.splits.items():
                yield f"  {role}: {counted(count, 'image')}, {self.origins.get(role, 'none')}"
            yield f"  {self.sizes.describe()}"
        if kinds := self.skipped_kinds:
            words = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.items())
            yield f"  skipped: {words}"
        for remark in self.remarks:
            yield f"  remark: {remark}"

    def named_lines(self, most: int = 5) -> Iterator[str]:
        """The first of the files that are skipped, and of the images that are the same; and how many more."""
        for what, lines in (
            ("skipped", [f"{one.name}: {one.reason}" for one in self.skipped]),
            ("the same", [f"{one.first} and {one.second}, in {one.where}" for one in self.same]),
        ):
            yield from (f"  {what}: {line}" for line in lines[:most])
            if len(lines) > most:
                yield f"  {what}: {len(lines) - most:,} more; --format json names all"
