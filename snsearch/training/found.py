"""What a source found before anything is decoded: the images of every split, and what is skipped. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from snsearch.errors import DataError

Augmentation = Literal["none", "flip", "crop", "crop+flip"]
Role = Literal["train", "validation", "test"]
ROLES: tuple[Role, ...] = get_args(Role)
Step = Literal["headers", "images", "checks"]
Progress = Callable[[Step, int, int], None]  # what is read, of how many images it is, images in all
Read = Callable[[int], bytes]  # a file's bytes by its index
T = TypeVar("T")
_TOLD = 64  # images after which progress is told


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file or image that is not used, by name, and why: "kind" or "kind: details"."""

    name: str
    reason: str

    @property
    def kind(self) -> str:
        """The reason without what differs from file to file."""
        return re.sub(r"\s*\([^)]*\)", "", self.reason.partition(": ")[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to read data where the names do not say it."""

    splits: tuple[tuple[Role, str], ...] = ()  # the folder or split of each role; empty: by their names
    image_column: str | None = None
    label_column: str | None = None

    @property
    def words(self) -> str:
        """The options of a command line that are given."""
        named = {"--image-column": self.image_column, "--label-column": self.label_column}
        return " ".join(
            [f"--split {role}={name}" for role, name in self.splits]
            + [f"{option} {value}" for option, value in named.items() if value is not None]
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The labelled images of one split, in order: files to read, or pixels (N, H, W) uint8."""

    role: Role
    origin: str  # where the split came from: "folder Testing/"
    names: Sequence[str]
    labels: Sequence[str]
    read: Read | None = None
    pixels: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A data set as its source gives it, at most one listing per role.

    Raises nothing: where it cannot be used, `refused` says why.
    """

    name: str
    source: str
    listings: tuple[Listing, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    remarks: tuple[str, ...] = ()
    refused: str = ""
    classes: tuple[str, ...] | None = None  # None: those of the training images, sorted
    side: int | None = None  # pixels a side by default; None: chosen from the images
    augmentation: Augmentation = "crop+flip"
    scored_on_test: bool = False  # published figures of this data set are errors on its test images

    def of_role(self, role: Role) -> Listing | None:
        """The listing of a role."""
        return next((listing for listing in self.listings if listing.role == role), None)

    def told(self, listing: Listing, items: Iterable[T], step: Step, progress: Progress | None) -> Iterator[T]:
        """What is read of each image of a listing, as it comes; the progress hears of it now and then."""
        before = sum(map(len, takewhile(lambda one: one is not listing, self.listings)))
        total = sum(map(len, self.listings))
        for done, item in enumerate(items, before + 1):
            yield item
            if progress is not None and (done % _TOLD == 0 or done == total):
                progress(step, done, total)


class Unusable(DataError):
    """Data that is there but cannot be used."""


def shown(text: str) -> str:
    """The text of a file name: bytes that are not UTF-8 are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def named(names: Iterable[str], most: int = 5) -> str:
    """Some names in words: "a, b and 3 more"."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
