"""Splits, fingerprints, and the batches that training draws: order, coverage, augmentation, resuming."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from snsearch.training.data import Batches, Dataset, Images
from snsearch.training.found import Augmentation
from snsearch.training.splits import held_out

AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)


def pictures(count: int, *, channels: int = 1, side: int = 16, seed: int = 0) -> Images:
    """Random images without black pixels, each labelled with its own index."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(1, 256, (count, channels, side, side), dtype=torch.uint8, generator=generator)
    return Images(pixels=pixels, labels=torch.arange(count))


def batches(images: Images, augmentation: Augmentation = "none", **changes: Any) -> Batches:
    """Batches of 4 with seed 0, unless told otherwise."""
    settings: dict[str, Any] = {"batch_size": 4, "seed": 0} | changes
    return Batches(images, augmentation, **settings)


def statistics(images: Images) -> tuple[Tensor, Tensor]:
    """Mean and deviation a channel, computed another way."""
    pixels = images.pixels.numpy().astype(np.float64)
    mean = torch.from_numpy(pixels.mean(axis=(0, 2, 3)))
    deviation = torch.from_numpy(pixels.std(axis=(0, 2, 3)))
    return mean.view(1, -1, 1, 1), deviation.view(1, -1, 1, 1)


def restored(images: Images, x_NCHW: Tensor) -> Tensor:
    """The uint8 pixels of a normalised batch."""
    mean, deviation = statistics(images)
    pixels = x_NCHW.double() * deviation + mean
    assert (pixels - pixels.round()).abs().max() < 1e-3
    return pixels.round().to(torch.uint8)


def shifted(picture: Tensor, down: int, right: int) -> Tensor:
    """The window of a picture moved by so many pixels, black where it reaches beyond."""
    side = picture.shape[-1]
    framed = torch.zeros(len(picture), 3 * side, 3 * side, dtype=torch.uint8)
    framed[:, side : 2 * side, side : 2 * side] = picture
    return framed[:, side + down : 2 * side + down, side + right : 2 * side + right]


def one_pass(drawn: Batches) -> tuple[Tensor, Tensor]:
    """All images and labels of a pass."""
    parts = list(drawn)
    return torch.cat([x for x, _ in parts]), torch.cat([labels for _, labels in parts])


# Batches.


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@pytest.mark.parametrize(("count", "size", "whole"), [(10, 4, 2), (12, 4, 3), (3, 4, 1), (7, 100, 1), (5, 1, 5)])
def test_a_pass_draws_whole_batches_of_images_that_differ(
    augmentation: Augmentation, count: int, size: int, whole: int
) -> None:
    drawn = batches(pictures(count), augmentation, batch_size=size)
    assert len(drawn) == whole
    for _ in range(3):
        sizes = [(len(x), len(labels)) for x, labels in drawn]
        assert sizes == [(min(size, count),) * 2] * whole
        labels = one_pass(drawn)[1].tolist()
        assert len(set(labels)) == len(labels) == whole * min(size, count)


def test_what_one_pass_drops_others_draw() -> None:
    drawn = batches(pictures(10))
    seen = Counter(label for _ in range(20) for label in one_pass(drawn)[1].tolist())
    assert sorted(seen) == list(range(10))


def test_passes_come_in_different_orders() -> None:
    drawn = batches(pictures(12))
    assert len({tuple(one_pass(drawn)[1].tolist()) for _ in range(5)}) == 5


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_passes_depend_on_the_seed_alone(augmentation: Augmentation) -> None:
    images = pictures(40)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = one_pass(batches(images, augmentation, seed=5))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two = one_pass(batches(images, augmentation, seed=5))
    other = one_pass(batches(images, augmentation, seed=6))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[1], other[1])


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_a_restored_state_gives_the_passes_that_followed(augmentation: Augmentation) -> None:
    images = pictures(10)
    drawn = batches(images, augmentation)
    one_pass(drawn)
    state = {name: tensor.clone() for name, tensor in drawn.state.items()}
    expected = [one_pass(drawn) for _ in range(3)]
    resumed = batches(images, augmentation, seed=99)
    resumed.state = state
    for drawn_again in (drawn, resumed):
        drawn_again.state = state
        for x, labels in expected:
            again_x, again_labels = one_pass(drawn_again)
            assert torch.equal(again_x, x)
            assert torch.equal(again_labels, labels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_batches_are_float32_and_channels_last(augmentation: Augmentation, channels: int) -> None:
    for x, labels in batches(pictures(8, channels=channels), augmentation):
        assert (x.shape, x.dtype, labels.dtype) == ((4, channels, 16, 16), torch.float32, torch.int64)
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert x.is_contiguous() == (channels == 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_without_augmentation_a_batch_is_the_normalised_images(channels: int) -> None:
    images = pictures(8, channels=channels)
    mean, deviation = statistics(images)
    x, labels = one_pass(batches(images))
    expected = ((images.pixels[labels].double() - mean) / deviation).float()
    torch.testing.assert_close(x, expected)
    torch.testing.assert_close(batches(images).normalise(images.pixels[labels]), expected)


def test_normalised_training_images_have_mean_0_and_deviation_1_a_channel() -> None:
    images = pictures(16, channels=3)
    dark = images.pixels // torch.tensor([1, 2, 8], dtype=torch.uint8).view(1, 3, 1, 1)
    x, _ = one_pass(batches(replace(images, pixels=dark)))
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_a_channel_of_one_value_normalises_to_zero() -> None:
    images = replace(pictures(4), pixels=torch.full((4, 1, 16, 16), 200, dtype=torch.uint8))
    x, _ = one_pass(batches(images))
    assert x.count_nonzero() == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_a_flip_gives_the_image_or_its_mirror_image(channels: int) -> None:
    images = pictures(40, channels=channels)
    x, labels = one_pass(batches(images, "flip"))
    mirrored = 0
    for got, picture in zip(restored(images, x), images.pixels[labels], strict=True):
        assert torch.equal(got, picture) or torch.equal(got, picture.flip(-1))
        mirrored += not torch.equal(got, picture)
    assert 10 <= mirrored <= 30


@pytest.mark.parametrize(("side", "reach"), [(16, 1), (32, 2), (48, 3), (31, 1)])
@pytest.mark.parametrize("flips", [False, True])
def test_a_crop_shifts_by_a_sixteenth_of_the_side_at_most_and_fills_with_black(
    side: int, reach: int, flips: bool
) -> None:
    images = pictures(6, channels=3, side=side)
    windows = {
        (label, down, right, mirror): shifted(picture.flip(-1) if mirror else picture, down, right)
        for label, picture in enumerate(images.pixels)
        for down in range(-reach, reach + 1)
        for right in range(-reach, reach + 1)
        for mirror in ((False, True) if flips else (False,))
    }
    drawn = batches(images, "crop+flip" if flips else "crop", batch_size=6)
    seen: set[tuple[int, int, bool]] = set()
    for _ in range(30):
        x, labels = one_pass(drawn)
        for got, label in zip(restored(images, x), labels.tolist(), strict=True):
            matches = [key for key, window in windows.items() if key[0] == label and torch.equal(window, got)]
            assert len(matches) == 1
            seen.add(matches[0][1:])
    assert {down for down, _, _ in seen} == {right for _, right, _ in seen} == set(range(-reach, reach + 1))
    assert {mirror for _, _, mirror in seen} == ({False, True} if flips else {False})
    assert len({(down, right) for down, right, _ in seen}) > 2 * reach + 1  # the two are drawn apart


def test_a_crop_shifts_by_a_pixel_even_on_the_smallest_images() -> None:
    images = pictures(20, side=8)
    x, labels = one_pass(batches(images, "crop"))
    windows = [
        [shifted(images.pixels[label], down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        for label in labels
    ]
    found = [
        [torch.equal(got, window) for window in choices].index(True)
        for got, choices in zip(restored(images, x), windows, strict=True)
    ]
    assert len(set(found)) > 1


def test_drawing_leaves_the_images_as_they_were() -> None:
    images = pictures(8)
    before = images.pixels.clone()
    for x, _ in batches(images, "crop+flip"):
        x.zero_()
    for x, _ in batches(images):
        x.zero_()
    assert torch.equal(images.pixels, before)


# Splits.


@given(labels=st.lists(st.integers(0, 5), max_size=200))
def test_a_tenth_of_every_class_is_held_out_and_every_image_is_in_one_split(labels: list[int]) -> None:
    train, test = held_out(labels)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(labels)))
    assert (train.tolist(), test.tolist()) == (sorted(train.tolist()), sorted(test.tolist()))
    counts, kept = Counter(labels), Counter(labels[index] for index in test)
    for label, count in counts.items():
        assert kept[label] == (0 if count == 1 else max(1, round(count / 10)))


def test_the_same_labels_are_split_alike_whatever_the_random_state() -> None:
    labels = [index % 7 for index in range(300)]
    np.random.seed(1)
    one = held_out(labels)
    np.random.seed(2)
    two = held_out(labels)
    assert [part.tolist() for part in one] == [part.tolist() for part in two]
    assert one[1].tolist() != list(range(min(one[1]), min(one[1]) + len(one[1])))  # drawn, not the first ones


def test_take_gives_the_images_of_the_indices() -> None:
    images = pictures(6)
    some = images.take(torch.tensor([4, 0]))
    assert (len(some), some.labels.tolist()) == (2, [4, 0])
    assert torch.equal(some.pixels, images.pixels[[4, 0]])
    same = images.to(torch.device("cpu"))
    assert torch.equal(same.pixels, images.pixels)


# Data sets.


@pytest.fixture
def dataset() -> Dataset:
    """Ten training and four test images in three channels."""
    train, test = pictures(10, channels=3), pictures(4, channels=3, seed=1)
    return Dataset(
        name="noise",
        source="a generator",
        classes=tuple(map(str, range(10))),
        train=train,
        test=test,
        augmentation="none",
    )


def test_a_dataset_knows_its_channels_and_side(dataset: Dataset) -> None:
    assert (dataset.channels, dataset.side) == (3, 16)


def test_a_fingerprint_is_stable_and_ignores_names_and_layout(dataset: Dataset) -> None:
    fingerprint = dataset.fingerprint()
    assert len(fingerprint) == 16
    assert int(fingerprint, 16) >= 0
    strided = replace(dataset.train, pixels=dataset.train.pixels.contiguous(memory_format=torch.channels_last))
    copies = (
        dataset,
        replace(dataset, train=replace(dataset.train, pixels=dataset.train.pixels.clone())),
        replace(dataset, train=strided),
        replace(dataset, name="other", source="elsewhere", augmentation="crop"),
    )
    assert [copy.fingerprint() for copy in copies] == [fingerprint] * 4


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("index", [0, -1])
def test_a_fingerprint_changes_with_any_pixel_or_label(dataset: Dataset, split: str, index: int) -> None:
    images: Images = getattr(dataset, split)
    pixels, labels = images.pixels.clone(), images.labels.clone()
    pixels.view(-1)[index] ^= 1
    labels[index] = 7
    prints = {
        dataset.fingerprint(),
        replace(dataset, **{split: replace(images, pixels=pixels)}).fingerprint(),
        replace(dataset, **{split: replace(images, labels=labels)}).fingerprint(),
    }
    assert len(prints) == 3


def test_a_fingerprint_changes_with_the_split_and_the_shape(dataset: Dataset) -> None:
    swapped = replace(dataset, train=dataset.test, test=dataset.train)
    flat = replace(dataset.train, pixels=dataset.train.pixels.reshape(10, 3, 8, 32))
    prints = {dataset.fingerprint(), swapped.fingerprint(), replace(dataset, train=flat).fingerprint()}
    assert len(prints) == 3


def test_a_fingerprint_covers_more_images_than_are_hashed_at_a_time(dataset: Dataset) -> None:
    many = pictures(5000, side=2)
    pixels = many.pixels.clone()
    pixels[4999, 0, 1, 1] ^= 1
    prints = {replace(dataset, train=replace(many, pixels=each)).fingerprint() for each in (many.pixels, pixels)}
    assert len(prints) == 2


def test_a_data_set_is_shown_in_a_line_without_its_pixels() -> None:
    images = pictures(1200, channels=3)
    dataset = Dataset(
        name="own", source="", classes=("a", "b"), train=images, test=pictures(40, channels=3), augmentation="none"
    )
    assert repr(dataset) == "<own: 1,200 training and 40 test images, 2 classes, 3x16x16>"
    assert repr(images) == "<1,200 images of 3x16x16>"
