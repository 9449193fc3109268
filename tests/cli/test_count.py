"""snsearch count: what SPEC may be, what it prints in each format, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from snsearch.codec import encode
from snsearch.files import bundled_folder, bundled_names
from snsearch.network import counters
from snsearch.network.arch import Architecture
from snsearch.network.conventions import count_conventions
from snsearch.network.costs import cost_report, count_costs, count_macs
from snsearch.network.counters import verify
from snsearch.network.graph import OpGraph
from snsearch.solver.budget import mflops_budget, with_input
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled, solve
from snsearch.solver.spec import load_space
from tests.architectures import shufflenet
from tests.printed import printed_rows, unwrapped

Run = Callable[..., Any]

PAPER_1X = shufflenet(3, 240, 480, 960)
TINY = shufflenet(2, 32, stem=8, stage_repeats=(2,), resolution=(33, 21), classes=7, se_reduction=4)

FIELDS = {
    "key",
    "macs",
    "params",
    "model_size_bytes",
    "bytes_moved",
    "peak_activation_bytes",
    "precision",
    "depth",
    "conventions",
}


@pytest.fixture
def counts(run: Run) -> Callable[..., list[dict[str, Any]]]:
    """Runs count and returns the networks of its JSON."""

    def call(*arguments: str) -> list[dict[str, Any]]:
        outcome = run("count", *arguments, "--format", "json")
        assert (outcome.code, outcome.err) == (0, "")
        document = json.loads(outcome.out)
        assert set(document) == {"schema", "counts"}
        assert document["schema"] == 1
        found: list[dict[str, Any]] = document["counts"]
        return found

    return call


def keys(found: list[dict[str, Any]]) -> list[str]:
    """The counted architectures."""
    return [one["key"] for one in found]


# What SPEC may be.


def test_a_key_is_counted_as_the_library_counts_it(counts: Run) -> None:
    [found] = counts(PAPER_1X.key)
    assert set(found) == FIELDS
    costs = count_costs(PAPER_1X)
    assert (found["key"], found["macs"], found["precision"]) == (PAPER_1X.key, 137_460_672, "float32")
    assert found["params"] == costs.params
    assert found["model_size_bytes"] == costs.weight_bytes
    assert found["bytes_moved"] == costs.bytes_moved
    assert found["peak_activation_bytes"] == costs.peak_activation_bytes
    assert found["conventions"] == {
        one.convention: {"total": one.total, "meaning": one.meaning, "difference": one.difference}
        for one in count_conventions(OpGraph.of(PAPER_1X))
    }


def test_a_document_of_solve_is_counted_network_by_network(run: Run, counts: Run, tmp_path: Path) -> None:
    solved = run("solve", "--mflops", "13,38", "--groups", "1,3", "--format", "json").out
    (tmp_path / "nets.json").write_text(solved)
    solutions = json.loads(solved)["solutions"]
    found = counts(str(tmp_path / "nets.json"))
    assert len(found) == 4
    assert [(one["key"], one["macs"], one["params"]) for one in found] == [
        (solution["key"], solution["macs"], solution["params"]) for solution in solutions
    ]


@pytest.mark.parametrize("level", ["solution", "architecture"])
def test_a_part_of_a_document_is_counted_too(counts: Run, tmp_path: Path, level: str) -> None:
    architecture = encode(TINY)
    document = {"key": TINY.key, "architecture": architecture} if level == "solution" else architecture
    (tmp_path / "net.json").write_text(json.dumps(document))
    assert keys(counts(str(tmp_path / "net.json"))) == [TINY.key]


def test_a_space_is_counted_at_its_first_group_count_and_1x(counts: Run) -> None:
    assert keys(counts("shufflenet-v1")) == [shufflenet(1, 144, 288, 576).key]


@pytest.mark.parametrize("name", bundled_names("spaces"))
def test_every_space_can_be_counted(counts: Run, name: str) -> None:
    [found] = counts(name)
    arch = Architecture.from_key(found["key"])
    assert found["macs"] == count_macs(arch)
    assert arch.unit == load_space(name).unit


def test_a_space_file_is_counted(counts: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((bundled_folder("spaces") / "resnet.toml").read_text())
    assert keys(counts(str(path))) == keys(counts("resnet"))


def test_groups_and_scales_of_a_space_are_each_counted(counts: Run) -> None:
    space = load_space("shufflenet-v1")
    expected = [
        scaled(space, Design(groups=groups, scale=scale), mflops_budget(1)).architecture.key
        for scale in (0.5, 1)
        for groups in (3, 8)
    ]
    assert keys(counts("shufflenet-v1", "--groups", "3,8", "--scale", "0.5,1")) == expected
    assert expected[2] == PAPER_1X.key


def test_mflops_solve_the_space_first(counts: Run) -> None:
    space = load_space("shufflenet-v1")
    expected = [
        solve(space, mflops_budget(mflops), Design(groups=groups)).architecture.key
        for mflops in (13, 140)
        for groups in (3, 4)
    ]
    assert keys(counts("shufflenet-v1", "--mflops", "13,140", "--groups", "3,4")) == expected


def test_design_and_bounds_reach_the_solver(counts: Run) -> None:
    [found] = counts(
        "shufflenet-v1", "--groups", "3", "--mflops", "40", "--match", "under", "--resolution", "96x128",
        "--classes", "10", "--depth", "2-4-2", "--se", "--no-shuffle",
    )  # fmt: skip
    arch = Architecture.from_key(found["key"])
    budget = with_input(replace(mflops_budget(40), match="under"), resolution=(96, 128), classes=10)
    design = Design(groups=3, depth="2-4-2", se=True, shuffle=False)
    assert arch == solve(load_space("shufflenet-v1"), budget, design).architecture
    assert (arch.resolution, arch.classes, arch.stage_repeats) == ((96, 128), 10, (2, 4, 2))
    assert (arch.se_reduction, arch.shuffle) == ((16, 16, 16), False)
    assert found["macs"] <= 40_000_000


def test_a_space_without_a_budget_takes_the_input_that_is_asked_for(counts: Run) -> None:
    [found] = counts("resnet", "--resolution", "64", "--classes", "3", "--scale", "0.5")
    arch = Architecture.from_key(found["key"])
    assert (arch.resolution, arch.classes) == ((64, 64), 3)


def test_sizes_are_those_of_the_precision(counts: Run) -> None:
    [wide], [half], [narrow] = (counts(TINY.key, "--precision", form) for form in ("float32", "float16", "int8"))
    assert [one["precision"] for one in (wide, half, narrow)] == ["float32", "float16", "int8"]
    for field in ("model_size_bytes", "bytes_moved", "peak_activation_bytes"):
        assert wide[field] == 2 * half[field] == 4 * narrow[field]
    assert wide["macs"] == narrow["macs"]


# Layers and checks.


def test_layers_are_those_of_the_cost_report_and_sum_to_its_totals(counts: Run) -> None:
    [found] = counts(TINY.key, "--layers")
    assert set(found) == FIELDS | {"layers"}
    report = cost_report(OpGraph.of(TINY))
    assert found["layers"] == [{**asdict(op), "output": list(op.output)} for op in report.operators]
    for field in ("macs", "params", "bytes_moved"):
        assert sum(layer[field] for layer in found["layers"]) == found[field]


def test_a_check_holds_what_the_real_counters_say(counts: Run) -> None:
    [found] = counts(TINY.key, "--check")
    assert set(found) == FIELDS | {"checked"}
    assert found["checked"] == asdict(verify(TINY))
    assert found["checked"]["thop_macs"] == found["checked"]["torch_macs"] == found["macs"]
    assert found["checked"]["thop_total"] == found["conventions"]["thop"]["total"]
    assert found["checked"]["module_params"] == found["params"]


def test_every_network_of_a_document_is_checked(counts: Run) -> None:
    found = counts("shufflenet-v1", "--groups", "1,3", "--scale", "0.25", "--resolution", "32", "--check")
    assert [one["checked"]["torch_macs"] for one in found] == [one["macs"] for one in found]


def test_counters_that_disagree_end_with_code_7(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "count_with_torch", lambda network: 17)
    outcome = run("count", TINY.key, "--check", "--format", "json")
    assert (outcome.code, outcome.out) == (7, "")
    assert f"counted 17, but the cost report has {count_macs(TINY):,}" in outcome.err


def test_the_table_holds_every_convention_and_behind_it_what_makes_its_difference(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    outcome = run("count", PAPER_1X.key)
    assert (outcome.code, outcome.err) == (0, "")
    assert "\x1b" not in outcome.out  # no colours where nobody looks at a terminal
    assert outcome.out.startswith(PAPER_1X.key)
    expected: list[tuple[str, str]] = []
    for one in count_conventions(OpGraph.of(PAPER_1X)):
        expected.append((one.convention, one.meaning))
        largest_first = sorted(one.difference, key=lambda source, one=one: -one.difference[source])
        expected += [("", source) for source in largest_first]
    rows = printed_rows(outcome.out)
    assert [(cells[0], cells[3]) for cells in rows] == expected
    assert {cells[0]: cells[1:3] for cells in rows if cells[0]} == {
        "paper": ["137.46", "+0.0%"],
        "thop": ["149.59", "+8.8%"],
        "fvcore": ["143.51", "+4.4%"],
        "torch": ["274.92", "+100.0%"],
    }


def test_the_table_holds_every_operator_only_when_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    plain, layered = printed_rows(run("count", TINY.key).out), printed_rows(run("count", TINY.key, "--layers").out)
    operators = cost_report(OpGraph.of(TINY)).operators
    assert (
        layered
        == [
            [
                op.name,
                op.kind,
                "x".join(map(str, op.output)),
                *(f"{n:,}" for n in (op.macs, op.params, op.bytes_moved)),
            ]
            for op in operators
        ]
        + plain
    )


def test_the_table_says_that_the_counters_agree_when_checked(run: Run) -> None:
    plain, checked = run("count", TINY.key), run("count", TINY.key, "--check")
    assert (checked.code, checked.err) == (0, "")
    assert "all agree" not in plain.out
    assert checked.out.endswith("all agree\n")
    said = unwrapped(checked.out)
    found = verify(TINY)
    for number in (found.thop_macs, found.torch_macs, found.thop_total, found.module_params):
        assert f"{number:,}" in said


# Mistakes.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", '"net.json": not valid JSON'),
        ("", '"net.json": not valid JSON'),
        ("[1, 2]", '"net.json": expected an architecture'),
        ('"text"', '"net.json": expected an architecture'),
        ('{"solutions": [3]}', '"net.json": expected an architecture'),
        ('{"unit": "shufflenet"}', "missing key"),
        (json.dumps(encode(TINY) | {"colour": 1}), 'unknown key "colour"'),
        (json.dumps(encode(TINY) | {"groups": "two"}), "groups is 'two'"),
        (json.dumps(encode(TINY) | {"groups": 0}), "groups is 0"),
        (json.dumps(encode(TINY) | {"stage_channels": 3}), "stage_channels is 3; expected a list"),
        (json.dumps(encode(TINY) | {"stage_channels": ["a"]}), "stage_channels[0] is 'a'; expected an integer"),
        (json.dumps(encode(TINY) | {"stage_channels": [32, 64]}), "differ in length"),
        (json.dumps(encode(TINY) | {"resolution": "wide"}), "resolution"),
        (json.dumps(encode(TINY) | {"resolution": None}), "resolution"),
        (json.dumps(encode(TINY) | {"shuffle": "yes"}), "shuffle"),
        (json.dumps(encode(TINY) | {"unit": "mobile"}), "unknown structure unit 'mobile'"),
        (json.dumps(encode(TINY) | {"unit": None}), "unit is None"),
        (json.dumps(encode(TINY) | {"stage_channels": [33]}), "groups"),
    ],
)
def test_a_json_file_that_is_no_architecture_ends_with_code_3(
    run: Run, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "net.json"
    path.write_text(text)
    outcome = run("count", str(path), "--format", "json")
    assert (outcome.code, outcome.out) == (3, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_a_json_file_that_is_no_text_ends_with_code_3(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_bytes(b"\xff\xfe\x00{")
    outcome = run("count", str(tmp_path / "net.json"))
    assert (outcome.code, outcome.out) == (3, "")
    assert '"net.json": not valid JSON' in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.json"], 3, "'nowhere.json' cannot be read: No such file"),
        (["nowhere.toml"], 3, "'nowhere.toml' does not exist"),
        (["shuflenet-v1"], 3, 'did you mean "shufflenet-v1"'),
        (["shuflenet-v1", "--groups", "3"], 3, 'did you mean "shufflenet-v1"'),
        (["alexnett"], 3, 'did you mean "alexnet"'),
        (["mobilenet_v2x"], 3, 'did you mean "mobilenet-v2-1x"'),
        (["shufflenet.g3_stem24"], 3, "is not an architecture key; expected the form"),
        ([PAPER_1X.key + "x"], 3, "is not an architecture key"),
        ([PAPER_1X.key.replace("g3", "g0")], 3, "groups is 0"),
        ([PAPER_1X.key.replace("g3", "g7")], 3, "7 groups"),
        ([PAPER_1X.key.replace("shufflenet", "mobile")], 3, "unknown structure unit 'mobile'"),
        (["resnet", "--groups", "3"], 3, "space resnet: no group count 3"),
        (["resnet", "--no-shuffle", "--mflops", "-1"], 2, "expected MFLOPs between"),
        (["shufflenet-v1", "--depth", "9-9"], 3, "does not fit"),
        (["shufflenet-v1", "--mflops", "0.1"], 4, "cannot be met"),
        (["shufflenet-v1", "--groups", "0"], 2, "'--groups': '0' is out of range; expected group counts"),
        (["shufflenet-v1", "--scale", "0"], 2, "'--scale': '0' is out of range"),
        (["shufflenet-v1", "--format", "csv"], 2, "'csv' is not one of"),
        ([], 2, "Missing argument 'SPEC'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_mistakes_end_with_their_code_and_say_why_on_stderr(
    run: Run, arguments: list[str], code: int, message: str
) -> None:
    outcome = run("count", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err
