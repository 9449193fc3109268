"""Networks drawn side by side: strips of blocks, as high as their channels, as long as they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from snsearch.network import AnyNetwork, network_blocks, op_macs
from snsearch.pages.palette import RANGE
from snsearch.pages.sections import Spec


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stage of a network as a rectangle of its strip."""

    name: str
    channels: int
    height: int  # of its output, in pixels of the image
    width: int
    units: int
    before: int  # MACs of the stages before it
    macs: int


def pieces_of(network: AnyNetwork) -> tuple[Piece, ...]:
    """The stages of a network, from its input to its output."""
    found: list[Piece] = []
    for block in network_blocks(network):
        macs = block.repeats * sum(map(op_macs, block.ops))
        last, before = block.ops[-1], found[-1].before + found[-1].macs if found else 0
        piece = Piece(
            name=block.name,
            channels=last.channels,
            height=last.height,
            width=last.width,
            units=block.repeats,
            before=before,
            macs=macs,
        )
        if found and found[-1].name == block.name:
            first = found.pop()
            piece = replace(piece, before=first.before, units=first.units + piece.units, macs=first.macs + macs)
        found.append(piece)
    return tuple(found)


def strips_spec(networks: Sequence[tuple[str, AnyNetwork]]) -> Spec:
    """The drawing as a Vega-Lite specification; the strips are on one scale."""
    pieces = [
        {
            "network": name,
            "stage": piece.name,
            "units": piece.units,
            "channels": piece.channels,
            "pixels": f"{piece.height}x{piece.width}",
            "MFLOPs": round(piece.macs / 1e6, 2),
            "start": piece.before / 1e6,
            "end": (piece.before + piece.macs) / 1e6,
            "base": 1,
        }
        for name, network in networks
        for piece in pieces_of(network)
    ]
    tooltip = [{"field": name} for name in ("stage", "units", "channels", "pixels", "MFLOPs")]
    return {
        "data": {"values": pieces},
        "facet": {
            "row": {
                "field": "network",
                "sort": [name for name, _ in networks],
                "title": None,
                "header": {"labelAngle": 0, "labelAlign": "left"},
            }
        },
        "spacing": 14,
        "spec": {
            "width": 760,
            "height": 70,
            "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 2},
            "encoding": {
                "x": {"field": "start", "type": "quantitative", "title": "MFLOPs"},
                "x2": {"field": "end"},
                "y": {
                    "field": "base",
                    "type": "quantitative",
                    "scale": {"type": "log"},
                    "title": "channels",
                    "axis": {"values": [1, 10, 100, 1000]},
                },
                "y2": {"field": "channels"},
                "color": {
                    "field": "stage",
                    "type": "nominal",
                    "sort": None,
                    "scale": {"range": RANGE},
                    "legend": {"orient": "bottom", "title": None},
                },
                "tooltip": tooltip,
            },
        },
    }
