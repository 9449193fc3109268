"""The readers of spaces/*.toml and budgets/*.toml, and the ways to name one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.errors import SpecError
from snsearch.files import bundled_folder, bundled_names
from snsearch.solver.budget import Budget, load_budget, mflops_budget, read_budget, with_input
from snsearch.solver.design import Design
from snsearch.solver.lattice import WidthLine
from snsearch.solver.space_rules import check_space
from snsearch.solver.spec import load_space, read_space

BUDGET = """\
schema = 1
name = "mine"
mflops = 140
resolution = "192x256"
classes = 100
"""

Edit = Callable[[str, str], Path]


@pytest.fixture
def edited_space(tmp_path: Path) -> Edit:
    """Writes ShuffleNet's file with one line replaced."""
    text = (bundled_folder("spaces") / "shufflenet-v1.toml").read_text(encoding="utf-8")

    def write(line: str, by: str) -> Path:
        changed, count = re.subn(rf"^{re.escape(line)}.*$", by.replace("\\", "\\\\"), text, flags=re.MULTILINE)
        assert count == 1, f"{line!r} is not one line of the file"
        path = tmp_path / "mine.toml"
        path.write_text(changed, encoding="utf-8")
        return path

    return write


@pytest.fixture
def budget_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("name", bundled_names("spaces"))
def test_every_bundled_space_loads_under_its_file_name(name: str) -> None:
    space = load_space(name)
    assert space.name == name
    assert "arXiv:" in space.source
    assert space.repeats(None) == space.depths[0][1]
    assert {len(space.ratios)} == {len(space.strides), *(len(repeats) for _, repeats in space.depths)}


@pytest.mark.parametrize("name", bundled_names("budgets"))
def test_every_bundled_budget_loads_under_its_file_name(name: str) -> None:
    budget = load_budget(name)
    assert budget.name == name
    assert budget.title
    assert budget.source
    assert budget.describe()


def test_a_budget_is_named_by_number_by_name_or_by_file(budget_file: Callable[[str], Path]) -> None:
    assert load_budget("140").macs == load_budget("1.4e2").macs == load_budget("paper-140").macs == 140_000_000
    assert load_budget(str(budget_file(BUDGET))) == Budget(
        name="mine", macs=140_000_000, resolution=(192, 256), classes=100
    )


def test_a_space_is_named_by_name_or_by_file() -> None:
    path = bundled_folder("spaces") / "resnet.toml"
    assert load_space("resnet") == load_space(str(path)) == read_space(path)


@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf", "1e8", "0.0001"])
def test_budgets_outside_the_range_are_refused(text: str) -> None:
    with pytest.raises(SpecError, match="expected MFLOPs between"):
        load_budget(text)


@pytest.mark.parametrize(
    ("load", "text", "message"),
    [
        (load_budget, "paper-14", "no budget is named 'paper-14'; did you mean \"paper-140\"?"),
        (load_space, "shufflenet", "no space is named 'shufflenet'; did you mean \"shufflenet-v1\"?"),
        (load_space, "zzz", "no space is named 'zzz'; known: igc, mobilenet-v1, resnet"),
        (load_space, "", "no space is named ''"),
        (load_space, "nowhere.toml", "space file 'nowhere.toml' does not exist"),
        (load_budget, "no/where", "budget file 'no/where' does not exist"),
        (load_budget, "/", "budget file '/' is a folder, not a file"),
        (load_space, "./", "space file './' is a folder, not a file"),
        (load_space, "x" * 5000, "no space is named"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else None,
)
def test_what_names_nothing_gets_a_suggestion(load: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        load(text)


@pytest.mark.parametrize(
    ("line", "by", "message"),
    [
        ("kind =", 'kind = "shufflenet"\ngroup = [1]', '[unit]: unknown key "group"; did you mean "groups"?'),
        ("name =", 'name = "mine"\nzzz = 1', 'space "mine.toml": unknown key "zzz"; known: '),
        ("mflops =", "mflops = 140\nmac = 3", '[scale]: unknown key "mac"'),
        ("ratios =", "ratios = [1, 2, 4]\nstride = [2]", '[stages]: unknown key "stride"; did you mean "strides"?'),
        ("times_groups =", "times_groups = true\nmultiples_of = 4", 'did you mean "multiple_of"?'),
        ("max_pool =", "max_pool = true\nmaxpool = true", '[stem]: unknown key "maxpool"; did you mean "max_pool"?'),
        ("se = [", "se = [true]\nscaels = [1.0]", '[search]: unknown key "scaels"; did you mean "scales"?'),
        ("times_groups =", "times_group = true", '[width]: unknown key "times_group"; did you mean "times_groups"?'),
        ("channels_at_scale =", "", "[stem] has neither of channels_at_scale and width_ratio"),
        (
            "channels_at_scale =",
            "channels_at_scale = [[1.0, 24]]\nwidth_ratio = 0.5",
            "[stem] has both of channels_at_scale",
        ),
        ("times_groups =", "", '[width]: missing key "times_groups"; expected true or false'),
        ("[scale]", "[scales]", 'missing key "scale"; expected a table'),
        ("[width]", "[widths]", 'unknown key "widths"; did you mean "width"?'),
        ("schema =", "", 'missing key "schema"'),
        ("schema =", "schema = 2", "schema is 2; this version of snsearch reads schema 1"),
        ("schema =", "schema = true", "schema is True; this version"),
        ("name =", "name = 3", "name is 3; expected a name"),
        ("name =", 'name = " "', "name is ' '; expected a name"),
        ("bottleneck =", "bottleneck = 0", "bottleneck is 0; expected a positive integer"),
        ("bottleneck =", "bottleneck = 4.0", "bottleneck is 4.0; expected a positive integer"),
        ("bottleneck =", "bottleneck = true", "bottleneck is True; expected a positive integer"),
        ("groups = [1, 2, 3, 4, 8]      # default", "groups = 3", "groups is 3; expected a list of group counts"),
        ("groups = [1, 2, 3, 4, 8]      # default", "groups = []", "groups is []; expected a list of group counts"),
        ("any_groups =", "any_groups = 1", "any_groups is 1; expected true or false"),
        (
            "options =",
            'options = ["shufle"]',
            "options[0] is 'shufle'; expected one of shuffle, se; did you mean \"shuffle\"?",
        ),
        (
            "channels_at_scale =",
            "channels_at_scale = [[1.0]]",
            "channels_at_scale[0] is [1.0]; expected [scale, channels]",
        ),
        ("channels_at_scale =", "channels_at_scale = []", "expected a list of [scale, channels]"),
        ("ratios =", "ratios = [4, 2, 1]", "ratios is [4.0, 2.0, 1.0]; expected rising ratios that begin with 1"),
        ("ratios =", "ratios = [1, 4, 2]", "expected rising ratios that begin with 1"),
        ("ratios =", "ratios = [2, 4, 8]", "expected rising ratios that begin with 1"),
        (
            "kind =",
            'kind = "shuffelnet"',
            "[unit] kind: unknown structure unit 'shuffelnet'; did you mean \"shufflenet\"?",
        ),
        (
            "multiple_of =",
            "multiple_of = 1",
            "[width] multiple_of is 1; expected a multiple of 4, so that the bottleneck",
        ),
        (
            "multiple_of =",
            "multiple_of = 10001",
            "[width] multiple_of is 10001; expected a positive integer up to 10,000",
        ),
        (
            "bottleneck =",
            "bottleneck = 3",
            "expected a multiple of 3, so that the bottleneck (the width over [unit] bott",
        ),
        (
            "times_groups =",
            "times_groups = false",
            "[width] times_groups is false; expected true where [unit] any_groups",
        ),
        ("multiple_of_groups =", "multiple_of_groups = false", "[stem] multiple_of_groups: expected true"),
        (
            "channels_at_scale =",
            "width_ratio = 0.5",
            "[stem] multiple_of_groups: expected true, with channels_at_scale",
        ),
        ("channels_at_scale =", "width_ratio = 1.0", "[stem] width_ratio is 1; expected less than 1"),
        (
            "channels_at_scale =",
            "channels_at_scale = [[1e-9, 1]]",
            "[stem] channels_at_scale[0][0] is 1e-09; expected a",
        ),
        (
            "channels_at_scale =",
            "channels_at_scale = [[1, 1000000]]",
            "channels_at_scale[0][1] is 1000000; expected a",
        ),
        (
            "strides =",
            "strides = [1, 2, 2]",
            "[stages] strides[0] is 1; expected 2, because the first shufflenet unit",
        ),
        (
            "strides =",
            "strides = [2, 2, 1]",
            "[stages] ratios is [1.0, 2.0, 4.0] and strides [2, 2, 1]; expected equal",
        ),
        ("strides =", "strides = [2, 3, 2]", "[stages] strides[1] is 3; expected 1 or 2, as a shufflenet unit has"),
        ("strides =", "strides = [2, 2, 17]", "[stages] strides[2] is 17; expected a positive integer up to 16"),
        ("stride =", "stride = 1000000", "[stem] stride is 1000000; expected a positive integer up to 16"),
        (
            "ratios =",
            "ratios = [1, 1, 1]",
            "[stages] ratios is [1.0, 1.0, 1.0] and strides [2, 2, 2]; expected rising",
        ),
        (
            "ratios =",
            "ratios = [1, 2, 1e300]",
            "[stages] ratios[2] is 1e+300; expected a positive number up to 1,000",
        ),
        ("named =", "named = [1e9]", "named[0] is 1000000000.0; expected a number from 0.01 to 100"),
        ("scales =", "scales = [1e300]", "[search] scales[0] is 1e+300; expected a number from 0.01 to 100"),
        ("paper =", "paper = [4, 8, 101]", "[depths] paper[2] is 101; expected a positive integer up to 100"),
        ("mflops =", "mflops = 1e8", "mflops is 100000000.0; expected millions of multiply-adds"),
        ("resolution =", "resolution = 4097", "resolution: resolution 4097: expected pixels"),
        ("groups = [1, 2, 3, 4, 8]      # default", f"groups = [{'9' * 400}]", "[unit] groups[0] is 999"),
        ("ratios =", "ratios = [1, nan, 4]", "[stages] ratios[1] is nan; expected a positive number"),
        ("strides =", "strides = [2, 2]", "strides is [2, 2]; expected 3 integers, one a stage"),
        ("medium =", "medium = [3, 6, 3, 3]", "medium is [3, 6, 3, 3]; expected 3 integers, one a stage"),
        ("medium =", "medium = [3, 0, 3]", "[depths] medium[1] is 0; expected a positive integer"),
        ("depths = [", 'depths = ["papr"]', "[search] space shufflenet-v1: no depth 'papr'; did you mean \"paper\"?"),
        ("mflops =", "mflops = 0", "mflops is 0; expected millions of multiply-adds"),
        ("mflops =", 'mflops = "140"', "mflops is '140'; expected millions of multiply-adds"),
        ("mflops =", "mflops = inf", "mflops is inf; expected millions of multiply-adds"),
        ("resolution =", 'resolution = "wide"', "resolution: resolution 'wide': expected pixels"),
        ("named =", "named = []", "named is []; expected a list of scales"),
        ("se = [", "se = [1]", "[search] se[0] is 1; expected true or false"),
    ],
)
def test_a_mistake_in_a_space_names_file_key_and_expectation(
    edited_space: Edit, line: str, by: str, message: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(message)) as raised:
        read_space(edited_space(line, by))
    assert 'space "mine.toml"' in str(raised.value)


def test_a_switch_that_is_searched_must_exist(edited_space: Edit) -> None:
    with pytest.raises(SpecError, match="has no switch for se"):
        read_space(edited_space("options =", 'options = ["shuffle"]'))


def test_group_counts_that_are_searched_must_exist(edited_space: Edit) -> None:
    path = edited_space("any_groups =", "any_groups = false")
    path.write_text(path.read_text().replace("groups = [1, 2, 3, 4, 8]      #", "groups = [1, 2]      #"))
    with pytest.raises(SpecError, match="no group count 3; it has 1, 2"):
        read_space(path)


@st.composite
def _numbers(draw: st.DrawFn) -> dict[str, Any]:
    """Numbers of a space of ShuffleNet's units, of which some cannot work."""
    stages = draw(st.integers(1, 4))
    rises = draw(st.lists(st.sampled_from((0, 0.01, 0.3, 0.5, 1, 1.37)), min_size=stages - 1, max_size=stages - 1))
    groups = draw(st.lists(st.integers(1, 8), min_size=1, max_size=3))
    ratios = tuple(accumulate((1.0, *rises)))
    return {
        "bottleneck": draw(st.integers(1, 5)),
        "groups": tuple(groups),
        "search_groups": tuple(groups),
        "any_groups": draw(st.booleans()),
        "width_multiple": draw(st.integers(1, 16)),
        "width_times_groups": draw(st.booleans()),
        "stem_multiple_of_groups": draw(st.booleans()),
        "stem_at_scale": ((1.0, draw(st.integers(1, 64))),),
        "ratios": ratios,
        "strides": tuple(draw(st.lists(st.sampled_from((1, 2, 2, 2, 3)), min_size=stages, max_size=stages))),
        "depths": (("paper", (2,) * stages),),
        "search_depths": ("paper",),
    }


@pytest.mark.parametrize("unit", ["shufflenet", "bottleneck"])
@given(numbers=_numbers())
def test_of_a_space_that_is_accepted_every_network_can_be_built(unit: str, numbers: dict[str, Any]) -> None:
    space = replace(load_space("shufflenet-v1"), unit=unit, **numbers)
    try:
        check_space(space, "it")
    except SpecError:
        return
    stages = len(space.ratios)
    for groups in (*space.groups, (space.groups * stages)[:stages], *((5,) if space.any_groups else ())):
        line = WidthLine(space=space, design=Design(groups=groups), input=space.reference, scale=1.0, pack=1)
        first = line.first()
        assert all(line.macs(point) for point in range(first, first + 40))
        with nullcontext() if first == 1 else pytest.raises(SpecError):
            line.macs(max(1, first - 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("mflop = 3", 'unknown key "mflop"; did you mean "mflops"?'),
        ("param = 3", 'unknown key "param"; did you mean "params"?'),
        ('peak_activation = "3 parsecs"', "peak_activation: '3 parsecs' is not a quantity; expected a size"),
        ("peak_activation = -1", "peak_activation: -1 is not a quantity"),
        ('match = "below"', "match is 'below'; expected one of nearest, under"),
        ('precision = "int4"', "precision is 'int4'; expected one of float32, float16, int8; did you mean"),
        ("precision = []", "precision is []; expected one of"),
        ("input_channels = 0", "input_channels is 0; expected a positive integer"),
        ("title = []", "title is []; expected a line of text"),
    ],
)
def test_a_mistake_in_a_budget_names_file_key_and_expectation(
    budget_file: Callable[[str], Path], change: str, message: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(f'budget "mine.toml": {message}')):
        read_budget(budget_file(f"{BUDGET}{change}\n"))


@pytest.mark.parametrize(
    ("line", "by", "message"),
    [
        ("mflops = 140", 'mflops = "140"', "mflops is '140'; expected millions of multiply-adds"),
        ("mflops = 140", "mflops = 1e30", "mflops is 1e+30; expected millions of multiply-adds"),
        ("mflops = 140", "mflops = true", "mflops is True; expected millions of multiply-adds"),
        ("classes = 100", "classes = 2000000", "classes is 2000000; expected a positive integer"),
        ('name = "mine"', "", 'missing key "name"; expected a name'),
        ("schema = 1", 'schema = "1"', "schema is '1'; this version"),
        ("mflops = 140", "mflops = ", "not valid TOML"),
    ],
)
def test_a_wrong_line_of_a_budget_is_refused(
    budget_file: Callable[[str], Path], line: str, by: str, message: str
) -> None:
    assert line in BUDGET
    with pytest.raises(SpecError, match=re.escape(message)):
        read_budget(budget_file(BUDGET.replace(line, by)))


def test_a_file_that_is_not_text_is_not_valid_toml(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r'budget "mine.toml": not valid TOML'):
        read_budget(path)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r'budget "mine.toml": cannot be read: No such file or directory'):
        read_budget(tmp_path / "mine.toml")
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    with pytest.raises(SpecError, match=r'space "folder.toml": cannot be read: Is a directory'):
        read_space(tmp_path / "folder.toml")
    with pytest.raises(SpecError, match=r'space "pipe.toml": cannot be read: pipe: not a regular file'):
        load_space(str(tmp_path / "pipe.toml"))
    with pytest.raises(SpecError, match=r'budget "zero.toml": cannot be read: device: not a regular file'):
        load_budget(str(tmp_path / "zero.toml"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"mflops = {'[' * 5000}{']' * 5000}", "not valid TOML: it nests too deep, behind 'mflops ='"),
        (f"x = {'{a=' * 5000}1{'}' * 5000}", "not valid TOML: it nests too deep, behind 'x ='"),
        (f"{'.'.join('a' * 50000)} = 1", "not valid TOML: it nests too deep, at 'a.a.a."),
        (".".join(50 * ['"b c"', "'d'"]) + " = 1", "not valid TOML: it nests too deep, at '\"b c\".\\'d\\'"),
        (f"classes = {'9' * 6000}", "not valid TOML: an integer of thousands of digits, behind 'classes ='"),
        (f"classes = {'9' * 400}", "classes is 999"),
        (f"# {'x' * 10_000_000}", "cannot be read: file larger than 256 KiB"),
        ("params = 1e15", "params: 1000000000000000.0 is out of range; expected a number such as"),
        ("params = 1e308", "params: 1e+308 is out of range; expected a number such as"),
        ("peak_activation = nan", "peak_activation: nan is out of range; expected a size such as"),
        ('model_size = "2000GiB"', "model_size: '2000GiB' is out of range; expected a size such as"),
        ("input_channels = 10001", "input_channels is 10001; expected a positive integer up to 10,000"),
    ],
    ids=lambda value: value[:20],
)
def test_what_no_file_needs_is_refused_at_once_with_its_place(
    budget_file: Callable[[str], Path], line: str, message: str
) -> None:
    text = 'schema = 1\nname = "mine"\nmflops = 40\n'.replace("mflops = 40\n" * line.startswith("mflops"), "")
    with pytest.raises(SpecError, match=re.escape(f'budget "mine.toml": {message}')) as raised:
        read_budget(budget_file(f"{text}{line}\n"))
    assert len(str(raised.value)) < 400


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(BUDGET, encoding="utf-8-sig")
    assert read_budget(path).macs == 140_000_000


def test_a_budget_that_bounds_nothing_is_refused(budget_file: Callable[[str], Path]) -> None:
    with pytest.raises(SpecError, match=r'budget "mine": bounds nothing; give mflops, params'):
        read_budget(budget_file('schema = 1\nname = "mine"\nclasses = 10\n'))


def test_every_bound_of_a_budget_file_is_read(budget_file: Callable[[str], Path]) -> None:
    text = """
    params = "1.9M"
    peak_activation = "320KiB"
    model_size = "250kB"
    match = "under"
    precision = "int8"
    input_channels = 1
    title = "t"
    source = "s"
    """
    assert read_budget(budget_file(BUDGET + text)) == Budget(
        name="mine",
        title="t",
        source="s",
        macs=140_000_000,
        params=1_900_000,
        peak_activation_bytes=327_680,
        weight_bytes=250_000,
        match="under",
        precision="int8",
        resolution=(192, 256),
        classes=100,
        input_channels=1,
    )


def test_a_budget_describes_each_of_its_bounds() -> None:
    budget = Budget(name="b", macs=140_000_000, params=1_900_000, peak_activation_bytes=2**20, weight_bytes=2**11)
    macs, params, peak, size = budget.describe().split(", ")
    assert "140.00 MFLOPs" in macs
    assert "1.90 M parameters" in params
    assert "1.00 MiB" in peak
    assert "2.0 KiB" in size
    assert mflops_budget(140, "under").describe() == "at most 140.00 MFLOPs"


def test_another_input_keeps_the_bounds() -> None:
    budget = mflops_budget(140)
    assert with_input(budget) == budget
    other = with_input(budget, resolution=(96, 128), classes=2)
    assert (other.macs, other.resolution, other.classes) == (140_000_000, (96, 128), 2)


def test_repeats_come_from_a_name_or_a_list_of_counts() -> None:
    space = load_space("shufflenet-v1")
    assert space.repeats("shallow") == space.repeats("2-4-2") == (2, 4, 2)
    assert space.repeats(None) == space.repeats("paper") == (4, 8, 4)


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        ("shalow", "no depth 'shalow'; did you mean \"shallow\"?"),
        ("", "no depth ''"),
        ("4-8", "depth '4-8' does not fit; expected 3 counts from 1 to 100"),
        ("4-8-0", "depth '4-8-0' does not fit"),
        ("4-8-101", "depth '4-8-101' does not fit"),
        ("4--8-4", "no depth '4--8-4'"),
        ("-4-8-4", "no depth '-4-8-4'"),
    ],
)
def test_depths_that_the_space_lacks_are_refused(depth: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        load_space("shufflenet-v1").repeats(depth)


def test_group_counts_and_switches_that_the_space_lacks_are_refused() -> None:
    load_space("shufflenet-v1").check_groups(5)  # any group count may be asked of ShuffleNet
    with pytest.raises(SpecError, match="space resnet: no group count 2; it has 1"):
        load_space("resnet").check_groups(2)
    with pytest.raises(SpecError, match="no group count 0"):
        load_space("shufflenet-v1").check_groups(0)
    with pytest.raises(SpecError, match="space resnet has no switch for shuffle"):
        load_space("resnet").check_option("shuffle")


def test_a_misspelt_bound_is_called_that_and_not_missing(tmp_path: Path) -> None:
    path = tmp_path / "x1.toml"
    path.write_text('schema = 1\nname = "x1"\nmflop = 3\n', encoding="utf-8")
    with pytest.raises(SpecError, match=r'budget "x1.toml": unknown key "mflop"; did you mean "mflops"\?'):
        read_budget(path)
