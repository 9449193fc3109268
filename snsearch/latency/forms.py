"""Forms of the latency model: which terms share a rate.

A form is data. `calibration` chooses one by its error on held-out networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from snsearch.latency.kernels import PACKS, ROWS

CACHES = (1 << 20, 2 << 20)  # bytes; the sizes that forms with a cache try
STRENGTHS = (10.0, 1.0, 0.3, 0.1, 0.03, 0.01)  # of the pull to a prior: how many samples the prior counts as
SPATIAL_STRENGTH = 0.03  # the most for kernels larger than 1x1, whose rates differ most between libraries

# Which terms: those of `terms`, or those of `kernels` for a library that packs channels.
Counting = Literal["quantities", "kernels"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """Which terms share a rate.

    With a prior, the fit draws the rates towards the prior's ratios, at the speed that fits best.
    """

    name: str
    columns: tuple[tuple[str, ...], ...]  # terms per rate; a term in two columns has the sum of both rates
    counting: Counting = "quantities"
    cache_bytes: int | None = None  # beyond which "far_bytes" count
    prior: tuple[tuple[str, float], ...] = ()  # term and nanoseconds per unit
    prior_strengths: tuple[float, ...] = ()  # per column: how many samples a rate that is off by its own size costs


POINTWISE = ("dense_pointwise_macs", "grouped_pointwise_macs")
GROUPED = ("grouped_pointwise_macs",)  # with POINTWISE: what a grouped MAC costs beyond a dense one, at least 0
SPATIAL = ("dense_3x3_macs", "dense_spatial_macs", "grouped_spatial_macs")
DEPTHWISE = ("depthwise_macs",)
ACTIVATIONS = ("conv_bytes", "element_bytes", "linear_bytes")
ELEMENTS = ("element_bytes", "linear_bytes")
GATES = ("gate_bytes",)
PACKED = (*POINTWISE, "padding_macs")


def quantity_form(name: str, *columns: tuple[str, ...], cache_bytes: int | None = None) -> Form:
    return Form(name=name, columns=columns, cache_bytes=cache_bytes)


FORMS: tuple[Form, ...] = (
    quantity_form("activations", POINTWISE, GROUPED, SPATIAL, DEPTHWISE, ACTIVATIONS, GATES),
    quantity_form("packing", PACKED, GROUPED, SPATIAL, DEPTHWISE, ACTIVATIONS, GATES),
    quantity_form("inner loops", POINTWISE, SPATIAL, DEPTHWISE, ELEMENTS, GATES, ("group_pixels",)),
    quantity_form("activations, inner loops", POINTWISE, SPATIAL, DEPTHWISE, ACTIVATIONS, GATES, ("group_pixels",)),
    quantity_form("packing, inner loops", PACKED, SPATIAL, DEPTHWISE, ACTIVATIONS, GATES, ("group_pixels",)),
    quantity_form("calls", POINTWISE, GROUPED, SPATIAL, DEPTHWISE, ACTIVATIONS, GATES, ("operators",)),
    *(
        quantity_form(
            f"cache of {size >> 20} MiB",
            *(POINTWISE, GROUPED, SPATIAL, DEPTHWISE, ACTIVATIONS, GATES),
            ("far_bytes",),
            cache_bytes=size,
        )
        for size in CACHES
    ),
)


def drawn_to(
    prior: Mapping[str, float],
    strengths: Sequence[float],
    spatial_strength: float,
    cache_bytes: int | None = None,
    *,
    label: str = "a prior",
) -> tuple[Form, ...]:
    """Forms with another device's rates as their prior, one per strength.

    For samples too few to tell all rates apart: the other device's ratios fill the gaps. Terms that have the same
    rate there share a rate.

    Args:
        prior: the other device's nanoseconds per unit of each term.
        strengths: how many samples the prior counts as.
        spatial_strength: the most for kernels larger than 1x1.
        cache_bytes: of the form.
        label: names the prior in the form's name.
    """
    rates = {term: rate for term, rate in prior.items() if rate > 0}
    columns = tuple(
        tuple(term for term, rate in rates.items() if rate == shared) for shared in dict.fromkeys(rates.values())
    )
    return tuple(
        Form(
            name=f"drawn to {label} by {strength:g}",
            columns=columns,
            cache_bytes=cache_bytes,
            prior=tuple(rates.items()),
            prior_strengths=tuple(
                min(strength, spatial_strength) if set(column) <= set(SPATIAL) else strength for column in columns
            ),
        )
        for strength in strengths
    )


_KERNEL_PACKS = ("read_{}_bytes", "write_{}_bytes", "depthwise_{}_macs")
_KERNEL_ALONE = (
    *("repacked_bytes", "weight_bytes", "group_calls", "strided_depthwise_macs", "first_macs", "dense_3x3_macs"),
    *("dense_spatial_macs", "grouped_spatial_macs", "element_bytes", "pool_bytes", "gate_bytes", "gate_weight_bytes"),
    *("linear_bytes", "spatial_operators", "edge_bytes", "runs", "networks"),
)
_SHUFFLES = ("shuffle_bytes", "wide_shuffle_bytes", "single_shuffle_bytes")


def _kernel_form(name: str, packs: Sequence[int], *far: str) -> Form:
    """A form of kernel terms.

    Args:
        name: of the form.
        packs: pack sizes with a rate each, from the widest; wider packs share the rate of the first.
        far: the cache sizes whose "far" terms have a rate.
    """
    blocks = tuple(f"rows_{rows}_macs" for rows in ROWS)
    # Narrower blocks and packs cost at least as much as wider ones.
    columns = [blocks[at:] for at in range(len(blocks))]
    for pattern in _KERNEL_PACKS:
        for index, pack in enumerate(packs):
            dearer = [other for other in PACKS if other <= pack or index == 0]
            columns.append(tuple(pattern.format(other) for other in dearer))
    columns += [(term,) for term in _KERNEL_ALONE]
    columns += [("operators", "gate_operators"), ("operators",)]
    columns += [_SHUFFLES, *((term,) for term in _SHUFFLES[1:])]
    columns += [(f"far_{size}_bytes",) for size in far]
    columns += [("streamed_weight_bytes",)] if far else []
    return Form(name=name, columns=tuple(columns), counting="kernels")


# For a user's own device, whose blocks are measured too: there are samples enough to tell the kernels' rates apart.
KERNEL_FORMS: tuple[Form, ...] = (
    _kernel_form("kernels, packs of 16, 8 and 4", (16, 8, 4, 1)),
    _kernel_form("kernels, packs of 16, 8 and 4, cache of 512 KiB", (16, 8, 4, 1), "512k"),
    _kernel_form("kernels, packs of 16, 8 and 4, two caches", (16, 8, 4, 1), "256k", "1m"),
    _kernel_form("kernels, packs of 16, 8 and 4, four caches", (16, 8, 4, 1), "256k", "512k", "1m", "2m"),
    _kernel_form("kernels, packs of 4, two caches", (4, 1), "256k", "1m"),
    _kernel_form("kernels, packs of 4, four caches", (4, 1), "256k", "512k", "1m", "2m"),
)
