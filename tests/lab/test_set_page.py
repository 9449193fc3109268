"""The page of a reference set, from its plain data; on the sets that come with snsearch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.lab.fidelity import SetFidelity, fidelity_of
from snsearch.lab.folders import set_folder, shipped_sets
from snsearch.lab.reference import REFERENCE, curves_of
from snsearch.lab.set_page import fidelity_page, write_fidelity_page


@pytest.fixture(scope="module")
def found() -> SetFidelity:
    return fidelity_of(set_folder("letters-5"))


def test_three_sets_are_shipped_and_each_holds_the_default_proxy_of_this_version() -> None:
    assert shipped_sets() == ("fashion-mnist-13", "glyphs-8", "letters-5")
    for name in shipped_sets():
        folder = set_folder(name)
        assert {recipe for _, recipe, _ in curves_of(folder)} >= {REFERENCE, "default"}
        assert "/" not in " ".join(path.read_text(encoding="utf-8") for path in folder.glob("*.csv"))


def test_the_summary_claims_no_more_than_the_intervals_allow(found: SetFidelity) -> None:
    page = fidelity_page(found)
    default = next(row for row in found.rows if row.default)
    assert f"Kendall tau {default.agreement.kendall_tau:.2f}" in page["summary"][0]
    assert "below 0.8" in page["summary"][1]
    assert "cannot be told apart" in page["summary"][2]
    without = replace(found, rows=tuple(replace(row, default=False) for row in found.rows))
    assert "not in the set" in fidelity_page(without)["summary"][0]


def test_members_stand_by_rising_error_with_each_seed(found: SetFidelity) -> None:
    page = fidelity_page(found)
    means = [float(row[4].rstrip("%")) for row in page["members"]]
    assert means == sorted(means)
    assert len(page["members"]) == found.members
    for row, mean in zip(page["members"], means, strict=True):
        seeds = [float(text) for text in row[5].split()]
        assert sum(seeds) / len(seeds) == pytest.approx(mean, abs=0.011)


def test_a_remark_from_outside_is_escaped(found: SetFidelity, tmp_path: Path) -> None:
    hostile = replace(found, reference=replace(found.reference, remark="<script>alert(1)</script>"))
    write_fidelity_page(hostile, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text
