"""The known networks by name, and NamedNetwork: one of them at an input size, as it is counted, priced and built."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache

from snsearch.codec import suggestion
from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.known.builder import Block, ChainBuilder
from snsearch.network.known.classic import CLASSIC
from snsearch.network.known.entry import Describe, KnownNetwork
from snsearch.network.known.mobile import MOBILE
from snsearch.network.known.nasnet import NASNET
from snsearch.network.known.residual import RESIDUAL
from snsearch.network.known.shuffle import SHUFFLE

KNOWN: dict[str, KnownNetwork] = {
    one.name: one for one in (*CLASSIC, *RESIDUAL, *MOBILE, *SHUFFLE, *NASNET)
}  # by name, in the order of a list


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedNetwork:
    """A known network that is no Architecture, for images of a size and some classes."""

    name: str
    input_channels: int
    resolution: tuple[int, int]  # height, width
    classes: int

    def __post_init__(self) -> None:
        _describe(self.name)
        if not all(type(n) is int and 0 < n < 10**9 for n in (self.input_channels, *self.resolution, self.classes)):
            raise SpecError(f"{self.key}: expected positive numbers of channels, pixels and classes")

    @property
    def key(self) -> str:
        """The network as one readable token; `network_of` reads it."""
        height, width = self.resolution
        return f"{self.name}_{self.input_channels}x{height}x{width}_c{self.classes}"

    def at_input(self, *, channels: int, resolution: tuple[int, int], classes: int) -> NamedNetwork:
        """The same on another input. Unlike an architecture's, the strides stay as they are."""
        return replace(self, input_channels=channels, resolution=resolution, classes=classes)

    def blocks(self) -> tuple[Block, ...]:
        """The blocks of operators. Raises SpecError where an image is too small for the strides."""
        return _blocks(self)


AnyNetwork = Architecture | NamedNetwork


@lru_cache(maxsize=64)
def _blocks(network: NamedNetwork) -> tuple[Block, ...]:
    build = ChainBuilder(network.input_channels, *network.resolution)
    _describe(network.name)(build, network.classes)
    return build.finished()


def _describe(name: str) -> Describe:
    known = known_network(name)
    if isinstance(known.network, Architecture):
        raise SpecError(f"{name!r} is an architecture; its key is {known.network.key}")
    return known.network


def known_network(name: str) -> KnownNetwork:
    """The known network of that name. Raises SpecError for an unknown one."""
    if name not in KNOWN:
        raise SpecError(f"no network is named {name!r}{suggestion(name, KNOWN)}; `snsearch networks` lists them")
    return KNOWN[name]


def named(known: KnownNetwork) -> AnyNetwork:
    """A known network at its published input and classes."""
    if isinstance(known.network, Architecture):
        return known.network
    return NamedNetwork(
        name=known.name, input_channels=3, resolution=(known.resolution, known.resolution), classes=known.classes
    )


_KEY = re.compile(
    r"(?P<name>[a-z0-9.-]+)_(?P<channels>\d{1,9})x(?P<height>\d{1,9})x(?P<width>\d{1,9})_c(?P<c>\d{1,9})"
)


def network_of(text: str) -> AnyNetwork:
    """The network of a known network's name, of its key, or of an architecture's key. Raises SpecError."""
    if text in KNOWN:
        return named(KNOWN[text])
    match = _KEY.fullmatch(text)
    if match is None:
        if "_" not in text and get_close_matches(text[:60], KNOWN):
            known_network(text)  # raises, with the name that was meant
        return Architecture.from_key(text)
    return NamedNetwork(
        name=match["name"],
        input_channels=int(match["channels"]),
        resolution=(int(match["height"]), int(match["width"])),
        classes=int(match["c"]),
    )
