"""KnownNetwork: a network of the literature, and what was printed about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snsearch.network.arch import Architecture
from snsearch.network.known.builder import ChainBuilder

Describe = Callable[[ChainBuilder, int], None]  # adds the blocks; the number is that of the classes


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownNetwork:
    """A network of the literature, as its paper or its authors' code has it, and the figures printed of it."""

    name: str
    title: str
    source: str  # of the structure
    network: Describe | Architecture
    resolution: int = 224
    classes: int = 1000
    mflops: float | None = None  # printed, in millions of multiply-adds
    params: float | None = None  # printed, in millions
    figures: str = ""  # where the printed figures are from; "": from `source`
    # Printed, of ImageNet's validation images with one central crop, in percent; each after its own training.
    top1_error: float | None = None
    note: str = ""  # why a count is more than 1 % from the printed one
    # Its name in ncnn's benchncnn; "" too for AlexNet and VGG-16, most of whose time is that of huge classifiers.
    benchncnn: str = ""
    family: str  # networks that are alike: held out together
