"""NamedNetwork: a known network at an input size, as it is counted, priced and built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.known.builder import Block, ChainBuilder


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedNetwork:
    """A known network that is no Architecture, for images of a size and some classes."""

    name: str
    input_channels: int
    resolution: tuple[int, int]  # height, width
    classes: int

    def __post_init__(self) -> None:
        from snsearch.network.known.catalogue import description_of  # here: most commands need no known network

        description_of(self.name)
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
    from snsearch.network.known.catalogue import description_of

    build = ChainBuilder(network.input_channels, *network.resolution)
    description_of(network.name)(build, network.classes)
    return build.finished()
