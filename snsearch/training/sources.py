"""Where data sets come from: every source that `--data` understands.

A source is a function from its argument and the wanted side to a Dataset; SOURCES lists them. The source's own
test split is used where there is one, else a tenth is held out.
"""

from __future__ import annotations

import gzip
import os
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snsearch.errors import DataError
from snsearch.training.data import Dataset, Images, held_out
from snsearch.training.images import SUFFIXES, Color, Skipped, decode, file_reader, is_gray

Progress = Callable[[int, int], None]

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
HUB_FASHION = "zalando-datasets/fashion_mnist"
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


class Source(Protocol):
    """Loads a data set from what follows the source's name, at `side` pixels (None: the source's own choice)."""

    def __call__(self, argument: str, side: int | None, progress: Progress | None) -> Dataset: ...


def _padded(pixels: npt.NDArray[np.uint8], side: int | None) -> Tensor:
    """(N, 1, side, side) of (N, H, W): padded with black to a square, and to the side where a little smaller."""
    size = max(pixels.shape[1:])
    above, left = ((size - extent) // 2 for extent in pixels.shape[1:])
    square = np.zeros((len(pixels), size, size), dtype=np.uint8)
    square[:, above : above + pixels.shape[1], left : left + pixels.shape[2]] = pixels
    tensor = torch.from_numpy(square).unsqueeze(1)
    if side is None or side == size:
        return tensor
    if size < side <= size * 4 // 3:
        before = (side - size) // 2
        return torch.nn.functional.pad(tensor, (before, side - size - before) * 2)
    scaled = torch.nn.functional.interpolate(tensor.float(), (side, side), mode="bilinear", antialias=True)
    return scaled.round_().to(torch.uint8)


def _idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """An array of an IDX file (the MNIST format): magic 0x000008dd, then dd big-endian sizes, then bytes."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from None
    head = 4 + 4 * dimensions
    if len(data) < head or data[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(f"{path.name}: not an IDX file of bytes with {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    values = np.frombuffer(data, dtype=np.uint8, offset=head)
    if values.size != np.prod(shape):
        raise DataError(f"{path.name}: holds {values.size} values where its header says {shape}")
    return values.reshape(shape)


_IDX_SPLITS = {"train": "train", "test": "t10k"}


def is_idx_folder(folder: Path) -> bool:
    """Whether the folder holds the four files of an MNIST-like data set."""
    return all(
        (folder / f"{split}-{part}-ubyte.gz").is_file()
        for split in _IDX_SPLITS.values()
        for part in ("images-idx3", "labels-idx1")
    )


def _idx_dataset(folder: Path, name: str, classes: tuple[str, ...] | None, side: int | None) -> Dataset:
    splits = {}
    for split, prefix in _IDX_SPLITS.items():
        pixels = _idx(folder / f"{prefix}-images-idx3-ubyte.gz", 3)
        labels = _idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 1)
        if len(pixels) != len(labels):
            raise DataError(f"{name}, {split}: {len(pixels)} images but {len(labels)} labels")
        if not pixels.size:
            raise DataError(f"{name}, {split}: the files hold no pixels")
        splits[split] = Images(pixels=_padded(pixels, side), labels=torch.from_numpy(labels.astype(np.int64)))
    count = int(max(split.labels.max() for split in splits.values())) + 1
    return Dataset(
        name=name,
        source=f"IDX files of {folder.name}",
        classes=classes or tuple(map(str, range(count))),
        train=splits["train"],
        test=splits["test"],
        augmentation="crop+flip" if classes == FASHION_CLASSES else "crop",
    )


def fashion_mnist(argument: str, side: int | None, progress: Progress | None) -> Dataset:
    """Fashion-MNIST, at 32 pixels by default: a named folder, Debian's package, $SNSEARCH_DATA, or the Hub."""
    side = side or 32
    if argument:
        folder = Path(argument)
        if not is_idx_folder(folder):
            raise DataError(f"{argument!r} does not hold the four IDX files of Fashion-MNIST")
        return _idx_dataset(folder, "fashion-mnist", FASHION_CLASSES, side)
    folders = [DEBIAN_FASHION]
    if local := os.environ.get("SNSEARCH_DATA"):
        folders.append(Path(local) / "fashion-mnist")
    for folder in folders:
        if is_idx_folder(folder):
            return _idx_dataset(folder, "fashion-mnist", FASHION_CLASSES, side)
    try:
        return replace(hub(HUB_FASHION, side, progress), name="fashion-mnist")
    except DataError as error:
        raise DataError(
            "Fashion-MNIST was not found: install Debian's package dataset-fashion-mnist, put its four files into "
            f"$SNSEARCH_DATA/fashion-mnist, or let snsearch reach the Hugging Face hub ({error})"
        ) from None


def digits(argument: str, side: int | None, progress: Progress | None) -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8 pixels a side by default; needs no download."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = _padded((bunch.images * (255 / 16)).round().astype(np.uint8), side)
    train, test = held_out(bunch.target.tolist())
    images = Images(pixels=pixels, labels=torch.from_numpy(bunch.target.astype(np.int64)))
    return Dataset(
        name="digits",
        source="scikit-learn load_digits (UCI optical recognition of handwritten digits, test part)",
        classes=tuple(map(str, bunch.target_names)),
        train=images.take(torch.from_numpy(train)),
        test=images.take(torch.from_numpy(test)),
        augmentation="crop",
    )


@dataclass(frozen=True, slots=True)
class _Listing:
    """Undecoded images of one split: names, a reader by index, and each one's class name."""

    names: Sequence[str]
    read: Callable[[int], bytes]
    labels: Sequence[str]


def _decoded(
    name: str, source: str, train: _Listing, test: _Listing | None, side: int | None, progress: Progress | None
) -> Dataset:
    """A Dataset of listed images, with the classes of the training split in sorted order."""
    side = side or 32
    classes = tuple(sorted(set(train.labels), key=_natural))
    if len(classes) < 2:
        raise DataError(f"{name}: {len(classes)} class in the training images; at least two are needed")
    index_of = {label: index for index, label in enumerate(classes)}
    if test is not None and (strange := sorted(set(test.labels) - set(classes))):
        raise DataError(f"{name}: the test images have classes that no training image has: {', '.join(strange[:5])}")
    listings = [train] if test is None else [train, test]
    total = sum(len(listing.names) for listing in listings)
    gray = (is_gray(listing.read, index) for listing in listings for index in range(len(listing.names)))
    color: Color = "RGB" if any(one is False for one in gray) else "L"
    splits: list[Images] = []
    skipped: list[Skipped] = []
    done = 0
    for listing in listings:
        step = None if progress is None else _further(progress, done, total)
        pixels, kept, bad = decode(listing.names, listing.read, color, side, step)
        skipped += bad
        done += len(listing.names)
        labels = torch.tensor([index_of[listing.labels[index]] for index in kept], dtype=torch.int64)
        splits.append(Images(pixels=pixels, labels=labels))
    if test is None:
        chosen = held_out(splits[0].labels.tolist())
        splits = [splits[0].take(torch.from_numpy(indices)) for indices in chosen]
    for split, images in zip(("training", "test"), splits, strict=True):
        if not len(images):
            bad_names = f"; the first: {skipped[0].name}: {skipped[0].reason}" if skipped else ""
            raise DataError(f"{name}: no {split} image could be read ({len(skipped)} skipped){bad_names}")
    return Dataset(
        name=name,
        source=source,
        classes=classes,
        train=splits[0],
        test=splits[1],
        augmentation="crop+flip",
        skipped=tuple(skipped),
    )


def _further(progress: Progress, before: int, total: int) -> Progress:
    """Reports a part's progress as that of the whole."""
    return lambda value, _: progress(before + value, total)


def _natural(text: str) -> tuple[int, int, str]:
    """Sort key that puts 2 before 10."""
    return (0, int(text), text) if text.isdecimal() else (1, 0, text)


def _list_folder(folder: Path) -> _Listing | None:
    """The images of folder/class/**; None where there are none."""
    paths: list[Path] = []
    labels: list[str] = []
    for sub in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        found = sorted(p for p in sub.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        paths += found
        labels += [sub.name] * len(found)
    if not paths:
        return None
    return _Listing([str(path.relative_to(folder.parent)) for path in paths], file_reader(paths), labels)


def image_folder(argument: str, side: int | None, progress: Progress | None) -> Dataset:
    """A folder train/class/image with val/ (or valid/, validation/, test/) beside it, or class/image alone."""
    root = Path(argument)
    if not root.is_dir():
        raise DataError(f"folder {argument!r} does not exist")
    if is_idx_folder(root):
        return _idx_dataset(root, root.name, None, side or 32)
    if parquet := sorted(root.rglob("*.parquet")):
        return _local_parquet(parquet, root.name, side, progress)
    # A folder "train" without class folders is itself a class.
    train = _list_folder(root / "train") if (root / "train").is_dir() else None
    has_splits = train is not None
    train = train or _list_folder(root)
    if train is None:
        raise DataError(
            f"folder {root.name!r} holds no images; expected train/CLASS/IMAGE, CLASS/IMAGE, or .parquet files"
        )
    test = None
    if has_splits:
        for name in ("val", "valid", "validation", "test"):
            if (root / name).is_dir() and (test := _list_folder(root / name)) is not None:
                break
    return _decoded(root.name, f"image folder {root.name}", train, test, side, progress)


def _hub_library() -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError(
            'reading this needs the "datasets" package; install it with: pip install "snsearch[hub]"'
        ) from None
    datasets.disable_progress_bars()
    return datasets


def _column(features: Mapping[str, Any], kinds: tuple[str, ...], names: tuple[str, ...]) -> str | None:
    """The first column of such a feature type, else the first of such a name."""
    for column, feature in features.items():
        if type(feature).__name__ in kinds:
            return column
    return next((name for name in names if name in features), None)


def _hub_listing(split: Any, name: str) -> _Listing:
    datasets = _hub_library()
    image = _column(split.features, ("Image",), ("image", "img"))
    label = _column(split.features, ("ClassLabel",), ("label", "labels", "class", "fine_label"))
    if image is None or label is None:
        raise DataError(f"{name}: no image and label column among {', '.join(split.features)}")
    # Undecoded, so that one corrupt image does not end the reading; bytes stay on disk until asked for.
    rows = split.cast_column(image, datasets.Image(decode=False))
    feature = split.features[label]
    values = rows[label]
    if missing := sum(value is None or value == -1 for value in values):
        raise DataError(f"{name}: {missing} of {len(rows)} rows have no label (column {label!r})")
    texts = [feature.int2str(int(value)) if hasattr(feature, "int2str") else str(value) for value in values]

    def read(index: int) -> bytes:
        cell = rows[index][image]
        if cell is None:
            raise ValueError("no image in this row")
        data: bytes = cell["bytes"] if cell.get("bytes") else Path(cell["path"]).read_bytes()
        return data

    return _Listing([f"row {index}" for index in range(len(rows))], read, texts)


def _hub_dataset(splits: Mapping[str, Any], name: str, source: str, side: int | None, progress: Any) -> Dataset:
    train = splits.get("train") or next(iter(splits.values()))
    test = next((splits[key] for key in ("test", "validation", "valid", "val") if key in splits), None)
    return _decoded(
        name,
        source,
        _hub_listing(train, name),
        None if test is None or test is train else _hub_listing(test, name),
        side,
        progress,
    )


def hub(argument: str, side: int | None, progress: Progress | None) -> Dataset:
    """A Hugging Face data set: "owner/name" or "owner/name:configuration"."""
    datasets = _hub_library()
    name, _, configuration = argument.partition(":")
    if not name:
        raise DataError("hf: expected a data set's name, such as hf:zalando-datasets/fashion_mnist")
    try:
        splits = datasets.load_dataset(name, configuration or None)
    except Exception as error:  # the library raises what its back ends raise
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"the Hugging Face data set {argument!r} could not be loaded: {first_line}") from None
    return _hub_dataset(splits, name, f"Hugging Face hub, {argument}", side, progress)


_SPLITS = ("train", "test", "validation", "valid", "val")


def _local_parquet(files: list[Path], name: str, side: int | None, progress: Progress | None) -> Dataset:
    datasets = _hub_library()
    by_split: dict[str, list[str]] = {}
    for path in files:
        named = (re.split(r"[-_.]", path.stem)[0], path.parent.name)
        split = next((word for word in named if word in _SPLITS), "train")
        by_split.setdefault(split, []).append(str(path))
    try:
        splits = datasets.load_dataset("parquet", data_files=by_split)
    except Exception as error:  # the library raises what its back ends raise
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{name}: the parquet files could not be read: {first_line}") from None
    return _hub_dataset(splits, name, f"parquet files of {name}", side, progress)


def parquet(argument: str, side: int | None, progress: Progress | None) -> Dataset:
    """A local parquet file with an image and a label column."""
    path = Path(argument)
    if not path.is_file():
        raise DataError(f"parquet file {argument!r} does not exist")
    return _local_parquet([path], path.stem, side, progress)


SOURCES: dict[str, Source] = {
    "fashion-mnist": fashion_mnist,
    "digits": digits,
    "hf": hub,
    "folder": image_folder,
    "parquet": parquet,
}


def _resolve(spec: str) -> tuple[str, str]:
    """Source and argument that a `--data` text names."""
    name, colon, argument = spec.partition(":")
    if name in SOURCES and (colon or name in ("fashion-mnist", "digits")):
        return name, argument
    path = Path(spec).expanduser()
    if path.is_dir():
        return "folder", str(path)
    if path.suffix == ".parquet":
        return "parquet", str(path)
    if path.suffix or spec.startswith((".", "/", "~")) or "/" not in spec:
        raise DataError(
            f"data {spec!r}: no such folder or file; expected fashion-mnist, digits, an image folder, a .parquet "
            "file, or a Hugging Face name such as owner/name"
        )
    return "hf", spec


def load_data(spec: str, *, side: int | None = None, progress: Progress | None = None) -> Dataset:
    """The data set that a `--data` text names: "fashion-mnist", "digits", a folder, a parquet file, "owner/name".

    `side` is the pixels a side that images are brought to. Images that cannot be read are skipped and listed.

    Raises DataError where nothing can be read.
    """
    source, argument = _resolve(spec)
    dataset = SOURCES[source](argument, side, progress)
    count = len(dataset.classes)
    for split in (dataset.train, dataset.test):
        if len(split) and not 0 <= int(split.labels.min()) <= int(split.labels.max()) < count:
            raise DataError(f"{dataset.name}: labels outside 0 to {count - 1}")
    return dataset
