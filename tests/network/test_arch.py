"""Architecture: its key, its JSON, and its other inputs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from snsearch.codec import decode, encode
from snsearch.errors import SpecError
from snsearch.network.arch import Architecture
from snsearch.network.graph import OpGraph
from tests.architectures import architectures, shufflenet

ONE_X = shufflenet(3, 240, 480, 960)
KEY = "shufflenet.g3.b4.shuffle_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000"


def test_the_key_names_everything_that_decides_the_network() -> None:
    assert ONE_X.key == KEY
    other = replace(ONE_X, shuffle=False, se_reduction=16, stem_pool=False, resolution=(480, 640), input_channels=1)
    assert other.key == "shufflenet.g3.b4.se16_stem24s2_240x4s2-480x8s2-960x4s2_1x480x640_c1000"


@given(architectures())
def test_key_and_json_are_read_back(arch: Architecture) -> None:
    assert Architecture.from_key(arch.key) == arch
    assert decode(Architecture, json.loads(json.dumps(encode(arch))), "it") == arch
    assert re.fullmatch(r"[a-z0-9._-]+", arch.key)


MIXED = shufflenet((1, 3, 8), 240, 480, 960, se_reduction=(0, 16, 16))
MIXED_KEY = "shufflenet.g1-3-8.b4.shuffle.se0-16-16_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000"


def test_groups_and_se_per_stage_are_lists_only_where_stages_differ() -> None:
    assert MIXED.key == MIXED_KEY
    assert Architecture.from_key(MIXED_KEY) == MIXED
    assert (encode(MIXED)["groups"], encode(MIXED)["se_reduction"]) == ([1, 3, 8], [0, 16, 16])
    assert (encode(ONE_X)["groups"], encode(ONE_X)["se_reduction"]) == (3, 0)
    assert replace(MIXED, groups=(3, 3, 3), se_reduction=0) == replace(ONE_X, groups=3) == ONE_X
    assert ONE_X.groups == (3, 3, 3)


def test_a_list_of_equal_counts_is_read_to_the_one_key() -> None:
    long = KEY.replace(".g3", ".g3-3-3").replace(".shuffle", ".shuffle.se0-0-0")
    assert Architecture.from_key(long) == ONE_X
    assert Architecture.from_key(long).key == KEY
    assert decode(Architecture, {**encode(ONE_X), "groups": [3, 3, 3], "se_reduction": [0, 0, 0]}, "it") == ONE_X


@pytest.mark.parametrize(
    ("shuffled", "effect"), [((1, 1, 1), False), ((1, 1, 2), True), ((2, 1, 1), True)], ids=["g1", "last", "first"]
)
def test_the_shuffle_is_an_effect_of_any_stage_with_groups(shuffled: tuple[int, ...], effect: bool) -> None:
    # Of today's networks of one group, both keys are in stored studies, so both are kept.
    arch = shufflenet(shuffled, 240, 480, 960)
    plain = replace(arch, shuffle=False)
    assert arch.key != plain.key
    assert (OpGraph.of(arch).ops != OpGraph.of(plain).ops) == effect


@pytest.mark.parametrize(
    "key",
    [
        "",
        "shufflenet",
        KEY + " ",
        KEY + "\n",
        KEY.replace("_c1000", ""),
        KEY.replace("g3", "g0"),
        KEY.replace("g3", "gthree"),
        KEY.replace("c1000", "c0"),
        KEY.replace("c1000", "c-5"),
        KEY.replace("240x4s2-", "240x4-"),
        KEY.replace("240x4s2-", "240x0s2-"),
        KEY.replace("_240x4s2-480x8s2-960x4s2_", "__"),
        KEY.replace("3x224x224", "224x224"),
        KEY.replace("shuffle_stem", "shuffle.se_stem"),
        KEY.upper(),
        MIXED_KEY.replace("g1-3-8", "g1-3"),
        MIXED_KEY.replace("g1-3-8", "g1-3-8-8"),
        MIXED_KEY.replace("g1-3-8", "g1-0-8"),
        MIXED_KEY.replace("g1-3-8", "g1--8"),
        MIXED_KEY.replace("g1-3-8", "g-1-3-8"),
        MIXED_KEY.replace("se0-16-16", "se16-16"),
        MIXED_KEY.replace("se0-16-16", "se0-16-"),
    ],
)
def test_what_is_not_a_key_is_refused(key: str) -> None:
    with pytest.raises(SpecError):
        Architecture.from_key(key)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("groups", 0),
        ("groups", 3.0),
        ("groups", "3"),
        ("groups", True),
        ("groups", []),
        ("groups", [3, 3]),
        ("groups", [3, 3, 0]),
        ("groups", [3, 3, True]),
        ("groups", [3, 3, [3]]),
        ("groups", {"1": 3}),
        ("se_reduction", [0, 16]),
        ("se_reduction", [0, 16, -16]),
        ("bottleneck", -1),
        ("shuffle", "yes"),
        ("shuffle", 1),
        ("stem_pool", 1),
        ("se_reduction", -1),
        ("se_reduction", True),
        ("stem_channels", None),
        ("stage_channels", 240),
        ("stage_channels", "240"),
        ("stage_channels", []),
        ("stage_channels", [240, 480]),
        ("stage_channels", [240, 480, 0]),
        ("stage_channels", [240, 480, True]),
        ("stage_repeats", [4, 8, "4"]),
        ("stage_repeats", [4, 10**9, 4]),
        ("stage_strides", [2, 2, 2.0]),
        ("resolution", [224, 224]),
        ("resolution", 0),
        ("resolution", None),
        ("classes", 0),
        ("unit", 5),
        ("unit", ""),
        ("unit", "../elsewhere"),
        ("unit", "two words"),
    ],
)
def test_wrong_json_values_are_refused(field: str, value: Any) -> None:
    assert decode(Architecture, encode(ONE_X), "it") == ONE_X
    with pytest.raises(SpecError):
        decode(Architecture, {**encode(ONE_X), field: value}, "it")


def test_missing_and_unknown_json_fields_are_named() -> None:
    values = encode(ONE_X)
    del values["groups"]
    with pytest.raises(SpecError, match='it: missing key "groups"; expected an integer, or a list'):
        decode(Architecture, values, "it")
    with pytest.raises(SpecError, match=r'it: unknown key "group"; did you mean "groups"\?'):
        decode(Architecture, {**values, "group": 3}, "it")


def test_stages_without_a_width_each_are_refused() -> None:
    with pytest.raises(SpecError, match="differ in length"):
        replace(ONE_X, stage_channels=(240, 480))
    with pytest.raises(SpecError, match="differ in length"):
        replace(ONE_X, stage_channels=(), stage_repeats=(), stage_strides=())


@pytest.mark.parametrize(
    ("side", "pool", "stride"),
    [(224, True, 2), (64, True, 2), (63, False, 2), (32, False, 2), (28, False, 2), (15, False, 1)],
)
def test_the_stem_reduces_less_on_small_images(side: int, pool: bool, stride: int) -> None:
    small = ONE_X.at_input(channels=1, resolution=(side, side + 9), classes=10)
    assert (small.stem_pool, small.stem_stride) == (pool, stride)
    assert (small.input_channels, small.resolution, small.classes) == (1, (side, side + 9), 10)
    assert small.stage_channels == ONE_X.stage_channels


def test_a_stem_without_pool_gets_none_on_a_large_image() -> None:
    plain = replace(ONE_X, stem_pool=False, stem_stride=1)
    assert plain.at_input(channels=3, resolution=(224, 224), classes=10).stem_pool is False
    assert plain.at_input(channels=3, resolution=(8, 8), classes=10).stem_stride == 1


def _last_side(arch: Architecture) -> int:
    side = min(arch.resolution)
    for stride in (arch.stem_stride, 2 if arch.stem_pool else 1, *arch.stage_strides):
        side = -(-side // stride)
    return side


MOBILENET = replace(
    ONE_X,
    unit="separable",
    groups=1,
    se_reduction=0,
    bottleneck=1,
    stem_pool=False,
    stage_channels=(64, 128, 256, 512, 1024),
    stage_repeats=(1, 2, 2, 6, 2),
    stage_strides=(1, 2, 2, 2, 2),
)


@pytest.mark.parametrize("arch", [ONE_X, MOBILENET], ids=["shufflenet", "mobilenet"])
@pytest.mark.parametrize("side", [9, 12, 15, 16, 17, 28, 32, 33, 63, 64, 96, 224])
def test_the_last_stage_keeps_two_pixels_where_the_stages_allow_it(arch: Architecture, side: int) -> None:
    allowed = _last_side(replace(arch, resolution=(side, side), stem_pool=False, stem_stride=1))
    small = arch.at_input(channels=1, resolution=(side, side), classes=10)
    assert _last_side(small) >= min(2, allowed)
