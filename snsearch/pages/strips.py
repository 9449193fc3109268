"""Networks drawn side by side: a strip of blocks each, as high as they are wide in channels, as long as they cost."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from snsearch.network import AnyNetwork, network_blocks, op_macs

LENGTH, HEIGHT, LEFT = 720.0, 56.0, 210.0  # pixels of a strip, and of the names before it
MOST_CHANNELS = 4096  # as high as a strip


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stage of a network as a rectangle of its strip."""

    name: str
    channels: int
    height: int  # of its output, in pixels of the image
    width: int
    units: int
    macs: int
    x: float
    length: float  # in pixels of the drawing, proportional to MACs
    tall: float


def pieces_of(network: AnyNetwork, scale: float) -> tuple[Piece, ...]:
    """The stages of a network as rectangles from left to right; `scale` is pixels of the drawing a MAC."""
    found: list[Piece] = []
    for block in network_blocks(network):
        macs = block.repeats * sum(map(op_macs, block.ops))
        last, units, x = block.ops[-1], block.repeats, 0.0
        if found:
            x = found[-1].x + found[-1].length
        if found and found[-1].name == block.name:
            before = found.pop()
            macs, units, x = macs + before.macs, units + before.units, before.x
        tall = HEIGHT * min(1.0, math.log2(1 + last.channels) / math.log2(1 + MOST_CHANNELS))
        found.append(
            Piece(
                name=block.name,
                channels=last.channels,
                height=last.height,
                width=last.width,
                units=units,
                macs=macs,
                x=x,
                length=macs * scale,
                tall=tall,
            )
        )
    return tuple(found)


def strips_svg(networks: Sequence[tuple[str, AnyNetwork, int]]) -> str:
    """The drawing as SVG. The strips of name, network and MACs are on one scale."""
    most = max(macs for _, _, macs in networks)
    row = HEIGHT + 26
    lines = []
    for index, (name, network, macs) in enumerate(networks):
        top = index * row
        lines.append(f'<text x="{LEFT - 8:g}" y="{top + HEIGHT:g}" text-anchor="end">{html.escape(name)}</text>')
        for number, piece in enumerate(pieces_of(network, LENGTH / most)):
            told = (
                f"{piece.name}: {piece.units} unit{'s' if piece.units > 1 else ''}, {piece.channels} channels, "
                f"{piece.height}x{piece.width} pixels, {piece.macs / 1e6:.1f} MFLOPs"
            )
            lines.append(
                f'<rect x="{LEFT + piece.x:.1f}" y="{top + HEIGHT - piece.tall:.1f}" width="{piece.length:.1f}" '
                f'height="{piece.tall:.1f}" fill-opacity="{0.85 if number % 2 else 0.55}">'
                f"<title>{html.escape(told)}</title></rect>"
            )
        lines.append(f'<text x="{LEFT:g}" y="{top + HEIGHT + 14:g}" class="small">{macs / 1e6:,.1f} MFLOPs</text>')
    width, height = LEFT + LENGTH + 10, len(networks) * row
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" '
        'aria-label="Stages of the networks: length is multiply-adds, height is channels">'
        + "".join(lines)
        + "</svg>"
    )
