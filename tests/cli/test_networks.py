"""snsearch networks, and known networks by name in other commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from snsearch.network.known.catalogue import KNOWN

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
    assert outcome.code == 2
    assert "--groups apply to a space, and networks are named" in outcome.err
