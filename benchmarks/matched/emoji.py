"""Renders a data set of emoji in colour: three vendors train, a fourth tests; 144 emoji are the classes.

The pictures come from the npm packages emoji-datasource-{twitter,facebook,apple,google}, 64 pixels a side. Each is
turned, scaled, stretched, shifted and laid on a background of two colours. A network has to recognise what was drawn
in a style that it was not trained on. Vendors often draw one emoji as different things (a whole cow, the head of a
cow), so the classes are those of each group on which the training vendors agree most; the test vendor has no say.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.matched.folders import Pixels, write_split

VERSION = "16.0.0"
TRAIN_VENDORS = ("twitter", "facebook", "apple")
TEST_VENDOR = "google"
SIDE = 32
CLASSES = 16  # of each of nine groups
TRAIN_VIEWS = 46  # of each picture
TEST_VIEWS = 28


@dataclass(frozen=True, kw_only=True, slots=True)
class Emoji:
    """One emoji: the name of its picture file, and its group."""

    image: str
    group: str

    @property
    def label(self) -> str:
        """The class: its code points."""
        return Path(self.image).stem


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


def common(records: Sequence[dict[str, object]]) -> list[Emoji]:
    """The emoji that every vendor drew, in the order of their file names."""
    vendors = (*TRAIN_VENDORS, TEST_VENDOR)
    found = [
        Emoji(image=str(record["image"]), group=str(record["category"]))
        for record in records
        if record["category"] != "Component" and all(record[f"has_img_{vendor}"] for vendor in vendors)
    ]
    return sorted(found, key=lambda emoji: emoji.image)


def small(picture: Image.Image) -> npt.NDArray[np.float64]:
    """A picture on gray, 12 pixels a side, as one vector."""
    gray = Image.new("RGBA", picture.size, (128, 128, 128, 255))
    scaled = Image.alpha_composite(gray, picture).convert("RGB").resize((12, 12), Image.Resampling.BOX)
    return np.asarray(scaled, dtype=np.float64).ravel()


def disagreement(pictures: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """(emoji,) how badly vendors agree; each vendor's pictures are (emoji, values), of the same emoji.

    For two vendors: the distance between their pictures of an emoji, over that to the nearest other emoji. Below 1
    the one vendor's picture is recognised among the other's. Of all ordered pairs of vendors the worst.
    """
    worst = np.zeros(len(pictures[0]))
    for first, second in permutations(pictures, 2):
        squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
        own = squares.diagonal().copy()
        np.fill_diagonal(squares, np.inf)
        worst = np.maximum(worst, own / squares.min(axis=1).clip(1.0))
    return worst


def choose(emoji: Sequence[Emoji], badness: npt.NDArray[np.float64], count: int) -> list[Emoji]:
    """The `count` emoji of each group on which vendors agree most, in their own order."""
    rank: dict[str, int] = {}
    kept: set[int] = set()
    for index in np.argsort(badness, kind="stable"):
        group = emoji[index].group
        rank[group] = rank.get(group, 0) + 1
        if rank[group] <= count:
            kept.add(int(index))
    return [emoji[index] for index in sorted(kept)]


def view(picture: Image.Image, random: np.random.Generator) -> Pixels:
    """A turned, scaled and shifted view of a 64-pixel picture on a background of two colours."""
    angle, scale = np.deg2rad(random.uniform(-20, 20)), picture.width / SIDE * random.uniform(0.9, 1.4)
    stretch = random.uniform(0.87, 1.15)
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
    emoji = common(records)
    alike = [np.stack([small(pictures[vendor][one.image]) for one in emoji]) for vendor in TRAIN_VENDORS]
    chosen = choose(emoji, disagreement(alike), CLASSES)
    random = np.random.default_rng(seed)

    def views(vendors: Sequence[str], count: int) -> Iterator[tuple[str, Pixels]]:
        for vendor in vendors:
            for one in chosen:
                for _ in range(count):
                    yield one.label, view(pictures[vendor][one.image], random)

    write_split(folder, "train", views(TRAIN_VENDORS, TRAIN_VIEWS))
    write_split(folder, "test", views((TEST_VENDOR,), TEST_VIEWS))
