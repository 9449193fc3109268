"""Forms for the bundled profiles alone; those for a user's own figures are in snsearch.latency.forms."""

from __future__ import annotations

from snsearch.latency.forms import (
    ACTIVATIONS,
    CACHES,
    DEPTHWISE,
    GATES,
    GROUPED,
    PACKED,
    POINTWISE,
    SPATIAL,
    Form,
    quantity_form,
)

# For figures that are many enough to tell ten rates apart.
RICH_FORMS: tuple[Form, ...] = (
    quantity_form(
        "all terms, cache of 1 MiB",
        *(POINTWISE, GROUPED, SPATIAL, DEPTHWISE, ACTIVATIONS, GATES),
        *(("weight_bytes",), ("operators",), ("group_pixels",), ("far_bytes",)),
        cache_bytes=CACHES[0],
    ),
)
# For libraries that run 3x3 convolutions by fast transforms, and where the figures hold grouped 3x3 convolutions.
TRANSFORM_FORMS: tuple[Form, ...] = (
    quantity_form(
        "packing, transforms",
        (*PACKED, "grouped_spatial_macs"),
        ("dense_spatial_macs",),
        ("dense_3x3_macs",),
        DEPTHWISE,
        ACTIVATIONS,
        GATES,
    ),
)
# For counts of instructions and cache misses, which have no noise: every term on its own, and what one operator
# moves beyond its share of the second level.
COUNTED_CACHES = (128 << 10, 256 << 10, 384 << 10, 512 << 10)  # bytes
COUNTED_FORMS: tuple[Form, ...] = tuple(
    quantity_form(
        f"all terms, cache of {size >> 10} KiB",
        *(POINTWISE, GROUPED, ("dense_3x3_macs",), ("dense_spatial_macs",), ("grouped_spatial_macs",), DEPTHWISE),
        *(("depthwise_bytes",), ("conv_bytes",), ("weight_bytes",), ("linear_bytes",), ("element_bytes",), GATES),
        *(("group_pixels",), ("padding_macs",), ("operators",), ("far_bytes",)),
        cache_bytes=size,
    )
    for size in COUNTED_CACHES
)
