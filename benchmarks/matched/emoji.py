"""Renders a data set of emoji in colour: three vendors train, a fourth tests; each animal or plant is a class.

The pictures come from the npm packages emoji-datasource-{twitter,facebook,apple,google}, 64 pixels a side. Each is
turned, scaled, stretched, shifted and laid on a background of two colours. A network has to recognise what was drawn
in a style that it was not trained on.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.matched.folders import Pixels, write_split

VERSION = "16.0.0"
TRAIN_VENDORS = ("twitter", "facebook", "apple")
TEST_VENDOR = "google"
SIDE = 32
GROUP = "Animals & Nature"
TRAIN_VIEWS = 43  # of each picture
TEST_VIEWS = 26


@dataclass(frozen=True, kw_only=True, slots=True)
class Emoji:
    """One emoji by the name of its picture file, and its class."""

    image: str
    label: str


def fetch(folder: Path, vendor: str) -> Path:
    """The npm package of a vendor as a .tgz file in the folder, downloaded if it is missing."""
    path = folder / f"emoji-datasource-{vendor}-{VERSION}.tgz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        package = f"emoji-datasource-{vendor}@{VERSION}"
        command = ["npm", "pack", package, "--silent", "--pack-destination", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1800)
    return path


def read_package(path: Path, vendor: str) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    """The records of a package's emoji.json, and its 64-pixel PNG files by name."""
    records: list[dict[str, object]] = []
    files: dict[str, bytes] = {}
    prefix = f"package/img/{vendor}/64/"
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name == "package/emoji.json" or member.name.startswith(prefix):
                stream = archive.extractfile(member)
                if stream is None:
                    continue
                if member.name.startswith(prefix):
                    files[member.name.removeprefix(prefix)] = stream.read()
                else:
                    records = json.load(stream)
    return records, files


def choose(records: Sequence[dict[str, object]]) -> list[Emoji]:
    """The emoji of GROUP that every vendor drew; each is a class, called by its code points."""
    vendors = (*TRAIN_VENDORS, TEST_VENDOR)
    images = sorted(
        str(record["image"])
        for record in records
        if record["category"] == GROUP and all(record[f"has_img_{vendor}"] for vendor in vendors)
    )
    return [Emoji(image=image, label=Path(image).stem) for image in images]


def view(picture: Image.Image, random: np.random.Generator) -> Pixels:
    """A turned, scaled and shifted view of a 64-pixel picture on a background of two colours."""
    angle, scale = np.deg2rad(random.uniform(-30, 30)), picture.width / SIDE * random.uniform(0.9, 1.6)
    stretch = random.uniform(0.85, 1.18)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.diag([stretch, 1 / stretch])
    middle = np.array([SIDE, SIDE]) / 2 + random.uniform(-4, 4, 2)
    offset = np.array(picture.size) / 2 - matrix @ middle
    # Pillow samples single pixels: what is scaled down is sampled twice as fine and then averaged.
    fine = 2
    data = (*(matrix[0] / fine), offset[0], *(matrix[1] / fine), offset[1])
    side = SIDE * fine
    large = picture.convert("RGBa").transform((side, side), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    rgba = np.asarray(large, dtype=np.float64).reshape(SIDE, fine, SIDE, fine, 4).mean(axis=(1, 3))
    first, second = random.uniform(0, 255, (2, 3))
    slope = random.uniform(-1, 1, 2)
    ramp = np.add.outer(slope[0] * np.linspace(-0.5, 0.5, SIDE), slope[1] * np.linspace(-0.5, 0.5, SIDE)) + 0.5
    background = first + ramp[..., None] * (second - first)
    pixels = rgba[..., :3] + background * (1 - rgba[..., 3:] / 255)
    pixels = pixels * random.uniform(0.75, 1.1) + random.normal(0, 6, pixels.shape)
    drawn: Pixels = pixels.round().clip(0, 255).astype(np.uint8)
    return drawn


def render(folder: Path, packages: Path, *, seed: int = 0) -> None:
    """Writes the training and the test images."""
    records: list[dict[str, object]] = []
    pictures: dict[str, dict[str, Image.Image]] = {}
    for vendor in (*TRAIN_VENDORS, TEST_VENDOR):
        records, files = read_package(fetch(packages, vendor), vendor)
        pictures[vendor] = {name: Image.open(io.BytesIO(data)).convert("RGBA") for name, data in files.items()}
    chosen = choose(records)
    random = np.random.default_rng(seed)

    def views(vendors: Sequence[str], count: int) -> Iterator[tuple[str, Pixels]]:
        for vendor in vendors:
            for emoji in chosen:
                for _ in range(count):
                    yield emoji.label, view(pictures[vendor][emoji.image], random)

    write_split(folder, "train", views(TRAIN_VENDORS, TRAIN_VIEWS))
    write_split(folder, "test", views((TEST_VENDOR,), TEST_VIEWS))
