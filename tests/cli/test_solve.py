"""snsearch solve: what it prints in each format, and how it ends."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snsearch.codec import decode, encode
from snsearch.files import bundled_folder, bundled_names
from snsearch.network.arch import Architecture
from snsearch.solver.budget import mflops_budget
from snsearch.solver.design import Design
from snsearch.solver.solving import solve
from snsearch.solver.spec import load_space
from tests.printed import printed_rows, unwrapped

Run = Callable[..., Any]
SHUFFLENET = load_space("shufflenet-v1")
CLOSED = tuple(name for name in bundled_names("spaces") if not load_space(name).opened)

# ShuffleNet (arXiv:1707.01083), Table 1, and its MACs recounted as convolutions and classifier.
TABLE_1 = [
    (1, [144, 288, 576], 143_078_976),
    (2, [200, 400, 800], 140_836_512),
    (3, [240, 480, 960], 137_460_672),
    (4, [272, 544, 1088], 134_339_776),
    (8, [384, 768, 1536], 138_365_952),
]

FIELDS = {
    "budget",
    "budget_mflops",
    "space",
    "groups",
    "scale",
    "stem_channels",
    "stage_channels",
    "repeats",
    "shuffle",
    "se",
    "mflops",
    "macs",
    "params",
    "model_size_bytes",
    "bytes_moved",
    "peak_activation_bytes",
    "deviation",
    "binding",
    "notes",
    "key",
    "architecture",
}


@pytest.fixture
def solutions(run: Run) -> Callable[..., list[dict[str, Any]]]:
    """Runs solve and returns the solutions of its JSON."""

    def call(*arguments: str) -> list[dict[str, Any]]:
        outcome = run("solve", *arguments, "--format", "json")
        assert (outcome.code, outcome.err) == (0, "")
        found: list[dict[str, Any]] = json.loads(outcome.out)["solutions"]
        return found

    return call


def test_json_holds_table_1(run: Run) -> None:
    outcome = run("solve", "--mflops", "140", "--groups", "1,2,3,4,8", "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    found = document.pop("solutions")
    assert document == {"schema": 1, "space": "shufflenet-v1", "resolution": 224, "classes": 1000}
    assert [(s["groups"], s["stage_channels"], s["macs"]) for s in found] == TABLE_1
    for solution in found:
        assert set(solution) == FIELDS
        assert (solution["budget_mflops"], solution["scale"], solution["stem_channels"]) == (140, 1, 24)
        assert (solution["repeats"], solution["shuffle"], solution["se"]) == ([4, 8, 4], True, False)
        assert solution["mflops"] == round(solution["macs"] / 1e6, 4)
        assert solution["deviation"] == round(solution["macs"] / 140e6 - 1, 6)
        assert (solution["binding"], solution["notes"]) == ("mflops", [])


def test_a_json_architecture_is_read_back(solutions: Run) -> None:
    [solution] = solutions("--mflops", "140", "--groups", "3", "--resolution", "480x640", "--classes", "10", "--se")
    arch = decode(Architecture, solution["architecture"], "it")
    assert arch.key == solution["key"]
    assert (arch.resolution, arch.classes, arch.se_reduction) == ((480, 640), 10, (16, 16, 16))


def test_choices_per_stage_are_lists_where_stages_differ(solutions: Run, run: Run) -> None:
    options = (
        "--mflops",
        "40",
        "--groups",
        "1-3-8,3,4-4-4",
        "--se-stages",
        "0-1-1",
        "--ratios",
        "1,2.2,3.7",
        "--tight",
    )
    found = solutions(*options)
    assert [s["groups"] for s in found] == [[1, 3, 8], 3, 4]
    assert {str(s["se"]) for s in found} == {"[False, True, True]"}
    for solution in found:
        arch = decode(Architecture, solution["architecture"], "it")
        assert arch.key == solution["key"]
        assert arch.se_reduction == (0, 16, 16)
        assert solution["architecture"] == encode(arch)
    expected = Design(groups=(1, 3, 8), se=(False, True, True), ratios=(1.0, 2.2, 3.7))
    assert found[0]["key"] == solve(SHUFFLENET, mflops_budget(40), expected, tight=True).architecture.key
    rows = list(csv.DictReader(io.StringIO(run("solve", *options, "--format", "csv").out)))
    assert [row["groups"] for row in rows] == ["1-3-8", "3", "4"]
    table = run("solve", "--mflops", "40", "--groups", "1-3-8,3").out
    assert "g=1-3-8" in table
    assert "g=3" in table


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--groups", "1-3"), 3, "group counts 1, 3; expected 3 of them, one per stage"),
        (("--groups", "1-3-x"), 2, "expected group counts such as 1,2,3,4,8, or 1-3-8"),
        (("--groups", "1-0-3"), 2, "'--groups': '0' is out of range; expected group counts such as"),
        (("--se-stages", "0-2-1"), 2, "expected 0 or 1 per stage, such as 0-1-1"),
        (("--se-stages", "0-1"), 3, "SE switches False, True; expected 3 of them"),
        (("--se", "--se-stages", "0-1-1"), 2, "--se is on every stage, --se-stages on some"),
        (("--ratios", "1,1,3"), 3, "width ratios 1,1,3: expected rising ratios where the stride is 2"),
        (("--ratios", "1,4,3"), 3, "expected rising ratios that begin with 1"),
        (("--ratios", "1,0.5,3"), 2, "'--ratios': '0.5' is out of range; expected width ratios from 1 to 1000"),
    ],
)
def test_choices_that_do_not_fit_the_stages_are_refused(
    run: Run, options: tuple[str, ...], code: int, message: str
) -> None:
    outcome = run("solve", "--mflops", "40", *options)
    assert outcome.code == code
    assert message in unwrapped(outcome.err)


def test_json_figures_are_those_of_the_solver(solutions: Run) -> None:
    [found] = solutions("--mflops", "38", "--groups", "8", "--tight")
    expected = solve(load_space("shufflenet-v1"), mflops_budget(38), Design(groups=8), tight=True)
    assert found["params"] == expected.costs.params
    assert found["model_size_bytes"] == expected.costs.weight_bytes
    assert found["peak_activation_bytes"] == expected.costs.peak_activation_bytes
    assert found["bytes_moved"] == expected.costs.bytes_moved
    assert found["notes"] == list(expected.notes)
    assert found["architecture"] == encode(expected.architecture)


def test_csv_holds_a_row_a_solution(run: Run) -> None:
    outcome = run("solve", "--mflops", "140", "--groups", "1,2,3,4,8", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [
        (int(r["groups"]), [int(w) for w in r["stage_channels"].split("-")], int(r["macs"])) for r in rows
    ] == TABLE_1
    assert set(rows[0]) == FIELDS - {"architecture"} | {"resolution", "classes"}
    assert {(r["resolution"], r["classes"], r["repeats"], r["budget_mflops"]) for r in rows} == {
        ("224", "1000", "4-8-4", "140")
    }


def test_csv_notes_with_commas_stay_one_field(run: Run) -> None:
    outcome = run("solve", "--mflops", "140", "--groups", "5", "--packed", "--format", "csv")
    [row] = csv.DictReader(io.StringIO(outcome.out))
    assert ", " in row["notes"]
    assert None not in row  # no field too many
    assert int(row["groups"]) == 5


def _cells(line: str, mark: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip(mark).split(mark)]


@pytest.mark.parametrize("form", ["markdown", "table"])
def test_tables_hold_the_figures_in_the_layout_of_table_1(run: Run, form: str) -> None:
    outcome = run("solve", "--mflops", "140", "--groups", "1,3", "--format", form)
    assert (outcome.code, outcome.err) == (0, "")
    assert "\x1b" not in outcome.out  # no colours where nobody looks at a terminal
    lines = [line for line in outcome.out.splitlines() if "|" in line]
    found = printed_rows(outcome.out) if form == "table" else [_cells(line, "|") for line in lines]
    rows = {cells[0]: cells[1:] for cells in found}
    assert rows["Image"] == ["224x224", "", "", "", "3", "3"]
    assert rows["Conv1"] == ["112x112", "3x3", "2", "1", "24", "24"]
    assert rows["MaxPool"] == ["56x56", "3x3", "2", "1", "", ""]
    assert rows["Stage2"] == ["28x28", "", "2/1", "1+3", "144", "240"]
    assert rows["Stage3"] == ["14x14", "", "2/1", "1+7", "288", "480"]
    assert rows["Stage4"] == ["7x7", "", "2/1", "1+3", "576", "960"]
    assert rows["GlobalPool"] == ["1x1", "7x7", "", "1", "", ""]
    assert rows["FC"] == ["", "", "", "1", "1000", "1000"]
    assert rows["MFLOPs"][-2:] == ["143.08", "137.46"]
    assert rows["From budget"][-2:] == ["+2.20%", "-1.81%"]


def test_markdown_is_one_table_a_budget_with_equal_columns(run: Run) -> None:
    outcome = run("solve", "--mflops", "38,140", "--groups", "3,8", "--format", "markdown")
    first, second = outcome.out.split("**ShuffleNet for ")[1:]
    for table, stem in ((first, "16"), (second, "24")):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert {line.count("|") for line in lines} == {8}
        assert _cells(lines[1], "|") == ["---"] * 2 + ["---:"] * 5
        assert _cells(next(line for line in lines if "Conv1" in line), "|")[-1] == stem
    assert "- g=8: first convolution of 16 channels instead of 12" in first


def test_a_table_prints_its_notes_and_says_that_widths_move_in_steps(run: Run) -> None:
    note = "g=8: first convolution of 16 channels instead of 12, so that the stride-2 concatenation divides by 8"
    stepwise = run("solve", "--mflops", "38", "--groups", "3,8").out
    assert note in unwrapped(stepwise)
    assert "to the nearest step; --tight" in unwrapped(stepwise)
    tight = run("solve", "--mflops", "38", "--groups", "3,8", "--tight").out
    assert note in unwrapped(tight)
    assert "nearest step" not in unwrapped(tight)


def test_networks_become_rows_where_their_columns_do_not_fit(run: Run) -> None:
    rows = printed_rows(run("solve", "--mflops", "140").out)
    assert [row[:4] for row in rows] == [
        [str(groups), "24", "-".join(map(str, channels)), f"{macs / 1e6:.2f}"] for groups, channels, macs in TABLE_1
    ]


@pytest.mark.parametrize("columns", [50, 80, 120])
@pytest.mark.parametrize("arguments", [["--mflops", "140"], ["--space", "all", "--mflops", "38"], ["--wide"]])
def test_no_line_is_wider_than_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, run("solve", *arguments).out.splitlines())) <= columns


def test_several_budgets_are_each_solved_for_each_group_count(solutions: Run) -> None:
    found = solutions("--mflops", "38,140", "--budget", "paper-13", "--budget", "524", "--groups", "1,3")
    assert [(s["budget_mflops"], s["groups"]) for s in found] == [
        (mflops, groups) for mflops in (38, 140, 13, 524) for groups in (1, 3)
    ]


def test_the_groups_are_the_spaces_where_none_are_asked_for(solutions: Run) -> None:
    assert [s["groups"] for s in solutions("--mflops", "140")] == [1, 2, 3, 4, 8]
    assert [s["groups"] for s in solutions("--mflops", "140", "--space", "resnext")] == [16]


def test_all_spaces_make_one_line_up(run: Run) -> None:
    outcome = run("solve", "--space", "all", "--mflops", "38", "--groups", "4", "--format", "json")
    document = json.loads(outcome.out)
    assert tuple(document["space"]) == CLOSED
    # Each space has the group counts that it has; section 4.2 of the paper prints these channels of stage 4.
    stage4 = {s["space"]: (s["groups"], s["stage_channels"][-1]) for s in document["solutions"]}
    assert stage4["resnet"] == (1, 192)
    assert stage4["resnext"] == (16, 192)
    assert stage4["xception-like"] == (1, 288)
    assert stage4["shufflenet-v1"] == (4, 576)


@pytest.mark.parametrize("form", ["table", "markdown", "csv"])
def test_all_spaces_are_printed_in_every_format(run: Run, form: str) -> None:
    outcome = run("solve", "--space", "all", "--mflops", "38", "--no-shuffle", "--format", form)
    assert (outcome.code, outcome.err) == (0, "")
    names = CLOSED if form == "csv" else [load_space(name).title for name in CLOSED]
    assert all(name in outcome.out for name in names)


def test_spaces_of_equal_layout_share_a_table_and_others_do_not(run: Run) -> None:
    outcome = run("solve", "--space", "resnet, xception-like,mobilenet-v1", "--mflops", "38", "--format", "markdown")
    shared, alone = (block for block in outcome.out.split("**") if "| Conv1" in block)
    assert ("ResNet g=1" in shared, "Xception-like g=1" in shared) == (True, True)
    assert ("MobileNet" in shared, "ResNet" in alone) == (False, False)


def test_scales_without_a_budget_are_priced(solutions: Run) -> None:
    found = solutions("--groups", "3", "--scale", "0.5,1,1.5,2")
    # The authors' released models: stems of 12/24/24/48, recounted to 37.6/137.5/292.4/524.0.
    assert [(s["scale"], s["stem_channels"], round(s["mflops"], 1)) for s in found] == [
        (0.5, 12, 37.6),
        (1, 24, 137.5),
        (1.5, 24, 292.4),
        (2, 48, 524.0),
    ]
    assert {(s["budget"], s["budget_mflops"], s["deviation"], s["binding"]) for s in found} == {(None,) * 4}


def test_scales_without_a_budget_take_the_input_that_is_asked_for(solutions: Run) -> None:
    [found] = solutions("--groups", "3", "--resolution", "96x128", "--classes", "2", "--precision", "int8")
    assert (found["architecture"]["resolution"], found["architecture"]["classes"]) == ("96x128", 2)
    assert found["stage_channels"] == [240, 480, 960]
    [wide] = solutions("--groups", "3", "--resolution", "96x128", "--classes", "2")
    assert wide["model_size_bytes"] == 4 * found["model_size_bytes"]


def test_columns_that_differ_in_scale_name_it(run: Run) -> None:
    outcome = run("solve", "--groups", "3", "--scale", "0.5,1", "--format", "markdown")
    assert _cells(outcome.out.splitlines()[2], "|")[-2:] == ["g=3 0.5x", "g=3 1x"]


@pytest.mark.parametrize(
    ("options", "binding", "field", "most"),
    [
        (["--params", "1M"], "params", "params", 10**6),
        (["--peak-memory", "1MiB"], "peak_activation", "peak_activation_bytes", 2**20),
        (["--model-size", "4MiB"], "model_size", "model_size_bytes", 2**22),
        (["--match", "under"], "mflops", "macs", 140_000_000),
    ],
)
def test_bounds_of_the_command_line_are_kept(
    solutions: Run, options: list[str], binding: str, field: str, most: int
) -> None:
    [free] = solutions("--mflops", "140", "--groups", "1")
    [found] = solutions("--mflops", "140", "--groups", "1", *options)
    assert found["binding"] == binding
    assert found[field] <= most < free[field]


def test_a_budget_may_be_of_other_bounds_alone(solutions: Run) -> None:
    [found] = solutions("--params", "1M", "--groups", "3")
    assert (found["budget_mflops"], found["deviation"], found["binding"]) == (None, None, "params")
    assert found["params"] <= 10**6


def test_a_budget_file_and_a_space_file_are_read(solutions: Run, tmp_path: Path) -> None:
    budget = tmp_path / "mine.toml"
    budget.write_text('schema = 1\nname = "mine"\nmflops = 20\nclasses = 7\nmatch = "under"\n')
    space = tmp_path / "space.toml"
    space.write_text((bundled_folder("spaces") / "resnet.toml").read_text())
    [found] = solutions("--budget", str(budget), "--space", str(space))
    assert (found["budget"], found["space"], found["architecture"]["classes"]) == ("mine", "resnet", 7)
    assert found["macs"] <= 20_000_000


def test_options_come_before_the_budget_files_own(solutions: Run) -> None:
    [found] = solutions("--budget", "stm32f746", "--groups", "3", "--resolution", "64", "--classes", "10")
    assert (found["architecture"]["resolution"], found["architecture"]["classes"]) == (64, 10)


def test_tight_and_packed_reach_the_solver(solutions: Run) -> None:
    [tight] = solutions("--mflops", "140", "--groups", "4", "--tight")
    assert abs(tight["deviation"]) <= 0.001
    [packed] = solutions("--mflops", "140", "--groups", "2", "--packed")
    assert packed["stage_channels"] == [192, 384, 768]
    [shallow] = solutions("--mflops", "140", "--groups", "2", "--depth", "2-4-2", "--no-shuffle", "--se")
    assert (shallow["repeats"], shallow["shuffle"], shallow["se"]) == ([2, 4, 2], False, True)


@pytest.mark.parametrize("form", ["json", "csv", "table", "markdown"])
def test_one_infeasible_group_count_does_not_hide_the_others(run: Run, form: str) -> None:
    outcome = run("solve", "--mflops", "13", "--groups", "3,64,8", "--format", form)
    assert outcome.code == 4
    assert "13.00 MFLOPs cannot be met by shufflenet-v1 with 64 groups" in outcome.err
    if form == "json":
        assert [s["groups"] for s in json.loads(outcome.out)["solutions"]] == [3, 8]
    elif form == "csv":
        assert [row["groups"] for row in csv.DictReader(io.StringIO(outcome.out))] == ["3", "8"]
    else:
        assert ("g=3" in outcome.out, "g=64" in outcome.out, "g=8" in outcome.out) == (True, False, True)


def test_an_infeasible_budget_alone_prints_nothing_to_stdout(run: Run) -> None:
    outcome = run("solve", "--mflops", "0.1", "--groups", "1,3", "--format", "json")
    assert (outcome.code, outcome.out) == (4, "")
    assert unwrapped(outcome.err) == (
        "snsearch: 0.10 MFLOPs cannot be met by shufflenet-v1 at 224x224 and 1000 classes: the smallest networks "
        "need 0.52 MFLOPs with 1 group, 1.58 MFLOPs with 3 groups; raise mflops (--mflops or --budget), lower the "
        "resolution, or take fewer groups or units"
    )


@pytest.mark.parametrize(
    ("bound", "advice"),
    [
        (
            ["--mflops", "0.1"],
            "raise mflops (--mflops or --budget), lower the resolution, or take fewer groups or units",
        ),
        (["--params", "100"], "raise params (--params), or take fewer classes, groups or units"),
        (["--model-size", "1KiB"], "raise model_size (--model-size), or take fewer classes, groups or units"),
        (
            ["--peak-memory", "1KiB"],
            "raise peak_activation (--peak-memory), lower the resolution, or take fewer groups",
        ),
    ],
)
def test_the_advice_for_an_unmet_bound_names_what_can_help_it(run: Run, bound: list[str], advice: str) -> None:
    outcome = run("solve", *bound, "--groups", "3")
    assert outcome.code == 4
    assert unwrapped(outcome.err).endswith(f"; {advice}")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--mflops", "many"], 2, "'many' is not a number; expected MFLOPs between"),
        (
            ["--mflops", "140", "--groups", "0"],
            2,
            "'--groups': '0' is out of range; expected group counts such as 1,2,3,4,8",
        ),
        *(
            ([option, text], 2, f"'{option}': ")
            for option in ("--params", "--peak-memory", "--model-size")
            for text in ("1e15", "1e308", "nan", "inf", "9" * 400, "1e400")
        ),
        (["--mflops", "9" * 5000], 2, "'--mflops': '999"),
        (["--mflops", "140", "--classes", "9" * 5000], 2, "'--classes': '999"),
        (["--mflops", "140", "--resolution", "9" * 5000], 2, "'--resolution': resolution '999"),
        (["--mflops", "140", "--groups", "1,,2"], 2, "'' is not an integer; expected group counts such as"),
        (["--scale", "1000"], 2, "'--scale': '1000' is out of range; expected a number from 0.01 to 100"),
        (
            ["--mflops", "140", "--classes", "0"],
            2,
            "'--classes': '0' is out of range; expected a positive integer up to 1,000,000",
        ),
        (["--mflops", "140", "--resolution", "5000"], 2, "'--resolution': resolution '5000': expected pixels"),
        (["--mflops", "140", "--peak-memory", "lots"], 2, "'lots' is not a quantity; expected a size"),
        (["--mflops", "140", "--params", "-3"], 2, "is not a quantity"),
        (["--mflops", "140", "--match", "over"], 2, "'over' is not one of"),
        (["--mflops", "140", "--format", "xml"], 2, "'xml' is not one of"),
        (["--mflop", "140"], 2, "--mflops"),
        (["--tight"], 2, "--tight and --packed need a budget"),
        (["--packed"], 2, "--tight and --packed need a budget"),
        (["--mflops", "-5"], 2, "expected MFLOPs between"),
        (["--mflops", "nan"], 2, "expected MFLOPs between"),
        (["--budget", "-5"], 2, "expected MFLOPs between"),
        (["--budget", "paper-14"], 3, 'did you mean "paper-140"'),
        (["--budget", "nowhere.toml"], 3, "does not exist"),
        (["--mflops", "140", "--space", "resnt"], 3, 'did you mean "resnet"'),
        (["--mflops", "140", "--space", ""], 3, "no space is named"),
        (["--mflops", "140", "--space", "resnet", "--groups", "3"], 3, "space resnet: no group count 3"),
        (["--mflops", "140", "--depth", "shalow"], 3, 'did you mean "shallow"'),
        (["--mflops", "140", "--depth", "4-8"], 3, "does not fit; expected 3 counts"),
        (
            ["--mflops", "140", "--depth", "4-8-400"],
            2,
            "'400' is out of range; expected a positive integer",
        ),
        (["--mflops", "140", "--space", "all", "--depth", "medium"], 3, "space mobilenet-v1 has no depth 'medium'"),
        (["--params", "1M", "--tight"], 3, "this budget names none"),
        (["--mflops", "0.1"], 4, "0.10 MFLOPs cannot be met"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_mistakes_end_with_their_code_and_say_why_on_stderr(
    run: Run, arguments: list[str], code: int, message: str
) -> None:
    outcome = run("solve", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err) < 1500


def test_a_path_with_a_comma_is_one_path(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a,b.toml").write_bytes((bundled_folder("spaces") / "resnet.toml").read_bytes())
    Path("c,d.toml").write_text('schema = 1\nname = "mine"\nmflops = 40\n')
    outcome = run("solve", "--space", "a,b.toml,vgg-like", "--budget", "c,d.toml", "--format", "json")
    assert [found["space"] for found in json.loads(outcome.out)["solutions"]] == ["resnet", "vgg-like"]


def _latency_solutions(run: Run, *arguments: str) -> list[dict[str, Any]]:
    outcome = run("solve", *arguments, "--format", "json")
    assert outcome.code == 0, outcome.err
    found: list[dict[str, Any]] = json.loads(outcome.out)["solutions"]
    return found


def test_a_latency_is_a_budget_alone_and_beside_others(run: Run, tmp_path: Path) -> None:
    on = ("--profile", "snapdragon-820", "--groups", "1,3,8")
    alone = _latency_solutions(run, "--latency", "25ms", *on)
    for row in alone:
        assert 24.5 <= row["latency_ms"] <= 25.0
        low, high = row["latency_interval_ms"]
        assert low < row["latency_ms"] < high
        assert row["latency_provenance"].startswith("predicted, Snapdragon 820")
        assert row["binding"] == "latency"
    sure = _latency_solutions(run, "--latency", "25", "--confidence", "95%", *on)
    assert all(24.5 <= row["latency_interval_ms"][1] <= 25.0 for row in sure)
    beside = _latency_solutions(run, "--latency", "25ms", "--mflops", "40", *on)
    assert [row["binding"] for row in beside] == ["mflops", "mflops", "mflops"]
    path = tmp_path / "phone.toml"
    path.write_text('schema = 1\nname = "phone"\nlatency_ms = 25\nprofile = "snapdragon-820"\n', encoding="utf-8")
    named = _latency_solutions(run, "--budget", str(path), "--groups", "1,3,8")
    assert [row["key"] for row in named] == [row["key"] for row in alone]


def test_a_latency_says_what_it_promises_and_which_bound_binds(run: Run) -> None:
    said = unwrapped(run("solve", "--latency", "25ms", "--profile", "snapdragon-820", "--groups", "3").out)
    assert "at most 25 ms on Snapdragon 820 (predicted)" in said
    assert "predicted, not promised: its 95 % interval is a factor of" in said
    assert "Bound by latency" in " ".join(said.split())
    assert "is judged by" not in said


def test_latencies_beyond_what_the_profile_is_judged_by_are_said_once(run: Run) -> None:
    arguments = ("solve", "--latency", "10ms", "--profile", "snapdragon-820", "--groups", "1,3", "--classes", "6")
    for wide in ((), ("--wide",)):
        said = unwrapped(run(*arguments, *wide).out)
        assert said.count("2 of 2 predictions lie outside of the 15.2 to 612.0 ms that the profile is judged by") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--latency", "25ms"), 3, "a latency needs a device that it is predicted for; give --profile"),
        (("--latency", "25ms", "--device", "unknown"), 8, "no device is named 'unknown'"),
        (("--profile", "snapdragon-820", "--mflops", "40"), 3, "profile belongs to a latency"),
        (("--latency", "25 parsecs"), 2, "expected a latency such as"),
        (("--latency", "25ms", "--confidence", "90%"), 2, 'expected "95%", since profiles have the 95 % interval'),
        (
            ("--latency", "0.01ms", "--profile", "snapdragon-820", "--groups", "3"),
            4,
            "cannot be met by shufflenet-v1",
        ),
    ],
)
def test_a_latency_that_cannot_be_used_is_told(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    outcome = run("solve", *arguments)
    assert outcome.code == code
    assert message in unwrapped(outcome.err)
