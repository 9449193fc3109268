"""Which images a study was made on: twelve bytes each, to count those added, removed or altered."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from snsearch.files import write_whole

MANIFEST = "images.manifest"  # beside the study
_HALF = 6  # bytes of the name's digest, and of the image's and label's
_MOST = 1_000_000  # images; a larger data set has no manifest


def manifest_of(images: Iterable[tuple[str, str, bytes]]) -> bytes:
    """The manifest of images: name, label and a digest of the file each; empty where there are too many."""
    entries: list[bytes] = []
    for name, label, digest in images:
        if len(entries) == _MOST:
            return b""
        content = blake2b(f"{label}\0".encode() + digest, digest_size=_HALF).digest()
        entries.append(blake2b(name.encode(), digest_size=_HALF).digest() + content)
    return b"".join(sorted(entries))


def difference_of(before: bytes, now: bytes) -> str:
    """What changed between two manifests, in words: "the images changed: 2 added, 0 removed, 1 altered"."""
    old, new = _entries(before), _entries(now)
    if not old or not new:
        return "the images or their labels changed"
    added, removed = len(new.keys() - old.keys()), len(old.keys() - new.keys())
    altered = sum(old[name] != new[name] for name in old.keys() & new.keys())
    if added or removed or altered:
        return f"the images changed: {added:,} added, {removed:,} removed, {altered:,} altered"
    return "the images are the same files, but brought to another size, number of channels or division into splits"


def _entries(manifest: bytes) -> dict[bytes, bytes]:
    size = 2 * _HALF
    return {
        manifest[at : at + _HALF]: manifest[at + _HALF : at + size] for at in range(0, len(manifest) - size + 1, size)
    }


def keep_manifest(folder: Path, manifest: bytes) -> None:
    """Writes the manifest into a study's folder, where there is none yet.

    It only serves a message: a folder that cannot be written to is no reason to end.
    """
    path = folder / MANIFEST
    if manifest and not path.exists():
        with suppress(OSError):
            write_whole(path, manifest)


def kept_difference(folder: Path, now: bytes) -> str:
    """What changed since the manifest in a study's folder was written, in words."""
    try:
        before = (folder / MANIFEST).read_bytes()
    except OSError:
        before = b""
    return difference_of(before, now)
