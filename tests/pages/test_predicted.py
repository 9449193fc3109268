"""Latencies by other profiles than the study's, as axes of the front."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.device.registry import Device, profile_path, write_device
from snsearch.errors import SpecError
from snsearch.latency.profile import Profile, load_profile, predicted_by
from snsearch.pages.page import report_data
from snsearch.pages.predicted import other_profiles, predicted_figures
from snsearch.study.storage import read_study

SAMPLE = Path(__file__).parent.parent.parent / "tests" / "fixtures" / "finished" / "study.db"
SHIPPED = 12


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def own() -> Profile:
    return load_profile("snapdragon-820")


def _with_profile(name: str, text: str) -> None:
    write_device(Device(name=name, url="adb://1234"))
    profile_path(name).parent.mkdir()
    profile_path(name).write_text(text, encoding="utf-8")


def test_all_profiles_of_the_machine_but_the_study_s_own_are_axes(home: Path, own: Profile) -> None:
    _with_profile("mine", replace(own, name="mine", device="My board").to_toml())
    _with_profile("broken", "name = 1")
    _with_profile("again", own.to_toml())
    names = [profile.name for profile in other_profiles(own)]
    assert len(names) == SHIPPED - 1 + 1
    assert names[-1] == "mine"
    assert "snapdragon-820" not in names
    assert len(other_profiles(None)) == SHIPPED + 1

    report = report_data(read_study(f"sqlite:///{SAMPLE}"))
    axes = report.section("front").charts[0].options["axes"]  # type: ignore[index]
    assert "ms (mine, predicted)" in [axis["title"] for axis in axes]
    assert {axis["note"][:20] for axis in axes if axis["title"] == "ms (mine, predicted)"} == {"predicted, My board,"}


def test_a_figure_is_the_profile_s_prediction_in_four_digits(home: Path) -> None:
    report = report_data(read_study(f"sqlite:///{SAMPLE}"))
    profiles = report.view.others
    found = predicted_figures(report.rows, profiles)
    for at, profile in enumerate(profiles):
        figures = found[f"predicted_{at}"]
        assert figures["factor"] == profile.interval_factor
        assert figures["ms"] == pytest.approx([profile.predict(row.architecture).ms for row in report.rows], rel=5e-4)
        assert all(len(str(ms).replace(".", "")) <= 5 for ms in figures["ms"]), "short, for 2,000 candidates"
        low, high = figures["judged"]
        for row, ms in zip(report.rows, figures["ms"], strict=True):
            assert (low <= ms <= high) is ("outside of" not in profile.predict(row.architecture).provenance)


def test_a_profile_that_refuses_a_network_has_no_figure_of_it(own: Profile) -> None:
    refusing = replace(own, unseen=("grouped_pointwise_macs",))
    study = read_study(f"sqlite:///{SAMPLE}")
    archs = [trial.architecture for trial in study.candidates if trial.architecture]
    for arch in archs:
        refused, ms = predicted_by([refusing, own], arch)
        assert ms == own.predict(arch).ms
        if max(arch.groups) > 1:
            assert refused is None
            with pytest.raises(SpecError, match="fit it on such networks"):
                refusing.predict(arch)
