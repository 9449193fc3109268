"""Files that earlier versions wrote are still read, with the same values."""

from __future__ import annotations

import json
import math
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snsearch.codec import decode, encode
from snsearch.device.counting import counter
from snsearch.device.counting.record import CountedNetwork
from snsearch.device.log import MeasurementLog
from snsearch.device.registry import Device, devices_folder, read_device
from snsearch.errors import StudyError
from snsearch.lab.paper import PaperSettings
from snsearch.lab.reference import curves_of, extended, read_scores, read_set, write_set
from snsearch.latency.profile import load_profile, read_profile
from snsearch.pages.evidence import counts_of, measurements_of
from snsearch.pages.page import report_data, write_report
from snsearch.solver.budget import load_budget, mflops_budget, with_input
from snsearch.solver.design import Design
from snsearch.solver.spec import load_space
from snsearch.study.objective import latency_objective
from snsearch.study.settings import deployed, settings_of
from snsearch.study.storage import Study, read_study
from snsearch.toml_files import toml_of
from snsearch.training.recipe import Recipe
from snsearch.training.sources import load_data
from tests.conftest import Outcome

V0 = Path(__file__).parent / "fixtures" / "v0"


@pytest.fixture
def study(tmp_path: Path) -> str:
    """The URL of a copy of the study."""
    shutil.copy(V0 / "study.db", tmp_path / "study.db")
    return f"sqlite:///{tmp_path / 'study.db'}"


def test_a_study_is_read_with_its_repeats_and_attachments(study: str) -> None:
    read = read_study(study)
    assert read.name == "digits-v0"
    settings = read.settings
    assert settings.budget == replace(
        mflops_budget(3), resolution=(96, 96), classes=10, input_channels=1
    )  # fmt: skip
    assert settings.recipe == Recipe(images=256, test_images=179)
    assert (settings.pilot, read.lengths, read.noise) == (False, None, None)
    assert [trial.status for trial in read.trials] == ["complete"] * 5 + ["stopped"] * 2
    first = read.trials[0]
    assert first.architecture is not None
    assert first.costs is not None
    assert first.proxy is not None
    assert (first.design.groups, first.design.scale, first.design.depth, first.design.se) == (1, 0.5, "paper", False)
    assert first.architecture.key == "shufflenet.g1.b4.shuffle_stem12s2p_48x4s2-96x8s2-176x4s2_1x96x96_c10"
    assert (first.costs.params, first.cost) == (103126, pytest.approx(1.16772148566))
    assert [point.images_seen for point in first.curve] == [128, 256]
    assert [(result.seed, round(result.error, 4)) for result in first.results] == [(0, 0.419), (1, 0.4804)]
    assert read.trials[5].proxy is not None
    assert not read.trials[5].proxy.finished
    assert read.provenance[0]["optuna"] == "5.0.0"
    keys = [trial.architecture.key for trial in read.trials[:2] if trial.architecture]
    assert [(one.subject, one.verdict, one.latency_ms) for one in measurements_of(read)] == [
        (keys[0], "ok", 2.05),
        (keys[1], "flagged", 2.05),
    ]
    [counted] = counts_of(read)
    assert (counted.subject, counted.record.counts.instructions, counted.core.name) == (
        keys[0],
        1_000_000,
        "cortex-a72",
    )
    assert counted.core.digest == counter.load_cpu("cortex-a72").digest


def test_a_study_of_an_earlier_version_is_reported(study: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(report_data(read_study(study)), page)
    assert "digits-v0" in page.read_text(encoding="utf-8")


def test_a_study_of_an_earlier_version_is_not_gone_on_with(study: str) -> None:
    dataset = load_data("digits")
    settings = settings_of(
        load_space("shufflenet-v1"),
        deployed(with_input(load_budget("3"), resolution=(96, 96)), dataset, named=False, classes=None),
        dataset,
        Recipe(images=256, test_images=179),
        data="digits",
        seed=0,
        tight=True,
        search_shuffle=False,
        objective=latency_objective(load_profile("snapdragon-820")),
    )
    with pytest.raises(StudyError, match="of an earlier version: it can be reported, but not gone on with"):
        Study.open(study, "digits-v0", settings)
    assert len(read_study(study).trials) == 7


def test_a_reference_set_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    found = read_set(V0 / "reference")
    assert (found.name, found.budget.macs, found.budget.title) == ("made-up", 40_000_000, "")
    assert (found.remark, found.tuned_on, found.seeds, found.runs) == ("größer", True, (0, 1), ({"host": "a"},))
    assert found.recipes == {"reference": Recipe(epochs=8), "default": Recipe()}
    assert [(one.label, one.design.groups, one.macs) for one in found.members] == [
        (one["label"], one["design"]["groups"], one["macs"])
        for one in json.loads((V0 / "reference" / "set.json").read_text(encoding="utf-8"))["members"]
    ]
    [(identity, curve), *_] = curves_of(V0 / "reference").items()
    assert identity == (found.members[0].label, "default", 0)
    assert [point.test_error for point in curve] == [0.5, 0.25]
    assert [(one.name, one.value) for _, one in read_scores(V0 / "reference")] == [("params", 1.5)] * 2
    assert extended(found, replace(found, runs=())) == found
    write_set(found, tmp_path)
    written, before = (
        json.loads((folder / "set.json").read_text("utf-8")) for folder in (tmp_path, V0 / "reference")
    )
    for recipe in before["recipes"].values():
        del recipe["low_resolution"], recipe["label_smoothing"]  # options that are gone
    assert written == before


def test_a_set_with_choices_per_stage_is_written_and_read_back(tmp_path: Path) -> None:
    found = read_set(V0 / "reference")
    design = Design(groups=(1, 2, 4), se=(False, True, True), ratios=(1.0, 2.5, 4.0))
    arch = replace(found.members[0].architecture, groups=(1, 2, 4), se_reduction=(0, 16, 16))
    mixed = replace(found, members=(replace(found.members[0], design=design, architecture=arch),))
    write_set(mixed, tmp_path)
    assert read_set(tmp_path) == mixed
    [member] = json.loads((tmp_path / "set.json").read_text("utf-8"))["members"]
    assert (member["design"]["groups"], member["architecture"]["groups"]) == ([1, 2, 4], [1, 2, 4])


def test_a_device_s_own_profile_is_read_and_makes_the_same_objective() -> None:
    profile = read_profile(V0 / "own_profile.toml")
    assert (profile.name, profile.counting, profile.kept_out) == ("board", "kernels", 24)
    assert profile.unseen == ("dense_3x3_macs", "dense_spatial_macs", "grouped_spatial_macs")
    assert profile.judged_ms == (0.454049, 4.18053)
    assert latency_objective(profile).name == "latency board 0fe22fae"


def test_a_calibrated_profile_is_read_and_makes_the_same_objective() -> None:
    profile = read_profile(V0 / "calibrated_profile.toml")
    assert (profile.name, profile.library, profile.counting, profile.core) == ("mine", "ncnn 1", "quantities", "")
    assert latency_objective(profile).name == "latency mine 43ee69ec"


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [("measurements.jsonl", ["ok", "refused", "flagged"]), ("measurements_schema_1.jsonl", ["ok", "refused"])],
)
def test_measurements_of_both_schemas_are_read(name: str, verdicts: list[str]) -> None:
    found = MeasurementLog(path=V0 / name).read()
    assert [one.verdict for one in found] == verdicts
    assert found[0].host.library == "ncnn 1.0.20260101"
    assert found[0].samples_ns == ((2_000_000, 2_100_000), (2_000_000, 2_200_000))
    assert found[0].states[0].khz == 1_800_000
    assert (found[0].parity, found[1].parity) == (3e-7, math.inf)
    assert found[0].loadavg == (0.1, 0.2, 0.3)


def test_what_is_written_is_as_it_was() -> None:
    log = V0 / "measurements.jsonl"
    for one, line in zip(MeasurementLog(path=log).read(), log.read_text("utf-8").splitlines(), strict=True):
        written = encode(one)
        assert [cause.pop("cause") for cause in written.pop("causes")] == ["earlier"] * len(one.reasons)
        assert written == json.loads(line)
    values = json.loads((V0 / "counted_network.json").read_text(encoding="utf-8"))
    assert encode(decode(CountedNetwork, values, "it")) == values
    for name in ("own_profile.toml", "calibrated_profile.toml"):
        assert read_profile(V0 / name).to_toml() == (V0 / name).read_text(encoding="utf-8")


def test_counts_are_read_from_their_cache() -> None:
    key = json.loads((V0 / "counts_cache.json").read_text(encoding="utf-8"))["key"]
    record = counter._read(V0 / "counts_cache.json", key)
    assert record is not None
    assert (record.counts.instructions, record.counts.l1d_misses, record.qemu) == (50_000_000, 2_000_000, "7.2.22")
    assert counter._read(V0 / "counts_cache.json", "another key") is None


def test_a_device_s_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path))
    devices_folder().mkdir(parents=True)
    shutil.copy(V0 / "pi.toml", devices_folder() / "pi.toml")
    known = read_device("pi")
    assert known == Device(
        name="pi",
        url="ssh://me@pi.example:2222",
        core=3,
        engine="onnxruntime",
        ssh_options=("-o", "ProxyJump=bastion"),
        runner="runners/mine",
        identity="Raspberry Pi 4, aarch64, 4 cores",
        description='Raspberry "Pi" 4, aarch64',
    )
    assert tomllib.loads(toml_of(known)) == tomllib.loads((V0 / "pi.toml").read_text(encoding="utf-8"))


def test_the_settings_of_a_folder_of_paper_are_compared(tmp_path: Path) -> None:
    shutil.copy(V0 / "paper_settings.json", tmp_path / "settings.json")
    same = PaperSettings.of(load_data("digits"), Recipe(epochs=2), tight=True)
    same.keep(tmp_path / "settings.json")
    with pytest.raises(StudyError, match="recipe epochs: 2, now 3"):
        replace(same, recipe=Recipe(epochs=3)).keep(tmp_path / "settings.json")


def test_a_document_of_solve_names_its_network(run: Callable[..., Outcome]) -> None:
    document = json.loads(run("count", str(V0 / "solve.json"), "--format", "json").out)
    assert document["counts"][0]["key"] == (
        "shufflenet.g3.b4.shuffle_stem12s2p_60x4s2-120x8s2-240x4s2_3x224x224_c1000"
    )
