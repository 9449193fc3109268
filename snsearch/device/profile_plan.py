"""What to measure for a device's profile: networks of a space, and their operators and blocks.

Networks are drawn over everything that the space varies. Pieces are chosen greedily among the networks' operators and
stages: each adds the most information on the terms' costs to the pieces before it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snsearch.errors import InfeasibleBudgetError
from snsearch.latency import block_kernel_terms
from snsearch.network import Architecture, BlockSpec, Op, block_ops, blocks
from snsearch.solver import Design, SpaceSpec, load_space, mflops_budget, solve, with_input

NETWORKS = 96  # of the space
PIECES = 48  # operators and blocks
OTHER_NETWORKS = 3  # of each other space, so their operators have rates too
OTHER_SPACES = ("resnet", "resnext", "vgg-like", "mobilenet-v1", "shufflenet-v1")
LEAST_SHARE, MOST_SHARE = 0.07, 2.5  # of the MACs of the space's 1x: 10 to 350 MFLOPs for ShuffleNet
OTHER_RESOLUTIONS = (128, 160, 192, 256, 320)  # one network in five has one of these
UNITS = 3  # per block of a stage; the first changes stride and width
_LEAST_MACS = 20_000  # smallest operator measured alone: below, the call costs more than the work


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Operators that are measured as one model."""

    name: str
    ops: tuple[Op, ...]
    stage: int = 0  # the stage of a block; 0 for an operator
    groups: int = 1  # of a block's stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything to measure for a profile."""

    networks: tuple[Architecture, ...]  # of the space: each is held out of one fit
    others: tuple[Architecture, ...]  # of other spaces: in every fit
    pieces: tuple[Piece, ...]  # in every fit

    @property
    def things(self) -> tuple[Architecture | Piece, ...]:
        """Networks and pieces."""
        return (*self.networks, *self.others, *self.pieces)


def plan_of(space: SpaceSpec, *, networks: int = NETWORKS, pieces: int = PIECES, seed: int = 0) -> Plan:
    """The plan for a space, the same for the same seed."""
    drawn = drawn_networks(space, networks, seed)
    others = tuple(
        arch
        for name in OTHER_SPACES
        if name != space.name
        for arch in drawn_networks(load_space(name), OTHER_NETWORKS, seed)
    )
    return Plan(networks=drawn, others=others, pieces=chosen_pieces((*drawn, *others), pieces))


def drawn_networks(space: SpaceSpec, count: int, seed: int) -> tuple[Architecture, ...]:
    """`count` different networks over group counts, sizes, depths, SE, shuffle, widths and resolutions.

    Every group count is equally frequent; sizes are uniform on a logarithmic scale.
    """
    chance = random.Random(f"{space.name} {seed}")
    found: dict[str, Architecture] = {}
    for index in range(20 * count):
        if len(found) == count:
            break
        height, width = space.reference.resolution
        side = chance.choice(OTHER_RESOLUTIONS) if chance.random() < 0.2 else 0
        design = Design(
            groups=space.groups[index % len(space.groups)],
            scale=chance.choice(space.search_scales) if space.search_scales else None,
            depth=chance.choice(space.depths)[0],
            se="se" in space.options and chance.random() < 0.3,
            shuffle=False if "shuffle" in space.options and chance.random() < 0.15 else None,
        )
        # Scale the MACs with the pixels: the same share gives the same widths at every resolution.
        pixels = side * side / (height * width) if side else 1.0
        share = math.exp(chance.uniform(math.log(LEAST_SHARE), math.log(MOST_SHARE)))
        assert space.reference.macs is not None, "a space's reference is a number of MFLOPs"
        budget = with_input(
            mflops_budget(share * pixels * space.reference.macs / 1e6),
            resolution=(side, side) if side else (height, width),
        )
        try:
            arch = solve(space, budget, design, tight=chance.random() < 0.5).architecture
        except InfeasibleBudgetError:
            continue
        found.setdefault(arch.key, arch)
    return tuple(found.values())


def chosen_pieces(networks: Sequence[Architecture], count: int) -> tuple[Piece, ...]:
    """`count` operators and blocks of the networks, those of `_wanted` first.

    The others are chosen greedily: each adds the most to the determinant of the information matrix of a fit on
    relative errors (a D-optimal design). So every term gets one piece before any gets a second.
    """
    found = {piece.name: (piece, arch) for arch in networks for piece in _pieces(arch)}
    candidates = tuple(piece for piece, _ in found.values())
    wanted = _wanted(found.values())
    rows = np.array([tuple(block_kernel_terms(piece.ops).values()) for piece in candidates])
    scale = rows.max(axis=0)
    present = scale > 0
    rows = rows[:, present] / scale[present]
    # For relative errors: each term's share of the piece's time, if all terms cost the same.
    rows /= rows.sum(axis=1, keepdims=True)
    inverse = np.eye(rows.shape[1]) * 1e6
    chosen: list[int] = []
    left = np.ones(len(candidates), dtype=bool)
    for number in range(min(count, len(candidates))):
        gains = np.einsum("ij,jk,ik->i", rows, inverse, rows)
        best = int(np.argmax(np.where(left, gains, -1.0)))
        if number < len(wanted):
            best = candidates.index(wanted[number])
        chosen.append(best)
        left[best] = False
        moved = inverse @ rows[best]
        inverse -= np.outer(moved, moved) / (1 + gains[best])
    return tuple(candidates[index] for index in chosen)


def _wanted(found: Iterable[tuple[Piece, Architecture]]) -> tuple[Piece, ...]:
    """Per group count: grouped 1x1 convolutions of three widths, and one block of medium width for each stage."""
    pointwise: dict[int, list[Piece]] = {}
    stages: dict[tuple[int, int], list[Piece]] = {}
    for piece, arch in found:
        last = piece.ops[-1]
        if len(piece.ops) == 2 and last.kind == "conv" and last.kernel == 1 and last.groups > 1:
            pointwise.setdefault(last.groups, []).append(piece)
        elif len(piece.ops) > 3 and arch.unit == "shufflenet":
            stages.setdefault((piece.groups, piece.stage), []).append(piece)
    wanted = []
    for _, pieces in sorted(pointwise.items()):
        pieces.sort(key=lambda piece: piece.ops[-1].channels * piece.ops[-1].channels_in)
        wanted += [pieces[0], pieces[len(pieces) // 2], pieces[-1]]
    for _, pieces in sorted(stages.items()):
        pieces.sort(key=lambda piece: piece.ops[-1].channels)
        wanted.append(pieces[len(pieces) // 2])
    return tuple(dict.fromkeys(wanted))


def _pieces(arch: Architecture) -> Iterator[Piece]:
    """The first units of each of a network's stages as one piece, and each operator as one."""
    placed = list(blocks(arch))
    stage = 0
    for index, block in enumerate(placed):
        ops = block_ops(arch, block.spec)
        if block.spec.kind == "unit" and block.spec.stride > 1:
            specs = [block.spec]
            if index + 1 < len(placed) and placed[index + 1].name == block.name:
                specs += [placed[index + 1].spec] * min(UNITS - 1, placed[index + 1].repeats)
            stage += 1
            yield _piece(f"{len(specs)} {arch.unit} units", chained(arch, specs), block.spec, stage)
        for at, op in enumerate(ops[1:], start=1):
            inputs = [ops[source] for source in op.inputs]
            pooled = any(one.height == 1 for one in inputs) and op.kind != "linear"
            if (
                not pooled
                and max(op.elements, sum(one.elements for one in inputs))
                * (op.channels_in // op.groups if op.kind in ("conv", "linear") else 1)
                >= _LEAST_MACS
            ):
                yield _piece(op.kind, alone(ops, at), block.spec)


def chained(arch: Architecture, specs: Sequence[BlockSpec]) -> tuple[Op, ...]:
    """The operators of blocks in a chain: each block reads the output of the one before."""
    chain: list[Op] = []
    for number, spec in enumerate(specs):
        local = block_ops(arch, spec)
        if not chain:
            chain = [local[0]]
        last, shift = len(chain) - 1, len(chain) - 1
        chain += [
            op._replace(name=f"{number}.{op.name}", inputs=tuple(last if i == 0 else shift + i for i in op.inputs))
            for op in local[1:]
        ]
    return tuple(chain)


def alone(ops: Sequence[Op], index: int) -> tuple[Op, ...]:
    """One operator, after an input operator for each of its inputs."""
    op = ops[index]
    inputs = []
    for number, source in enumerate(op.inputs):
        read = ops[source]
        inputs.append(Op(f"input{number}", "input", (), read.channels, read.channels, read.height, read.width))
    return (*inputs, op._replace(inputs=tuple(range(len(inputs)))))


def _piece(kind: str, ops: tuple[Op, ...], spec: BlockSpec, stage: int = 0) -> Piece:
    """The piece, named by its shape: equal operators have equal names."""
    first, last = ops[0], ops[-1]
    shape = f"{first.channels}x{first.height}x{first.width} to {last.channels}x{last.height}x{last.width}"
    details = []
    if len(ops) > 3:
        details.append(f"g={spec.groups}")
        details += ["SE"] if spec.se_reduction else []
        details += [] if any(op.kind == "channel_shuffle" for op in ops) else ["no shuffle"]
    elif last.kind in ("conv", "channel_shuffle"):
        details += [f"{last.kernel}x{last.kernel}"] if last.kernel > 1 else []
        details += [f"g={last.groups}"] if last.groups > 1 else []
    return Piece(
        name=f"{kind} {shape}" + (f", {', '.join(details)}" if details else ""),
        ops=ops,
        stage=stage,
        groups=spec.groups,
    )
