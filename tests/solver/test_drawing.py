"""Spaces whose search is open: what their files may say, and that designs are drawn as it says."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from snsearch.errors import SpecError
from snsearch.files import bundled_folder, bundled_names
from snsearch.solver.budget import mflops_budget
from snsearch.solver.candidates import digest_of
from snsearch.solver.design import Design, check_design, label_of
from snsearch.solver.drawing import draw
from snsearch.solver.solving import solve
from snsearch.solver.spec import SpaceSpec, load_space, read_space

FREE = load_space("shufflenet-free")
DRAWN = 4000
OPENED = """
per_stage = ["groups", "se"]
units = [[1, 2], [1, 2], [1, 6], [1, 1], [2, 2]]
ratios = [1.5, 2]
"""


def drawn(space: SpaceSpec = FREE, count: int = DRAWN, seed: int = 0) -> list[Design]:
    rng = Random(seed)
    return [draw(space, rng) for _ in range(count)]


def in_stage(value: Any, stage: int) -> Any:
    return value[stage] if isinstance(value, tuple) else value


def is_uniform(found: Counter[Any], options: int) -> bool:
    """Whether each option came about equally often: within five standard deviations of a fair draw."""
    count = sum(found.values())
    spread = math.sqrt(count * (1 / options) * (1 - 1 / options))
    return len(found) == options and all(abs(times - count / options) < 5 * spread for times in found.values())


def is_log_uniform(values: list[float], least: float, most: float) -> bool:
    """Whether each tenth of the range on a logarithmic scale holds about a tenth, and nothing is beyond the range."""
    shares = [math.log(value / least) / math.log(most / least) for value in values]
    return -1e-9 < min(shares) < max(shares) < 1 + 1e-9 and is_uniform(
        Counter(min(9, max(0, int(10 * share))) for share in shares), 10
    )


def test_structure_is_uniform_in_every_stage() -> None:
    designs = drawn()
    for stage in range(3):
        assert is_uniform(Counter(in_stage(one.groups, stage) for one in designs), 5)
        assert is_uniform(Counter(in_stage(one.se, stage) for one in designs), 2)
        units = Counter(int((one.depth or "").split("-")[stage]) for one in designs)
        least, most = FREE.search_units[stage]
        assert set(units) == set(range(least, most + 1))
        assert is_uniform(units, most - least + 1)
    pairs = Counter((in_stage(one.groups, 0), in_stage(one.groups, 2), in_stage(one.se, 1)) for one in designs)
    assert is_uniform(pairs, 5 * 5 * 2), "stages choose independently"


def test_ratios_and_scale_are_log_uniform() -> None:
    designs = drawn()
    assert is_log_uniform([one.scale or 0 for one in designs], 0.333, 1.5)
    for stage in range(2):
        growth = [one.ratios[stage + 1] / one.ratios[stage] for one in designs if one.ratios]
        assert len(growth) == DRAWN
        assert is_log_uniform(growth, 1.2, 2.8)


def test_the_shuffle_is_drawn_where_a_stage_has_several_groups() -> None:
    designs = drawn()
    assert {one.shuffle for one in designs if one.groups == 1} == {None}
    assert is_uniform(Counter(one.shuffle for one in designs if one.groups != 1), 2)


def test_stages_that_agree_are_one_choice() -> None:
    for one in drawn():
        for values in (one.groups, one.se):
            assert not isinstance(values, tuple) or len(set(values)) > 1


def test_a_seed_gives_its_designs_again_and_every_design_is_another() -> None:
    assert drawn(count=50, seed=7) == drawn(count=50, seed=7) != drawn(count=50, seed=8)
    designs = drawn()
    assert len(set(designs)) == len({label_of(one) for one in designs}) == DRAWN


def test_what_is_drawn_solves_for_a_budget_near_to_its_own_proportion() -> None:
    near = 0
    for design in drawn(count=60):
        check_design(FREE, design)
        solution = solve(FREE, mflops_budget(40), design, tight=True)
        near += abs(solution.deviation or 0) <= 0.001
        widths = solution.architecture.stage_channels
        assert all(before < after for before, after in pairwise(widths))
        assert solution.architecture.from_key(solution.architecture.key) == solution.architecture
        assert solution.architecture.stage_repeats == FREE.repeats(design.depth)
    assert near >= 57


@pytest.mark.parametrize("name", bundled_names("spaces"))
def test_a_space_that_is_not_open_is_drawn_from_its_lists(name: str) -> None:
    space = load_space(name)
    if space.opened:
        return
    designs = drawn(space, 1500)
    assert {one.ratios for one in designs} == {None}
    assert is_uniform(
        Counter((one.groups, one.depth, one.se, one.scale) for one in designs),
        len(space.search_groups) * len(space.search_depths) * len(space.search_se) * max(1, len(space.search_scales)),
    )


@pytest.fixture
def mobilenet(tmp_path: Path) -> Any:
    """Reads the MobileNet space with other lines at the end of its [search], and with depths or without."""

    def read(lines: str, depths: str = "[]") -> SpaceSpec:
        text = (bundled_folder("spaces") / "mobilenet-v1.toml").read_text(encoding="utf-8")
        text = re.sub(r'^depths = \["paper".*$', f"depths = {depths}", text, flags=re.MULTILINE)
        path = tmp_path / "mine.toml"
        path.write_text(f"{text.rstrip()}\n{lines}\n", encoding="utf-8")
        return read_space(path)

    return read


def test_a_peer_s_space_may_be_opened_too(mobilenet: Any) -> None:
    space = mobilenet(OPENED)
    assert set(space.opened) == {"per_stage", "units", "ratios"}
    designs = drawn(space, 200)
    assert {one.scale for one in designs} == {None}
    assert {one.groups for one in designs} == {1}
    assert all(one.ratios is not None and len(one.ratios) == 5 for one in designs)
    assert len({one.se for one in designs}) == 32
    assert {(one.depth or "")[-3:] for one in designs} == {"1-2"}
    for design in designs[:20]:
        solution = solve(space, mflops_budget(100), design, tight=True)
        assert solution.architecture.unit == "separable"
        assert abs(solution.deviation or 0) < 0.02


@pytest.mark.parametrize(
    ("lines", "depths", "message"),
    [
        ("", "[]", "[search] depths is []; expected a list of depth names, or units beside it"),
        (OPENED, '["paper"]', "[search] has both depths and units; expected one of them"),
        ("units = [[1, 2], [1, 2]]", "[]", "[search] units is [[1, 2], [1, 2]]; expected 5 ranges, one per stage"),
        ("units = [[2, 1]]", "[]", "[search] units[0] is [2, 1]; expected [least, most] of a stage's units, from 1"),
        ("units = [[0, 1]]", "[]", "[search] units[0] is [0, 1]; expected"),
        ("units = [[1, 101]]", "[]", "[search] units[0] is [1, 101]; expected"),
        ("units = [[1, 2.5]]", "[]", "expected a"),
        ("ratios = [0.9, 2]", '["paper"]', "[search] ratios is [0.9, 2]; expected [least, most] of a stage's width"),
        ("ratios = [1, 17]", '["paper"]', "over that of the stage before, from 1 to 16"),
        ("ratios = [2]", '["paper"]', "[search] ratios is [2]; expected"),
        ("ratios = [1, nan]", '["paper"]', "expected a number"),
        (
            "scale = [0.5, 2]",
            '["paper"]',
            "[search] has a scale, and [stem] no channels_at_scale that it chooses from",
        ),
        (
            "scale = [0.001, 2]",
            '["paper"]',
            "[search] scale is [0.001, 2]; expected [least, most] of the scale, from",
        ),
        ("shuffle = [true, false]", '["paper"]', "space mobilenet-v1 has no switch for shuffle"),
        ('per_stage = ["group"]', '["paper"]', 'expected one of groups, se; did you mean "groups"?'),
        ("per_stage = []", '["paper"]', '[search] per_stage is []; expected some of "groups" and "se"'),
        ("rations = [1, 2]", '["paper"]', '[search]: unknown key "rations"; did you mean "ratios"?'),
    ],
)
def test_what_opens_a_search_is_read_strictly(mobilenet: Any, lines: str, depths: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        mobilenet(lines, depths)


def test_a_list_of_scales_beside_a_range_is_refused(tmp_path: Path) -> None:
    text = (bundled_folder("spaces") / "shufflenet-free.toml").read_text(encoding="utf-8")
    assert text.count("scales = []") == 1
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("scales = []", "scales = [1.0]"), encoding="utf-8")
    with pytest.raises(SpecError, match="has both scales and scale"):
        read_space(path)


def test_what_a_search_is_open_to_is_in_the_digest_and_nothing_else_of_it() -> None:
    assert digest_of(load_space("shufflenet-v1")) == "589c0311012ca285", "as in the studies of earlier versions"
    other = replace(FREE, search_growth=(1.2, 3.0))
    closed = replace(FREE, search_growth=None)
    assert len({digest_of(FREE), digest_of(other), digest_of(closed)}) == 3
