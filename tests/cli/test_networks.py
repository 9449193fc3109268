"""snsearch networks, and known networks by name in other commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import snsearch
from snsearch.network.known.catalogue import KNOWN
from snsearch.pages.strips import pieces_of

Run = Callable[..., Any]


def test_networks_lists_all_with_their_reasons(run: Run) -> None:
    rows = json.loads(run("networks", "--format", "json").out)["networks"]
    assert [row["name"] for row in rows] == list(KNOWN)
    by_name = {row["name"]: row for row in rows}
    assert by_name["resnet-18"]["params"] == 11_689_512
    assert by_name["resnet-18"]["reason"] == ""
    assert "batch norm" in by_name["mobilenet-v2-1x"]["reason"]
    told = run("networks").out
    assert "mobilenet-v2-1x: without batch norm" in told
    assert "Trained weights of these networks are not part of snsearch" in " ".join(told.split())


def test_an_unknown_network_names_the_one_that_was_meant(run: Run) -> None:
    outcome = run("networks", "resnet18")
    assert outcome.code == 3
    assert 'did you mean "resnet-18"?' in outcome.err


def test_known_networks_are_counted_and_priced_by_name(run: Run) -> None:
    [counted] = json.loads(run("count", "efficientnet-b0", "--format", "json").out)["counts"]
    assert (counted["key"], counted["params"]) == ("efficientnet-b0_3x224x224_c1000", 5_288_548)
    outcome = run("latency", "mobilenet-v2-1x", "shufflenet-v1-1x-g3", "--format", "json")
    first, second = json.loads(outcome.out)
    assert (first["network"], first["groups"]) == ("mobilenet-v2-1x", None)
    assert first["latency_ms"] > second["latency_ms"] > 0


def test_options_of_a_space_are_refused_beside_networks(run: Run) -> None:
    outcome = run("latency", "mobilenet-v2-1x", "--groups", "3")
    assert outcome.code == 3
    assert "'mobilenet-v2-1x' is one network already; --groups apply to a space" in outcome.err


TABLE_6 = (  # arXiv:1707.01083, Table 6: network, printed error and MFLOPs
    ("vgg-16", 28.5, 15300),
    ("shufflenet-v1-2x-g3", 26.3, 524),
    ("googlenet", 31.3, 1500),
    ("shufflenet-v1-1x-g8", 32.4, 140),
    ("alexnet", 42.8, 720),
    ("squeezenet-1.0", 42.5, 833),
    ("shufflenet-v1-0.5x-g4", 41.6, 38),
)


def test_the_papers_table_6_comes_out_of_compare(run: Run) -> None:
    outcome = run("compare", *(name for name, _, _ in TABLE_6), "--format", "json")
    rows = json.loads(outcome.out)["networks"]
    assert [(row["network"], row["printed_error"]) for row in rows] == [(name, error) for name, error, _ in TABLE_6]
    for row, (_, _, mflops) in zip(rows, TABLE_6, strict=True):
        assert abs(row["mflops"] / mflops - 1) < 0.08
    assert "latency_ms" not in rows[0], "no profile is named"


def test_compare_takes_a_key_a_network_and_a_candidate_and_draws_them(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    key = snsearch.solve(mflops=13, groups=3)[0].architecture.key
    given = ("compare", key, "shufflenet-v2-1x", "reports/sample#3", "--profile", "snapdragon-820")
    outcome = run(*given, "--html", str(page), "--format", "json")
    rows = json.loads(outcome.out)["networks"]
    assert [row["proxy_error"] is not None for row in rows] == [False, False, True]
    assert all(row["latency_interval_ms"][0] < row["latency_ms"] < row["latency_interval_ms"][1] for row in rows)
    found = re.search(r'id="charts">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    drawn = json.loads(found[1])["charts"]["strips-chart"]["spec"]["data"]["values"]
    assert len(drawn) == sum(len(pieces_of(row.network)) for row in snsearch.compare(*given[1:4]).rows)
    assert run(*given, "--html", str(page)).code == 3, "the page is there already"


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({}, ""),
        (
            {"classes": 10, "input_channels": 1},
            "input channels (3, 1), classes (1000, 10): their parameters and MFLOPs",
        ),
        ({"resolution": (96, 96)}, "resolution (224x224, 96x96): their MFLOPs and peak activations"),
        (
            {"resolution": (96, 96), "classes": 10},
            "resolution (224x224, 96x96), classes (1000, 10): their parameters and",
        ),
    ],
)
def test_compare_remarks_that_the_input_of_the_networks_differs(changes: dict[str, Any], remark: str) -> None:
    [known] = snsearch.compare("shufflenet-v2-0.5x").rows
    notes = snsearch.compare("shufflenet-v2-0.5x", replace(known.network, **changes)).table.notes
    assert [note.startswith(f"the networks differ in {remark}") for note in notes if "differ" in note] == (
        [True] if remark else []
    )


def test_compare_heads_a_studys_errors_as_those_of_the_searchs_trainings(run: Run) -> None:
    outcome = run("compare", "reports/sample#3", "--format", "markdown")
    assert "error of the search's trainings" in outcome.out
    assert "short trainings" not in outcome.out


def test_a_strip_is_as_long_as_the_network_has_macs() -> None:
    [row] = snsearch.compare("mobilenet-v2-1x").rows
    pieces = pieces_of(row.network)
    assert sum(piece.macs for piece in pieces) == row.costs.macs
    assert pieces[-1].before + pieces[-1].macs == row.costs.macs


def test_compare_needs_a_network_that_is_there(run: Run) -> None:
    assert run("compare").code == 2
    assert run("compare", "reports/sample#999").code == 6
