"""How long trainings are: found by a pilot, for this data.

A training that ends near chance says nothing, however many are compared. Two networks are trained to half of the full
length; while their mean error there is above 60 % of chance, the full length is doubled. The short length is the
first point of their curves that has come a quarter of the way from chance to their error at half. The pilot's
trainings are no extra work: they go on from there like those of other candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from snsearch.codec import Share
from snsearch.training import MOST_PASSES, Images, ProxyResult, Recipe

PILOT_SHARE = 0.5  # of the full length, to which the pilot's networks are trained
_MOST = 4  # times the first full length
_FAR = 0.6  # of chance: the error at half of a training that is long enough
_NEAR = 1e-3  # how far a share may miss what was asked for: batches are whole
_LEFT = 0.25  # of the way from chance to the error at half: a training that is not too short
_SHORTEST, _LONGEST = 0.15, 0.5  # shares of the full length that a short training may have


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A length to which the pilot trained its networks, and their mean error there."""

    images: int
    error: Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """The full and the short length of a study's trainings."""

    recipe: Recipe  # of a full training
    short: Share  # of a full training
    chance: Share  # the error of always answering the most frequent class, on the images to choose by
    tried: tuple[Attempt, ...]
    test_chance: Share | None = None  # the same on the test images; None in studies that do not keep it

    @property
    def guessing(self) -> float:
        """The error of guessing on the test images; of studies that do not keep it, on those to choose by."""
        return self.chance if self.test_chance is None else self.test_chance

    @property
    def images(self) -> int:
        """Of a full training, repetitions counted."""
        return self.recipe.images * self.recipe.epochs

    @property
    def longer(self) -> int | None:
        """Images of a full training of four times the length, or what passes allow; None if that is not longer."""
        most = min(4 * self.images, MOST_PASSES * self.recipe.images)
        return most if most > self.images else None

    def describe(self) -> str:
        """The lengths and why, in a sentence."""
        ends = ", ".join(f"{attempt.error:.1%} after {attempt.images:,} images" for attempt in self.tried)
        return (
            f"a full training takes {self.images:,} images, a short one {self.short:.0%} of it; the pilot's mean "
            f"error: {ends} (chance: {self.chance:.1%})"
        )


def chance_of(images: Images) -> float:
    """The error of always answering the most frequent class."""
    counts = images.labels.bincount()
    return 1.0 - float(counts.max()) / max(1, int(counts.sum()))


def longer(recipe: Recipe, train_images: int) -> Recipe:
    """The recipe of twice the length: more images where there are more, else more epochs."""
    images = min(train_images, 2 * recipe.images)
    if images == 2 * recipe.images:
        return replace(recipe, images=images)
    epochs = max(recipe.epochs + 1, round(2 * recipe.images * recipe.epochs / images))
    points = max(1, round(recipe.curve_points * recipe.epochs / epochs))
    return replace(recipe, images=images, epochs=epochs, curve_points=points, augmentation=None)


def is_long_enough(results: Sequence[ProxyResult], chance: float, attempts: int) -> bool:
    """Whether the full length is long enough, or as long as it gets."""
    return fmean(result.error for result in results) <= _FAR * chance or 2**attempts > _MOST


def pilots_of(published: Sequence[int]) -> list[int]:
    """Two networks that differ: the first and the last of the published line-up, or of any other."""
    return list(dict.fromkeys([published[0], published[-1]]))


def short_share(results: Sequence[ProxyResult], chance: float) -> float:
    """The share of the full length that a short training takes, by the pilot's trainings."""
    whole = results[0].images_seen / results[0].share
    points = zip(*(result.curve for result in results), strict=False)
    return short_of({at[0].images_seen / whole: fmean(one.test_error for one in at) for at in points}, chance)


def short_of(errors: Mapping[float, float], chance: float) -> float:
    """The same, by the pilot's mean error at each share of the full length up to half."""
    way = chance - errors[max(errors)]
    for share, error in errors.items():
        if _SHORTEST <= share <= _LONGEST and chance - error >= _LEFT * way:
            return share
    return max((share for share in errors if share <= _LONGEST), default=1.0)


def errors_by_share(result: ProxyResult) -> dict[float, float]:
    """The errors on the way of a training, by the share of a full one."""
    whole = result.images_seen / result.share
    return {round(point.images_seen / whole, 3): point.test_error for point in result.curve}


def errors_that_tell(result: ProxyResult, short: float) -> list[tuple[float, float]]:
    """The shares and errors at which a training first was long enough, and at which it is."""
    errors = errors_by_share(result)
    first, last = first_long_enough(errors, short), max(errors)
    return [(share, errors[share]) for share in sorted({last if first is None else first, last})]


def first_long_enough(shares: Iterable[float], short: float) -> float | None:
    """The first share that a short training has, or more; None where there is none."""
    return min((share for share in shares if share >= short - _NEAR), default=None)
