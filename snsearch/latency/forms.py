"""Forms of the latency model: which terms share a rate.

A form is data. Which one is used is decided by `calibration`, by the error on networks that were kept out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

CACHES = (1 << 20, 2 << 20)  # bytes; what forms with a cache try
STRENGTHS = (10.0, 1.0, 0.3, 0.1, 0.03, 0.01)  # of the pull to a prior: how many figures it counts as
SPATIAL_STRENGTH = 0.03  # the most for kernels larger than 1x1, whose rates differ most between libraries

# What is counted: the quantities of `terms`, or what `kernels` counts for a library that packs channels.
Counting = Literal["quantities", "kernels"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """Which terms share a rate. A term that stands in two columns has the sum of both rates.

    With a prior, the rates are drawn towards its ratios, at the one speed that fits best with them.
    """

    name: str
    columns: tuple[tuple[str, ...], ...]
    counting: Counting = "quantities"
    cache_bytes: int | None = None
    prior: tuple[tuple[str, float], ...] = ()
    prior_strengths: tuple[float, ...] = ()  # a column: how many samples a rate that is off by its own size costs


_POINTWISE = ("dense_pointwise_macs", "grouped_pointwise_macs")
_GROUPED = ("grouped_pointwise_macs",)  # what a grouped MAC costs beyond a dense one: never less than nothing
_SPATIAL = ("dense_3x3_macs", "dense_spatial_macs", "grouped_spatial_macs")
_DEPTHWISE = ("depthwise_macs",)
_ACTIVATIONS = ("conv_bytes", "element_bytes", "linear_bytes")
_ELEMENTS = ("element_bytes", "linear_bytes")
_GATES = ("gate_bytes",)
_PACKED = (*_POINTWISE, "padding_macs")


def _form(name: str, *columns: tuple[str, ...], cache_bytes: int | None = None) -> Form:
    return Form(name=name, columns=columns, cache_bytes=cache_bytes)


FORMS: tuple[Form, ...] = (
    _form("activations", _POINTWISE, _GROUPED, _SPATIAL, _DEPTHWISE, _ACTIVATIONS, _GATES),
    _form("packing", _PACKED, _GROUPED, _SPATIAL, _DEPTHWISE, _ACTIVATIONS, _GATES),
    _form("inner loops", _POINTWISE, _SPATIAL, _DEPTHWISE, _ELEMENTS, _GATES, ("group_pixels",)),
    _form("activations, inner loops", _POINTWISE, _SPATIAL, _DEPTHWISE, _ACTIVATIONS, _GATES, ("group_pixels",)),
    _form("packing, inner loops", _PACKED, _SPATIAL, _DEPTHWISE, _ACTIVATIONS, _GATES, ("group_pixels",)),
    _form("calls", _POINTWISE, _GROUPED, _SPATIAL, _DEPTHWISE, _ACTIVATIONS, _GATES, ("operators",)),
    *(
        _form(
            f"cache of {size >> 20} MiB",
            *(_POINTWISE, _GROUPED, _SPATIAL, _DEPTHWISE, _ACTIVATIONS, _GATES),
            ("far_bytes",),
            cache_bytes=size,
        )
        for size in CACHES
    ),
)
# For figures that are many enough to tell ten rates apart.
RICH_FORMS: tuple[Form, ...] = (
    _form(
        "all terms, cache of 1 MiB",
        *(_POINTWISE, _GROUPED, _SPATIAL, _DEPTHWISE, _ACTIVATIONS, _GATES),
        *(("weight_bytes",), ("operators",), ("group_pixels",), ("far_bytes",)),
        cache_bytes=CACHES[0],
    ),
)
# For libraries that run 3x3 convolutions by fast transforms, and where the figures hold grouped 3x3 convolutions.
TRANSFORM_FORMS: tuple[Form, ...] = (
    _form(
        "packing, transforms",
        (*_PACKED, "grouped_spatial_macs"),
        ("dense_spatial_macs",),
        ("dense_3x3_macs",),
        _DEPTHWISE,
        _ACTIVATIONS,
        _GATES,
    ),
)
# For counts of instructions and cache misses, which have no noise: every term on its own, and what one operator
# moves beyond its share of the second level.
COUNTED_CACHES = (128 << 10, 256 << 10, 384 << 10, 512 << 10)  # bytes
COUNTED_FORMS: tuple[Form, ...] = tuple(
    _form(
        f"all terms, cache of {size >> 10} KiB",
        *(_POINTWISE, _GROUPED, ("dense_3x3_macs",), ("dense_spatial_macs",), ("grouped_spatial_macs",), _DEPTHWISE),
        *(("depthwise_bytes",), ("conv_bytes",), ("weight_bytes",), ("linear_bytes",), ("element_bytes",), _GATES),
        *(("group_pixels",), ("padding_macs",), ("operators",), ("far_bytes",)),
        cache_bytes=size,
    )
    for size in COUNTED_CACHES
)


def drawn_to(
    prior: Mapping[str, float],
    strengths: Sequence[float],
    spatial_strength: float,
    cache_bytes: int | None = None,
    *,
    label: str = "a prior",
) -> tuple[Form, ...]:
    """Forms that are drawn to another device's rates, one a strength; larger kernels than 1x1 with their own.

    For figures too few to tell all rates apart: what they do not say, the other device's ratios do. Terms that
    have one rate there share one.
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
                min(strength, spatial_strength) if set(column) <= set(_SPATIAL) else strength for column in columns
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


def _dearer(*terms: str) -> tuple[tuple[str, ...], ...]:
    """Columns in which each term costs what the one before it does, or more."""
    return tuple(terms[at:] for at in range(len(terms)))


def _kernel_form(name: str, packs: Sequence[int], *far: str) -> Form:
    """A form of kernels: the packs that are told apart, wider ones being as dear as the widest of them."""
    columns: list[tuple[str, ...]] = list(_dearer(*(f"rows_{rows}_macs" for rows in (16, 8, 4, 2, 1))))
    for pattern in _KERNEL_PACKS:
        for index, pack in enumerate(packs):
            kept = [one for one in (16, 8, 4, 1) if one <= pack or index == 0]
            columns.append(tuple(pattern.format(one) for one in kept))
    columns += [(term,) for term in _KERNEL_ALONE]
    columns += [("operators", "gate_operators"), ("operators",)]
    columns += [_SHUFFLES, *((term,) for term in _SHUFFLES[1:])]
    columns += [(f"far_{size}_bytes",) for size in far]
    columns += [("streamed_weight_bytes",)] if far else []
    return Form(name=name, columns=tuple(columns), counting="kernels")


# For a device of one's own, whose blocks are measured: there are figures enough for what a library's kernels do.
KERNEL_FORMS: tuple[Form, ...] = (
    _kernel_form("kernels, packs of 16, 8 and 4", (16, 8, 4, 1)),
    _kernel_form("kernels, packs of 16, 8 and 4, cache of 512 KiB", (16, 8, 4, 1), "512k"),
    _kernel_form("kernels, packs of 16, 8 and 4, two caches", (16, 8, 4, 1), "256k", "1m"),
    _kernel_form("kernels, packs of 16, 8 and 4, four caches", (16, 8, 4, 1), "256k", "512k", "1m", "2m"),
    _kernel_form("kernels, packs of 4, two caches", (4, 1), "256k", "1m"),
    _kernel_form("kernels, packs of 4, four caches", (4, 1), "256k", "512k", "1m", "2m"),
)
