"""Architecture keys: read back as the same network, and refused or made canonical where they are changed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from snsearch.codec import decode, encode
from snsearch.errors import SpecError
from snsearch.network import Architecture
from tests.fuzz.mutations import mutated, mutated_text, read_or_refused

KEYS = (
    "shufflenet.g3.b4.shuffle_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000",
    "shufflenet.g1-3-8.b4.shuffle.se0-16-16_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x192_c1000",
    "mobilenet-v1.g1.b1_stem32s2_64x1s1-128x2s2-256x2s2-512x6s2-1024x2s2_3x224x224_c1000",
)
INSERTS = ("-", "_", ".", "x", "s2", "g0", "0", "999999999", "9999999999", "²", "٣", ".se16", "p", "\n", "_c1000")
positive = st.integers(1, 10**9 - 1)


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    stages = draw(st.integers(1, 5))

    def each(values: st.SearchStrategy[int]) -> tuple[int, ...]:
        return tuple(draw(values) for _ in range(stages))

    return Architecture(
        unit=draw(st.from_regex("[a-z0-9-]{1,12}", fullmatch=True)),
        groups=each(positive),
        bottleneck=draw(positive),
        shuffle=draw(st.booleans()),
        se_reduction=each(st.integers(0, 99)),
        stem_channels=draw(positive),
        stem_stride=draw(positive),
        stem_pool=draw(st.booleans()),
        stage_channels=each(positive),
        stage_repeats=each(st.integers(1, 100)),
        stage_strides=each(positive),
        input_channels=draw(positive),
        resolution=(draw(st.integers(1, 4096)), draw(st.integers(1, 4096))),
        classes=draw(positive),
    )


@given(arch=architectures())
def test_a_key_is_read_as_the_network_that_it_is_of(arch: Architecture) -> None:
    assert Architecture.from_key(arch.key) == arch


@given(key=mutated_text(KEYS, INSERTS) | st.text(max_size=80))
def test_a_changed_key_is_refused_or_has_a_canonical_one(key: str) -> None:
    found, _ = read_or_refused(lambda: Architecture.from_key(key), SpecError)
    assert found is None or Architecture.from_key(found.key) == found


@given(values=mutated([encode(Architecture.from_key(key)) for key in KEYS]))
def test_a_changed_record_of_a_network_is_refused_or_has_a_key(values: Any) -> None:
    found, words = read_or_refused(lambda: decode(Architecture, values, '"solve.json"'), SpecError)
    if found is None:
        assert words.startswith('"solve.json"')
    else:
        assert Architecture.from_key(found.key) == found
