"""The page of a reference set, from its plain data; on the sets that come with snsearch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.lab.fidelity import SetFidelity, fidelity_of
from snsearch.lab.folders import set_folder, shipped_sets
from snsearch.lab.reference import REFERENCE, curves_of
from snsearch.lab.set_page import set_sections, write_fidelity_page
from snsearch.pages.sections import Section, column_of


@pytest.fixture(scope="module")
def found() -> SetFidelity:
    return fidelity_of(set_folder("letters-5"))


def test_three_sets_are_shipped_and_each_holds_the_default_proxy_of_this_version() -> None:
    assert shipped_sets() == ("fashion-mnist-13", "glyphs-8", "letters-5")
    for name in shipped_sets():
        folder = set_folder(name)
        assert {recipe for _, recipe, _ in curves_of(folder)} >= {REFERENCE, "default"}
        assert "/" not in " ".join(path.read_text(encoding="utf-8") for path in folder.glob("*.csv"))


def _section(found: SetFidelity, name: str) -> Section:
    return next(section for section in set_sections(found) if section.name == name)


def test_the_first_line_answers_whether_the_ranking_can_be_trusted(found: SetFidelity) -> None:
    def answer(tau: float, low: float, high: float) -> str:
        rows = tuple(
            replace(row, agreement=replace(row.agreement, kendall_tau=tau, interval=(low, high)))
            for row in found.rows
        )
        return _section(replace(found, rows=rows), "trust").lines[0]

    assert answer(0.2, -0.3, 0.6).startswith("No: the default proxy ranks 60% of the pairs")
    assert answer(0.4, 0.2, 0.6).startswith("In part: ")
    assert answer(0.6, 0.4, 0.9).startswith("As far as this set can tell: ")


def test_the_summary_claims_no_more_than_the_intervals_allow(found: SetFidelity) -> None:
    lines = _section(found, "trust").lines
    default = next(row for row in found.rows if row.default)
    assert f"Kendall tau {default.agreement.kendall_tau:.2f}" in lines[1]
    assert "below 0.8" in lines[2]
    assert "cannot be told apart" in lines[3]
    without = replace(found, rows=tuple(replace(row, default=False) for row in found.rows))
    assert "not in the set" in _section(without, "trust").lines[0]


def test_members_stand_by_rising_error_with_each_seed(found: SetFidelity) -> None:
    [table] = _section(found, "members").tables
    means = [float(cell.rstrip("%")) for cell in column_of(table, "mean error")]
    assert means == sorted(means)
    assert len(means) == found.members
    for cell, mean in zip(column_of(table, "by seed, %"), means, strict=True):
        seeds = [float(text) for text in cell.split()]
        assert sum(seeds) / len(seeds) == pytest.approx(mean, abs=0.011)


def test_a_remark_from_outside_is_escaped(found: SetFidelity, tmp_path: Path) -> None:
    hostile = replace(found, reference=replace(found.reference, remark="<script>alert(1)</script>"))
    write_fidelity_page(hostile, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text
