"""snsearch latency, profiles and calibrate: what they print, and how they end."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snsearch.codec import encode
from snsearch.files import bundled_names
from snsearch.latency.profile import load_profile, read_profile
from snsearch.network.arch import Architecture
from snsearch.solver.budget import mflops_budget, with_input
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled, solve
from snsearch.solver.spec import load_space
from tests.printed import unwrapped

Run = Callable[..., Any]

FIELDS = ["groups", "scale", "resolution", "latency_ms", "interval_ms", "provenance"]


@pytest.fixture
def rows(run: Run) -> Callable[..., list[dict[str, Any]]]:
    """Runs latency and returns the list of its JSON."""

    def call(*arguments: str) -> list[dict[str, Any]]:
        outcome = run("latency", *arguments, "--format", "json")
        assert (outcome.code, outcome.err) == (0, "")
        found: list[dict[str, Any]] = json.loads(outcome.out)
        assert all(list(row) == FIELDS for row in found)
        return found

    return call


def test_the_papers_scales_are_predicted_with_interval_and_provenance(rows: Run) -> None:
    found = rows(
        *("--space", "shufflenet-v1", "--groups", "3", "--scale", "0.5,1,1.5,2"),
        *("--resolution", "224", "--profile", "snapdragon-810"),
    )
    assert [(row["groups"], row["scale"], row["resolution"]) for row in found] == [
        (3, 0.5, 224),
        (3, 1, 224),
        (3, 1.5, 224),
        (3, 2, 224),
    ]
    profile, space = load_profile("snapdragon-810"), load_space("shufflenet-v1")
    for row in found:
        arch = scaled(space, Design(groups=3, scale=row["scale"]), with_input(mflops_budget(1))).architecture
        latency = profile.predict(arch)
        assert row["latency_ms"] == pytest.approx(latency.ms, abs=1e-4)
        assert row["interval_ms"] == pytest.approx([latency.low_ms, latency.high_ms], abs=1e-4)
        assert row["interval_ms"][0] < row["latency_ms"] < row["interval_ms"][1]
        assert row["provenance"] == profile.provenance


def test_without_a_device_it_is_the_snapdragon_820(rows: Run) -> None:
    [found] = rows("--groups", "3")
    assert found["provenance"].startswith("predicted, Snapdragon 820, fitted on published figures, ±")
    assert found["provenance"].endswith("arXiv:1707.01083)")
    assert (found["scale"], found["resolution"]) == (1, 224)


def test_predictions_beyond_what_the_profile_is_judged_by_are_said(rows: Run, run: Run) -> None:
    arguments = ("--groups", "3", "--scale", "0.25,1")
    small, usual = rows(*arguments)
    assert "outside of the 15.2 to 612.0 ms that the profile is judged by" in small["provenance"]
    assert "outside" not in usual["provenance"]
    said = unwrapped(run("latency", *arguments).out)
    assert "1 of 2 predictions lie outside of the 15.2 to 612.0 ms that the profile is judged by" in said


def test_lists_of_groups_scales_and_resolutions_are_multiplied(rows: Run) -> None:
    found = rows("--groups", "1,8", "--scale", "0.5,1", "--resolution", "128,480x640")
    assert [(row["groups"], row["scale"], row["resolution"]) for row in found] == [
        (1, 0.5, 128),
        (1, 0.5, "480x640"),
        (1, 1, 128),
        (1, 1, "480x640"),
        (8, 0.5, 128),
        (8, 0.5, "480x640"),
        (8, 1, 128),
        (8, 1, "480x640"),
    ]


def test_groups_per_stage_are_predicted_as_one_network(rows: Run) -> None:
    [mixed, alike] = rows("--groups", "1-3-8,3", "--mflops", "40", "--se-stages", "0-1-1")
    assert (mixed["groups"], alike["groups"]) == ([1, 3, 8], 3)
    design = Design(groups=(1, 3, 8), se=(False, True, True))
    arch = solve(load_space("shufflenet-v1"), mflops_budget(40), design).architecture
    assert mixed["latency_ms"] == pytest.approx(load_profile("snapdragon-820").predict(arch).ms, abs=1e-3)


@pytest.mark.parametrize("space", bundled_names("spaces"))
def test_any_space_is_predicted(rows: Run, space: str) -> None:
    found = rows("--space", space, "--scale", "0.5,1")
    assert len(found) == 2 * len(load_space(space).groups)
    assert all(row["latency_ms"] > 0 for row in found)


def test_budgets_are_solved_first(rows: Run) -> None:
    [found] = rows("--mflops", "140", "--groups", "8", "--profile", "snapdragon-810")
    solution = solve(load_space("shufflenet-v1"), mflops_budget(140), Design(groups=8))
    latency = load_profile("snapdragon-810").predict(solution.architecture)
    assert found["latency_ms"] == pytest.approx(latency.ms, abs=1e-4)
    assert found["scale"] == solution.scale


def test_depth_se_and_shuffle_change_the_latency_as_they_should(rows: Run) -> None:
    def ms(*arguments: str) -> float:
        [found] = rows("--groups", "3", *arguments)
        return float(found["latency_ms"])

    assert ms("--depth", "shallow") < ms("--no-shuffle") < ms() < ms("--depth", "deep")
    assert ms() < ms("--se")
    assert ms("--classes", "10") < ms()


def test_csv_has_a_line_a_network_with_its_key(run: Run) -> None:
    out = run("latency", "--groups", "1,3", "--resolution", "480x640", "--format", "csv").out
    found = list(csv.DictReader(io.StringIO(out)))
    assert [row["groups"] for row in found] == ["1", "3"]
    for row in found:
        assert row["key"].startswith(f"shufflenet.g{row['groups']}.")
        assert row["resolution"] == "480x640"
        assert float(row["low_ms"]) < float(row["latency_ms"]) < float(row["high_ms"])


def test_the_table_says_what_the_figures_are_and_prints_both_baselines(run: Run) -> None:
    outcome = run("latency", "--groups", "3")
    profile = load_profile("snapdragon-820")
    assert outcome.code == 0
    for errors in (profile.by_network, profile.log_log_flops, profile.pixel_scaling):
        assert f"{errors.mape:.1%}" in outcome.out
    assert "log-log FLOPs" in outcome.out
    assert "pixel scaling" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--profile", "snapdragon-81"), 3, 'did you mean "snapdragon-810"?'),
        (("--profile", "none.toml"), 3, "profile file 'none.toml' does not exist"),
        (("--space", "shufflenet"), 3, 'did you mean "shufflenet-v1"?'),
        (("--resolution", "5000"), 2, "1 to 4096"),
        (("--groups", "x"), 2, "expected group counts such as"),
        (("--scale", "0"), 2, "'--scale': '0' is out of range; expected a number from 0.01 to 100"),
        (("--space", "resnet", "--groups", "3"), 3, "no group count 3"),
        (("--mflops", "0.01"), 4, "smallest"),
        (("--format", "xml"), 2, "xml"),
    ],
)
def test_what_cannot_be_used_ends_with_its_exit_code_and_one_message(
    run: Run, arguments: tuple[str, ...], code: int, message: str
) -> None:
    outcome = run("latency", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


def test_latency_never_loads_torch_or_numpy() -> None:
    code = (
        "import sys\nfrom snsearch.cli import main\nsys.argv[1:] = ['latency', '--format', 'json']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(' '.join({'torch', 'numpy', 'scipy', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


# profiles


def test_every_shipped_profile_is_listed_with_its_errors(run: Run) -> None:
    document = json.loads(run("profiles", "--format", "json").out)
    assert [one["name"] for one in document["profiles"]] == list(bundled_names("profiles"))
    for one, profile in zip(document["profiles"], map(load_profile, bundled_names("profiles")), strict=True):
        assert one == encode(profile)
    table = run("profiles").out
    for profile in map(load_profile, bundled_names("profiles")):
        assert profile.name in table
        assert f"{profile.by_network.mape:.1%}" in table


def test_a_profile_is_exported_and_used_from_its_file(run: Run, rows: Run, tmp_path: Path) -> None:
    path = tmp_path / "shared.toml"
    path.write_text(run("profiles", "snapdragon-810", "--format", "toml").out, encoding="utf-8")
    assert read_profile(path) == load_profile("snapdragon-810")
    assert rows("--groups", "3", "--profile", str(path)) == rows("--groups", "3", "--profile", "snapdragon-810")


def test_one_profile_at_a_time_is_exported(run: Run) -> None:
    outcome = run("profiles", "--format", "toml")
    assert outcome.code == 2
    assert "name it" in outcome.err


# calibrate


@pytest.fixture
def figures(run: Run, tmp_path: Path) -> Path:
    """Figures of a device that is exactly three times as slow as the Snapdragon 810."""
    out = run(
        *("latency", "--groups", "1,3", "--scale", "0.5,1,2", "--profile", "snapdragon-810", "--format", "csv")
    ).out
    path = tmp_path / "figures.csv"
    lines = [f"{row['key']},{3 * float(row['latency_ms'])}" for row in csv.DictReader(io.StringIO(out))]
    path.write_text("\n".join(["key,latency_ms", *lines]) + "\n", encoding="utf-8")
    return path


def _calibrate(run: Run, figures: Path, out: Path, *more: str) -> Any:
    return run(
        *("calibrate", str(figures), "--name", "mine", "--device", "My board", "--library", "ncnn 1"),
        *("--prior", "snapdragon-810", "--out", str(out), *more),
    )


def test_a_device_of_one_s_own_is_fitted_written_and_used(run: Run, rows: Run, figures: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    outcome = _calibrate(run, figures, out)
    assert (outcome.code, outcome.out) == (0, "")
    assert "log-log FLOPs" in outcome.err
    [own] = rows("--groups", "8", "--profile", str(out))
    [prior] = rows("--groups", "8", "--profile", "snapdragon-810")
    assert own["latency_ms"] == pytest.approx(3 * prior["latency_ms"], rel=1e-2)
    assert own["provenance"].startswith("predicted, My board, fitted on measured figures, ±")


def test_a_profile_is_not_overwritten_without_force(run: Run, figures: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.toml"
    out.write_text("kept", encoding="utf-8")
    outcome = _calibrate(run, figures, out)
    assert outcome.code == 3
    assert "give --force" in outcome.err
    assert out.read_text(encoding="utf-8") == "kept"
    assert _calibrate(run, figures, out, "--force").code == 0
    assert read_profile(out).name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns none; expected key"),
        ("key,ms\na,1\n", "has the columns key, ms; expected key"),
        ("key,latency_ms\nx,fast\n", "line 2: latency_ms is 'fast'; expected milliseconds"),
        ("key,latency_ms\nx,-1\n", "line 2: latency_ms is '-1'; expected milliseconds"),
        ("key,latency_ms\nx\n", "line 2: latency_ms is None; expected milliseconds"),
        ("key,latency_ms\na,1\nb,2\n", "2 figures of 2 networks; expected at least 3 networks"),
        ("key,latency_ms\na,1\nb,2\nc,3\n", "no network is named 'a'"),
    ],
)
def test_figures_that_cannot_be_used_say_why(run: Run, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "figures.csv"
    path.write_text(text, encoding="utf-8")
    outcome = _calibrate(run, path, tmp_path / "mine.toml")
    assert outcome.code == 3
    assert message in outcome.err
    assert not (tmp_path / "mine.toml").exists()


def test_figures_that_are_all_of_one_family_are_kept_out_network_by_network(
    run: Run, figures: Path, tmp_path: Path
) -> None:
    head, *lines = figures.read_text(encoding="utf-8").splitlines()
    figures.write_text("\n".join([f"{head},family", *(f"{line},ShuffleNet" for line in lines)]), encoding="utf-8")
    out = tmp_path / "mine.toml"
    assert _calibrate(run, figures, out).code == 0
    profile = read_profile(out)
    assert profile.by_family == profile.by_network


def test_one_network_is_predicted_by_its_key(run: Run) -> None:
    key = "shufflenet.g3.b4.shuffle_stem24s2p_240x4s2-480x8s2-960x4s2_3x224x224_c1000"
    outcome = run("latency", key, "--profile", "snapdragon-810", "--format", "csv")
    [row] = csv.DictReader(io.StringIO(outcome.out))
    assert row["key"] == key
    assert float(row["latency_ms"]) == pytest.approx(
        load_profile("snapdragon-810").predict(Architecture.from_key(key)).ms, abs=1e-3
    )
    refused = run("latency", key, "--groups", "3")
    assert refused.code == 3
    assert "is one network already; --groups apply to a space" in refused.err
