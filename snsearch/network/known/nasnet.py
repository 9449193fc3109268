"""NASNet-A: cells that read the outputs of the two cells before them, so all of them are one block."""

from __future__ import annotations

from snsearch.network.known.builder import ChainBuilder
from snsearch.network.known.entry import KnownNetwork


class _Cells:
    """Adds cells to a builder; `rectified` remembers tensors whose ReLU is there already."""

    def __init__(self, net: ChainBuilder) -> None:
        self.net = net
        self.name = ""
        self.rectified: dict[int, int] = {}

    def relu(self, source: int) -> int:
        if source not in self.rectified:
            self.rectified[source] = self.net.activate(f"relu{source}", source)
        return self.rectified[source]

    def fitted(self, side: str, source: int, channels: int, stride: int = 1) -> int:
        """A pointwise convolution that brings an input to the cell's width, and with a stride of 2 to its size.

        The authors' code halves the size in two convolutions of half the channels, one of which is shifted by a
        pixel; this is one convolution of both, without the shift.
        """
        at = self.relu(source)
        return self.net.layer(f"{self.name}.{side}", at, channels, 1, stride, activation="none", padding=0)

    def separable(self, branch: str, source: int, channels: int, kernel: int, stride: int = 1) -> int:
        """Two separable convolutions, each behind a ReLU."""
        at, name = self.relu(source), f"{self.name}.{branch}"
        for index in (1, 2):
            width = self.net.ops[at].channels
            at = self.net.layer(
                f"{name}_depthwise{index}", at, width, kernel, stride if index == 1 else 1,
                groups=width, activation="none", norm=False,
            )  # fmt: skip
            at = self.net.layer(f"{name}_pointwise{index}", at, channels, activation="relu" if index == 1 else "none")
        return at

    def pool(self, branch: str, source: int, kind: str, stride: int) -> int:
        return self.net.window(f"{self.name}.{branch}", source, kind, 3, stride)  # type: ignore[arg-type]

    def sum(self, number: int, left: int, right: int) -> int:
        return self.net.add(f"{self.name}.sum{number}", left, right, "none")

    def normal(self, name: str, before: int, last: int, channels: int) -> int:
        """A normal cell; `before` is the output of the cell before the last one."""
        self.name, ops = name, self.net.ops
        left = self.fitted("before", before, channels, ops[before].height // ops[last].height or 1)
        right = self.fitted("last", last, channels)
        sums = [
            self.sum(0, self.separable("five0", right, channels, 5), self.separable("three0", left, channels, 3)),
            self.sum(1, self.separable("five1", left, channels, 5), self.separable("three1", left, channels, 3)),
            self.sum(2, self.pool("average2", right, "avg_pool", 1), left),
            self.sum(3, around := self.pool("average3", left, "avg_pool", 1), around),
            self.sum(4, self.separable("three4", right, channels, 3), right),
        ]
        return self.net.join(f"{name}.concat", left, *sums)

    def reduction(self, name: str, wide: int, narrow: int, channels: int) -> int:
        """A reduction cell of an input of the larger kernels and one of the smaller."""
        self.name = name
        first = self.sum(
            0, self.separable("five0", narrow, channels, 5, 2), self.separable("seven0", wide, channels, 7, 2)
        )
        second = self.sum(
            1, highest := self.pool("max1", narrow, "max_pool", 2), self.separable("seven1", wide, channels, 7, 2)
        )
        third = self.sum(
            2, self.pool("average2", narrow, "avg_pool", 2), self.separable("five2", wide, channels, 5, 2)
        )
        fourth = self.sum(3, self.pool("average3", first, "avg_pool", 1), second)
        fifth = self.sum(4, self.separable("three4", first, channels, 3), highest)
        return self.net.join(f"{name}.concat", second, third, fourth, fifth)


def nasnet_a(net: ChainBuilder, classes: int, *, filters: int = 44, repeats: int = 4) -> None:
    """NASNet-A; `repeats` and 24 times the filters are its name: 4 @ 1056."""
    cells = _Cells(net)
    before = net.layer("conv0", 0, 32, 3, 2, activation="none", padding=0)
    cells.name = "stem0"
    last = cells.reduction("stem0", before, cells.fitted("last", before, filters // 4), filters // 4)
    cells.name = "stem1"
    wide = cells.fitted("before", before, filters // 2, 2)
    before, last = last, cells.reduction("stem1", wide, cells.fitted("last", last, filters // 2), filters // 2)
    for stage, width in enumerate((filters, 2 * filters, 4 * filters), start=1):
        if stage > 1:
            cells.name = f"reduction{stage - 1}"
            wide, narrow = cells.fitted("before", before, width), cells.fitted("last", last, width)
            before, last = last, cells.reduction(cells.name, wide, narrow, width)
        for index in range(repeats):
            before, last = last, cells.normal(f"cell{stage}_{index + 1}", before, last, width)
    cells.relu(last)
    net.classify(classes)


NASNET: tuple[KnownNetwork, ...] = (
    KnownNetwork(
        name="nasnet-a-mobile",
        title="NASNet-A (4 @ 1056)",
        source="arXiv:1707.07012, Figure 4 and released code",
        network=nasnet_a,
        mflops=564,
        top1_error=26,
        params=5.3,
        figures="arXiv:1707.07012, Table 3",
        family="NASNet",
    ),
)
