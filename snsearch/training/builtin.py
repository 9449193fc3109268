"""Data sets that are arrays already: IDX files (as MNIST's), Fashion-MNIST, scikit-learn's digits.

Figures published of them, and the reference sets, are errors on their test images.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from snsearch.errors import DataError
from snsearch.files import read_limited
from snsearch.training.found import Found, Listing, Role, Unusable, shown

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
HUB_FASHION = "zalando-datasets/fashion_mnist"
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_IDX_SPLITS: dict[Role, str] = {"train": "train", "test": "t10k"}
_MAX_IDX_BYTES = 8 * 2**30


def _idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """An array of an IDX file: magic 0x000008dd, then dd big-endian sizes, then bytes.

    No more is decompressed than the header says. Raises Unusable.
    """
    try:
        with gzip.open(_regular(path)) as file:
            return _idx_values(file, path.name, dimensions)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise Unusable(f"{path.name}: cannot be read: {error}") from None


def _regular(path: Path) -> IO[bytes]:
    import io

    return io.BytesIO(read_limited(path, _MAX_IDX_BYTES))


def _idx_values(file: gzip.GzipFile, name: str, dimensions: int) -> npt.NDArray[np.uint8]:
    head = file.read(4 + 4 * dimensions)
    if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
        raise Unusable(f"{name}: not an IDX file of bytes with {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", head[4:])
    size = int(np.prod(shape, dtype=object))
    if size > _MAX_IDX_BYTES:
        raise Unusable(f"{name}: its header says {shape}, which is more than {_MAX_IDX_BYTES // 2**30} GiB")
    data = file.read(size + 1)
    if len(data) != size:
        there = f"more than {size}" if len(data) > size else str(len(data))
        raise Unusable(f"{name}: holds {there} values where its header says {shape}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def is_idx_folder(folder: Path) -> bool:
    """Whether the folder holds the four files of an MNIST-like data set."""
    return all(
        (folder / f"{split}-{part}-ubyte.gz").is_file()
        for split in _IDX_SPLITS.values()
        for part in ("images-idx3", "labels-idx1")
    )


def idx_folder(folder: Path, name: str, classes: tuple[str, ...] | None = None) -> Found:
    """The data set of four IDX files; without names of classes they are numbered. Raises Unusable."""
    arrays = {}
    for role, prefix in _IDX_SPLITS.items():
        pixels = _idx(folder / f"{prefix}-images-idx3-ubyte.gz", 3)
        labels = _idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 1)
        if len(pixels) != len(labels):
            raise Unusable(f"{name}, {role}: {len(pixels)} images but {len(labels)} labels")
        if not pixels.size:
            raise Unusable(f"{name}, {role}: the files hold no pixels")
        arrays[role] = pixels, labels
    count = int(max(labels.max() for _, labels in arrays.values())) + 1
    if classes is not None and count > len(classes):
        raise Unusable(f"{name}: labels outside 0 to {len(classes) - 1}")
    known = classes or tuple(map(str, range(count)))
    return Found(
        name=name,
        source=f"IDX files of {shown(folder.name)}",
        listings=tuple(
            Listing(
                role=role,
                origin=f"{_IDX_SPLITS[role]}-images-idx3-ubyte.gz",
                names=[f"{_IDX_SPLITS[role]} {index}" for index in range(len(pixels))],
                labels=[known[label] for label in labels],
                pixels=pixels,
            )
            for role, (pixels, labels) in arrays.items()
        ),
        classes=known,
        side=32,
        augmentation="crop+flip" if classes == FASHION_CLASSES else "crop",
        scored_on_test=True,
    )


def fashion_folder() -> Path | None:
    """The folder of Fashion-MNIST's four files: of Debian's package, else $SNSEARCH_DATA; None where neither is."""
    folders = [DEBIAN_FASHION]
    if local := os.environ.get("SNSEARCH_DATA"):
        folders.append(Path(local) / "fashion-mnist")
    return next((folder for folder in folders if is_idx_folder(folder)), None)


def fashion_mnist(argument: str) -> Found | None:
    """Fashion-MNIST from a named folder, or where it usually is; None where it is in no folder. Raises DataError."""
    folder = Path(argument) if argument else fashion_folder()
    if argument and folder is not None and not is_idx_folder(folder):
        raise DataError(f"{argument!r} does not hold the four IDX files of Fashion-MNIST")
    return None if folder is None else idx_folder(folder, "fashion-mnist", FASHION_CLASSES)


def digits() -> Found:
    """scikit-learn's 1,797 handwritten digits of 8x8 pixels; needs no download."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    classes = tuple(map(str, bunch.target_names))
    return Found(
        name="digits",
        source="scikit-learn load_digits (UCI optical recognition of handwritten digits, test part)",
        listings=(
            Listing(
                role="train",
                origin="scikit-learn load_digits",
                names=[f"digit {index}" for index in range(len(bunch.target))],
                labels=[classes[label] for label in bunch.target],
                pixels=(bunch.images * (255 / 16)).round().astype(np.uint8),
            ),
        ),
        classes=classes,
        side=8,
        augmentation="crop",
        scored_on_test=True,
    )
