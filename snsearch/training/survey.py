"""What becomes of found images: size, channels and depth from headers, and division into splits.

The same survey serves `snsearch data`, which prints it, and loading, which uses it. Loads no torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

import numpy as np
import numpy.typing as npt

from snsearch.prose import counted
from snsearch.training.description import ClassCount, Description, SameImage, Sizes
from snsearch.training.found import ROLES, Found, Listing, Progress, Role, Skipped, named
from snsearch.training.images import Color, Depth, Head, Pixels, decoded, digest_of, heads
from snsearch.training.splits import Division, divide, looks_like_size, role_of

SIDES = (64, 48, 32)  # pixels a side that training images may be given by default
_Part = list[tuple[str, str, Head | None]]  # of each image of a split: name, class, header
_LARGER = 3.0  # a class with this many times the images of another is much larger


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """A found data set with what its headers say."""

    found: Found
    heads: tuple[tuple[Head | None, ...], ...]  # per listing
    color: Color
    side: int
    depth: Depth

    def decoded(self, listing: Listing, progress: Progress | None = None) -> Iterator[tuple[Pixels | None, str]]:
        """Each image's pixels (C, side, side), or None and the reason."""
        assert listing.read is not None
        pixels = decoded(listing.read, len(listing), self.color, self.side, self.depth)
        return self.found.told(listing, pixels, "images", progress)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """The usable images of a survey, divided: what is described is what is used."""

    classes: tuple[str, ...]
    division: Division
    description: Description


def default_side(shorter: float, deployed: int | None) -> int:
    """Pixels a side to train on, from the images' usual shorter side and the deployed resolution.

    The largest of SIDES that neither exceeds; 32 where both are small.
    """
    bound = shorter if deployed is None else min(shorter, deployed)
    return next((side for side in SIDES if side <= bound), SIDES[-1])


def survey(found: Found, side: int | None, deployed: int | None, progress: Progress | None = None) -> Survey:
    """Reads every image's header; `side` is the pixels a side that are asked for, None chooses them."""
    read = tuple(tuple(found.told(one, _heads(one), "headers", progress)) for one in found.listings)
    every = [head for listing in read for head in listing if head is not None]
    if side is None:
        side = found.side or default_side(median(min(h.width, h.height) for h in every) if every else 0, deployed)
    return Survey(
        found=found,
        heads=read,
        color="L" if all(head.gray for head in every) else "RGB",
        side=side,
        depth=Depth.of(max((h.integer for h in every), default=0), max((h.floating for h in every), default=0)),
    )


def _heads(listing: Listing) -> Iterator[Head | None]:
    if listing.pixels is None:
        assert listing.read is not None
        return heads(listing.read, len(listing))
    _, height, width = listing.pixels.shape
    return (
        Head(width=width, height=height, gray=True, digest=digest_of(pixels.tobytes())) for pixels in listing.pixels
    )


def checked(surveyed: Survey, progress: Progress | None = None) -> Settled:
    """The settled data set without its pixels: every image is decoded as loading would, and dropped."""
    kept: list[list[int]] = []
    skipped: list[Skipped] = []
    for listing in surveyed.found.listings:
        usable = list(range(len(listing)))
        if listing.pixels is None:
            reasons = [reason for _, reason in surveyed.decoded(listing, progress)]
            usable = [index for index, reason in enumerate(reasons) if not reason]
            skipped += [Skipped(name=listing.names[i], reason=reason) for i, reason in enumerate(reasons) if reason]
        kept.append(usable)
    return settle(surveyed, kept, skipped)


def settle(surveyed: Survey, kept: Sequence[Sequence[int]], unreadable: Sequence[Skipped]) -> Settled:
    """Divides the readable images, whose indices `kept` gives per listing, into splits; and describes them."""
    found = surveyed.found
    by_role = {listing.role: (listing, kept[at], surveyed.heads[at]) for at, listing in enumerate(found.listings)}
    train = by_role.get("train")
    labels = [] if train is None else [train[0].labels[index] for index in train[1]]
    classes = found.classes or tuple(sorted({*(train[0].labels if train else ())}, key=_natural))
    index_of = {name: index for index, name in enumerate(classes)}
    division = divide(
        [index_of[label] for label in labels],
        has_validation=bool(by_role.get("validation", ("", ()))[1]),
        has_test="test" in by_role,
    )
    parts: dict[Role, _Part] = {}
    for role in ROLES:
        positions: Sequence[int] | npt.NDArray[np.int64] = []
        source = by_role.get(role)
        if role == "train":
            positions = (
                division.train if division.validation is None else np.delete(division.train, division.validation)
            )
        elif role == "validation" and division.validation is not None:
            source, positions = train, division.train[division.validation]
        elif role == "test" and division.test is not None:
            source, positions = train, division.test
        elif source is not None:
            positions = range(len(source[1]))
        if source is not None:
            listing, usable, read = source
            indices = [usable[at] for at in positions]
            parts[role] = [(listing.names[index], listing.labels[index], read[index]) for index in indices]
    counts = {role: Counter(label for _, label, _ in part) for role, part in parts.items()}
    same = tuple(_same_images(parts))
    refused = found.refused or _nothing_left(found.name, counts, [*unreadable], divided=division.test is not None)
    description = Description(
        name=found.name,
        source=found.source,
        classes=tuple(
            ClassCount(name=name, **{role: counts.get(role, Counter())[name] for role in ROLES}) for name in classes
        ),
        origins=_origins(found, division),
        sizes=_sizes(
            surveyed, [read for _, usable, heads in by_role.values() for read in (heads[i] for i in usable)]
        ),
        skipped=(*unreadable, *found.skipped),
        suspicious=(*found.remarks, *_remarks(classes, counts, same)),
        same=same,
        refused=refused,
    )
    return Settled(classes=classes, division=division, description=description)


def _natural(text: str) -> tuple[int, int, str]:
    """Sort key that puts 2 before 10."""
    return (0, int(text), text) if text.isdecimal() else (1, 0, text)


def _nothing_left(name: str, counts: dict[Role, Counter[str]], skipped: Sequence[Skipped], *, divided: bool) -> str:
    first = f"; the first: {skipped[0].name}: {skipped[0].reason}" if skipped else ""
    if counts.get("train") and not counts.get("test") and divided:
        return (
            f"{name}: too few images to divide: test images are a part of every class, and no class has the 2 images "
            f"that this takes; add images or a test split{first}"
        )
    for part, word in ((counts.get("train"), "training"), (counts.get("test"), "test")):
        if not part:
            return f"{name}: no {word} image could be read ({len(skipped)} skipped){first}"
    return ""


def _origins(found: Found, division: Division) -> dict[Role, str]:
    if found.refused:
        return {}
    origins = {listing.role: listing.origin for listing in found.listings}
    train = origins.get("train", "")
    if division.test is not None:
        origins["test"] = f"a tenth of every class of {train}"
    if division.validation is not None:
        rest = "the rest of " if division.test is not None else ""
        origins["validation"] = f"a tenth of every class of {rest}{train}"
    return {role: origins[role] for role in ROLES if role in origins}


def _sizes(surveyed: Survey, used: Sequence[Head | None]) -> Sizes:
    sizes = Counter((head.width, head.height) for head in used if head is not None)
    return Sizes(
        found=tuple(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))),
        side=surveyed.side,
        channels=1 if surveyed.color == "L" else 3,
        gray=sum(head.gray for head in used if head is not None),
        white=tuple(
            white
            for white, deep in (
                (surveyed.depth.integer, any(head.integer for head in used if head)),
                (surveyed.depth.floating, any(head.floating for head in used if head)),
            )
            if deep
        ),
    )


def _remarks(
    classes: Sequence[str],
    counts: dict[Role, Counter[str]],
    same: Sequence[SameImage],
) -> Iterator[str]:
    """What looks suspicious."""
    if odd := [name for name in classes if role_of(name)]:
        yield f"class names that look like splits: {named(odd)}"
    if odd := [name for name in classes if looks_like_size(name)]:
        yield f"class names that look like image sizes: {named(odd)}"
    total = sum(counts.values(), Counter())
    if len(total) > 1:
        (most, many), (least, few) = total.most_common()[0], total.most_common()[-1]
        if many >= _LARGER * few:
            yield (
                f"class {most!r} has {counted(many, 'image')}, class {least!r} {few:,}: look at the balanced error "
                "(the mean over the classes) beside the plain one"
            )
    for role in ROLES:
        if role in counts and (missing := [name for name in classes if not counts[role][name]]):
            if sum(counts[role].values()):
                yield f"no {role} images of {counted(len(missing), 'class', 'classes')}: {named(missing)}"
            elif role == "validation":
                yield "too few images for a validation split: a search chooses by the test images"
    for splits in dict.fromkeys(one.splits for one in same):
        those = [one for one in same if one.splits == splits]
        images = len({one.first for one in those})
        low = "" if splits is None else f": the error on {splits[1]} images comes out too low"
        yield f"{counted(images, 'image is', 'images are')} the same in {those[0].where}{low}"


def _same_images(parts: dict[Role, _Part]) -> Iterator[SameImage]:
    """The images that are in two splits, then those in two classes, each with the first one that is the same."""
    firsts: dict[Role, dict[bytes, str]] = {}
    for role, part in parts.items():
        for before, names in firsts.items():
            for name, _, head in part:
                if head is not None and head.digest in names:
                    yield SameImage(first=names[head.digest], second=name, splits=(before, role))
        own = firsts.setdefault(role, {})
        for name, _, head in part:
            if head is not None:
                own.setdefault(head.digest, name)
    labels: dict[bytes, tuple[str, str]] = {}
    for name, label, head in chain.from_iterable(parts.values()):
        if head is not None:
            first, known = labels.setdefault(head.digest, (name, label))
            if known != label:
                yield SameImage(first=first, second=name, splits=None)
