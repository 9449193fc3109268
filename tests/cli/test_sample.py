"""snsearch sample."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snsearch.latency.profile import load_profile
from snsearch.network.arch import Architecture
from tests.printed import unwrapped

Run = Callable[..., Any]

ARGUMENTS = ("sample", "--mflops", "40")


def test_csv_has_one_head_line_and_a_network_a_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snsearch.cli.sample._AT_ONCE", 7)
    rows = list(csv.DictReader(io.StringIO(run(*ARGUMENTS, "-n", "20").out)))
    assert len({row["key"] for row in rows}) == 20
    assert {"key", "mflops", "params", "groups", "resolution", "deviation"} <= rows[0].keys()
    assert all(abs(float(row["mflops"]) - 40) < 2 for row in rows)


def test_parquet_holds_the_same_rows_as_csv(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (snsearch[hub])")
    monkeypatch.setattr("snsearch.cli.sample._AT_ONCE", 7)
    run(*ARGUMENTS, "-n", "20", "--format", "parquet", "--out", str(tmp_path / "p.parquet"))
    run(*ARGUMENTS, "-n", "20", "--out", str(tmp_path / "p.csv"))
    rows = parquet.read_table(tmp_path / "p.parquet").to_pylist()
    with (tmp_path / "p.csv").open() as file:
        expected = list(csv.DictReader(file))
    assert [{name: str(value) for name, value in row.items()} for row in rows] == expected


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("-n", "0"), 2, "'-n': '0' is out of range; expected a number of networks from 1 to"),
        (("-n", "5", "--seed", "abc"), 2, "'abc': expected an integer"),
        (("-n", "5", "--format", "parquet"), 2, "give --out FILE"),
        (("-n", "5", "--budget", "40"), 3, "one budget"),
        (("-n", "5", "--out", "/dev/null/p.csv"), 1, "cannot be written"),
    ],
)
def test_bad_input_has_a_message_and_a_code(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    outcome = run(*ARGUMENTS, *arguments)
    assert outcome.code == code
    assert message in unwrapped(outcome.err)


def test_a_file_appears_whole_or_not_at_all(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snsearch.solver.sampling._VAIN", 300)
    assert (
        run("sample", "--mflops", "40", "--space", "mobilenet-v1", "-n", "50", "--out", str(tmp_path / "p.csv")).code
        == 3
    )
    assert not list(tmp_path.iterdir())


def test_a_profile_adds_the_predicted_latency(run: Run) -> None:
    outcome = run(*ARGUMENTS, "-n", "12", "--profile", "snapdragon-820")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    profile = load_profile("snapdragon-820")
    for row in rows:
        assert float(row["latency_ms"]) == profile.predict(Architecture.from_key(row["key"])).ms
    limited = run("sample", "-n", "3", "--latency", "20ms", "--profile", "snapdragon-820")
    assert limited.code == 0, limited.err
    for row in csv.DictReader(io.StringIO(limited.out)):
        assert 19.0 <= float(row["latency_ms"]) <= 20.0
