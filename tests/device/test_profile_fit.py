"""A device's own profile: the fit recovers a cost law, held-out networks stay held out; and profiles of devices."""

from __future__ import annotations

import json
import math
import platform
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from snsearch.cli import cli
from snsearch.device.conditions import Conditions, Effort
from snsearch.device.log import log_of, measure_once
from snsearch.device.measurements import Measurement
from snsearch.device.profile_fit import FEWEST_NETWORKS, OwnProfile, make_profile, subject_of
from snsearch.device.profile_plan import Plan, drawn_networks, plan_of
from snsearch.device.profile_samples import FOLDS, fit_own, network_sample, piece_sample, steady_ms
from snsearch.device.registry import Device, device_of, profile_path
from snsearch.device.runners import runners_of
from snsearch.device.subjects import reference_subject
from snsearch.errors import DeviceError, SpecError
from snsearch.latency.calibration import Calibration, profile_of
from snsearch.latency.fitting import Sample
from snsearch.latency.kernels import block_kernel_terms, network_kernel_terms
from snsearch.latency.profile import read_profile
from snsearch.latency.terms import Terms, network_terms, ops_terms
from snsearch.solver.spec import load_space
from tests.conftest import Outcome
from tests.device.test_measuring import RUNNER, behave, jobs

Run = Callable[..., Outcome]
SPACE = load_space("shufflenet-v1")
QUICK = Effort(
    rounds=3, least_repeats=3, seconds=0.001, batch=16, warmup_ms=0, warmups=2, attempts=1, cool_down_s=0.0
)

# Nanoseconds per unit: as on real devices, small blocks of rows and single channels are expensive.
LAW: dict[str, float] = {
    **{"rows_16_macs": 0.008, "rows_8_macs": 0.01, "rows_4_macs": 0.015, "rows_2_macs": 0.02, "rows_1_macs": 0.03},
    **{"read_16_bytes": 0.02, "read_8_bytes": 0.03, "read_4_bytes": 0.04, "read_1_bytes": 0.06},
    **{"write_16_bytes": 0.02, "write_8_bytes": 0.02, "write_4_bytes": 0.03, "write_1_bytes": 0.05},
    **{"depthwise_16_macs": 0.05, "depthwise_8_macs": 0.06, "depthwise_4_macs": 0.07, "depthwise_1_macs": 0.2},
    **{"repacked_bytes": 0.03, "weight_bytes": 0.03, "group_calls": 500.0, "first_macs": 0.04},
    **{"strided_depthwise_macs": 0.02, "dense_3x3_macs": 0.006, "dense_spatial_macs": 0.01},
    **{"grouped_spatial_macs": 0.1, "shuffle_bytes": 0.02, "wide_shuffle_bytes": 0.06, "single_shuffle_bytes": 0.03},
    **{"element_bytes": 0.02, "pool_bytes": 0.03, "gate_bytes": 0.02, "gate_weight_bytes": 0.04},
    **{"linear_bytes": 0.02, "operators": 900.0, "gate_operators": 500.0, "edge_bytes": 0.03, "far_512k_bytes": 0.02},
    **{"streamed_weight_bytes": 0.01, "runs": 8000.0},
}
# A device with fast memory and no packs: only quantities matter, channels per group do not.
PLAIN_LAW: dict[str, float] = {
    **{"dense_pointwise_macs": 0.1, "grouped_pointwise_macs": 0.15, "dense_3x3_macs": 0.2, "dense_spatial_macs": 0.2},
    **{"grouped_spatial_macs": 0.2, "depthwise_macs": 1.0, "conv_bytes": 0.3, "element_bytes": 0.3},
    **{"linear_bytes": 0.3, "gate_bytes": 0.8},
}


def cost_ms(law: dict[str, float], terms: Terms) -> float:
    return sum(rate * terms[term] for term, rate in law.items()) / 1e6


@cache
def plan() -> Plan:
    return plan_of(SPACE)


def samples(
    law: dict[str, float] = LAW, noise: float = 0.0, plan: Plan | None = None, seed: int = 0
) -> tuple[Sample, ...]:
    """Latencies of a device that follows the law, each off by a random share."""
    chosen = plan or plan_of(SPACE)
    chance = random.Random(seed)
    kernels = law is LAW

    def measured(terms: Terms) -> float:
        return cost_ms(law, terms) * math.exp(chance.gauss(0, noise))

    found = [
        network_sample(
            arch,
            measured(network_kernel_terms(arch) if kernels else network_terms(arch)),
            judged=arch in chosen.networks,
        )
        for arch in (*chosen.networks, *chosen.others)
    ]
    found += [
        piece_sample(
            piece.name, piece.ops, measured(block_kernel_terms(piece.ops) if kernels else ops_terms(piece.ops))
        )
        for piece in chosen.pieces
    ]
    return tuple(found)


@cache
def fitted(noise: float) -> Calibration:
    """The fit on the whole plan of a device that follows the law."""
    return fit_own(samples(noise=noise))


def test_a_law_without_noise_is_found_again_rate_by_rate() -> None:
    found = fitted(0.0)
    assert found.form.counting == "kernels"
    assert found.networks.errors().mape < 1e-3
    for term, rate in LAW.items():
        assert found.rates[term] == pytest.approx(rate, rel=0.05), term
    assert not found.unseen


def test_noise_moves_predictions_of_new_networks_by_less_than_itself() -> None:
    found = fitted(0.02)
    errors = []
    for arch in drawn_networks(SPACE, 60, 7):
        terms = network_kernel_terms(arch)
        errors.append(abs(cost_ms(found.rates, terms) / cost_ms(LAW, terms) - 1))
    assert np.mean(errors) < 0.02
    assert np.quantile(errors, 0.95) < 0.1
    # The reported error includes the noise of the figures that judge it.
    assert 0.01 < found.networks.errors().mape < 0.04
    assert found.networks.errors().mape < min(found.flops.errors().mape, found.pixels.errors().mape)


def test_a_device_without_packs_is_given_a_form_of_quantities_or_no_worse_a_one() -> None:
    found = fit_own(samples(PLAIN_LAW, noise=0.02))
    assert found.networks.errors().mape < 0.04


def test_a_held_out_network_never_affects_its_own_prediction() -> None:
    clean = samples(noise=0.02)
    fold = [index for index in range(96) if index % FOLDS == 3]
    poisoned = tuple(
        replace(sample, ms=sample.ms * 50) if index in fold else sample for index, sample in enumerate(clean)
    )
    before, after = fitted(0.02).networks, fit_own(poisoned).networks
    assert [before.predicted_ms[i] for i in fold] == [after.predicted_ms[i] for i in fold]
    others = [i for i in range(96) if i not in fold]
    assert [before.predicted_ms[i] for i in others] != [after.predicted_ms[i] for i in others]


@pytest.mark.long
def test_a_slow_spell_that_the_reference_tells_of_moves_no_figure(work: Path) -> None:
    chosen = small_plan(4, 2)
    behave(work, ns=law_of(chosen))
    device = replace(DEVICE, name="steady")
    found = measure_once(
        device,
        list(map(subject_of, chosen.things)),
        reference_subject(),
        runners_of(device),
        conditions=Conditions(effort=QUICK),
    )
    quiet = [one for one in found if isinstance(one, Measurement)]
    slowed = [
        replace(
            one,
            samples_ns=tuple(tuple(2 * ns for ns in rounds) for rounds in one.samples_ns),
            reference_ns=tuple(tuple(2 * ns for ns in rounds) for rounds in one.reference_ns),
        )
        if index == 1
        else one
        for index, one in enumerate(quiet)
    ]
    assert steady_ms(slowed) == pytest.approx(steady_ms(quiet))
    assert steady_ms(quiet) == pytest.approx({one.artefact: one.latency_ms for one in quiet}, rel=0.02)


def test_every_network_of_the_plan_is_held_out_once_and_pieces_never() -> None:
    found = fitted(0.02)
    for kept in (found.networks, found.families, found.flops, found.pixels):
        assert kept.names == tuple(arch.key for arch in plan().networks)


def test_a_network_with_what_no_figure_had_is_refused_by_name(tmp_path: Path) -> None:
    def is_spatial(terms: Terms) -> bool:
        return terms["dense_3x3_macs"] + terms["dense_spatial_macs"] + terms["grouped_spatial_macs"] > 0

    pieces = tuple(piece for piece in plan().pieces if not is_spatial(block_kernel_terms(piece.ops)))
    only = replace(plan(), others=(), pieces=pieces)
    found = fit_own(samples(plan=only))
    assert set(found.unseen) == {"dense_3x3_macs", "dense_spatial_macs", "grouped_spatial_macs"}
    about = {"name": "own", "device": "Own", "core": "", "library": "ncnn", "threads": 1, "precision": "float32"}
    profile = profile_of(found, **about, figures="measured", source="here", note="", fitted_on=("them",))
    path = tmp_path / "own.toml"
    path.write_text(profile.to_toml(), encoding="utf-8")
    assert read_profile(path) == profile
    assert profile.predict(drawn_networks(SPACE, 1, 9)[0]).ms > 0
    [resnet] = drawn_networks(load_space("resnet"), 1, 0)
    with pytest.raises(
        SpecError,
        match=r"has MACs of other 3x3 convolutions .*, and no network or block",
    ):
        profile.predict(resnet)


def test_a_profile_s_file_names_how_its_terms_are_counted(tmp_path: Path) -> None:
    found = fitted(0.0)
    about = {"name": "own", "device": "Own", "core": "", "library": "ncnn", "threads": 1, "precision": "float32"}
    text = profile_of(found, **about, figures="measured", source="here", note="", fitted_on=("them",)).to_toml()
    path = tmp_path / "own.toml"
    for given, expected in (
        (text.replace('"kernels"', '"kernel"'), "counting .* expected one of quantities, kernels"),
        (text.replace('counting = "kernels"\n', ""), 'unknown term "rows_16_macs"'),
        (text.replace("[nanoseconds]", 'unseen = ["rows"]\n[nanoseconds]'), 'unknown term "rows"'),
    ):
        path.write_text(given, encoding="utf-8")
        with pytest.raises(SpecError, match=expected):
            read_profile(path)


# Through a transport, with a runner that follows the law.


def _patch(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Sets the home, takes every output for torch's, and removes all waiting."""
    patch.setenv("SNSEARCH_HOME", str(home))
    patch.setattr("snsearch.engine.parity.deviation", lambda output, expected: 3e-7)
    patch.setattr("snsearch.engine.parity.expected_outputs", lambda ops, weights, seed: ())
    patch.setattr("snsearch.device.measuring.wait", lambda seconds: None)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The device's work folder, in a new home."""
    _patch(monkeypatch, tmp_path / "home")
    folder = tmp_path / "home" / "work"
    folder.mkdir(parents=True)
    return folder


@cache
def small_plan(networks: int = FEWEST_NETWORKS, pieces: int = 4) -> Plan:
    """The smallest networks and a few pieces, which are written quickly."""
    drawn = sorted(drawn_networks(SPACE, 60, 5), key=lambda arch: network_terms(arch)["weight_bytes"])
    return Plan(networks=tuple(drawn[:networks]), others=(), pieces=plan().pieces[:pieces])


def law_of(chosen: Plan) -> dict[str, int]:
    """Nanoseconds of every model by its prefix on the device."""
    found = {}
    for thing in chosen.things:
        terms = network_kernel_terms(thing) if hasattr(thing, "key") else block_kernel_terms(thing.ops)
        found[subject_of(thing).prefix.name] = round(cost_ms(LAW, terms) * 1e6)
    return found


DEVICE = Device(name="board", url="local", runner=str(RUNNER))


def made(chosen: Plan, **options: Any) -> OwnProfile:
    return make_profile(DEVICE, chosen, runners_of(DEVICE), conditions=Conditions(effort=QUICK), **options)


@pytest.mark.long
def test_a_device_is_measured_fitted_and_measured_no_second_time(work: Path) -> None:
    chosen = small_plan()
    behave(work, ns=law_of(chosen))
    progress: list[tuple[int, int]] = []
    own = made(chosen, progress=lambda done, total: progress.append((done, total)))
    profile = own.profile
    assert progress[-1] == (len(chosen.things), len(chosen.things))
    assert profile.name == "board"
    assert profile.device == f"Fake Board 4 ({platform.machine()})"
    assert profile.core == "core 3, 2.40 GHz"
    assert profile.library == "ncnn 1.0.20260101 (ncnn-cpp)"
    assert (profile.figures, profile.precision, profile.threads) == ("measured", "float32", 1)
    assert profile.kept_out == len(chosen.networks)
    assert "measured figures" in profile.provenance
    measured = {one.subject: one.latency_ms for one in log_of(DEVICE).read()}
    for arch in chosen.networks[::5]:
        assert profile.predict(arch).ms == pytest.approx(measured[arch.key], rel=0.1)
    count = len(jobs(work))
    again = made(chosen)
    assert again.profile == profile
    assert len(jobs(work)) == count


@pytest.mark.long
def test_a_profile_that_was_interrupted_goes_on(work: Path) -> None:
    chosen = small_plan()
    behave(work, ns=law_of(chosen))
    calls = iter(range(10**6))
    with pytest.raises(KeyboardInterrupt):
        made(chosen, stop=lambda: next(calls) > 22)
    kept = len(log_of(DEVICE).read())
    assert 0 < kept < len(chosen.things)
    own = made(chosen)
    assert len(log_of(DEVICE).read()) == len(chosen.things)
    assert own.flagged == 0


@pytest.mark.long
def test_figures_of_two_cores_or_libraries_make_no_common_profile(work: Path) -> None:
    chosen = small_plan()
    times = law_of(chosen)
    behave(work, ns=times)
    calls = iter(range(10**6))
    with pytest.raises(KeyboardInterrupt):
        made(chosen, stop=lambda: next(calls) > 22)
    behave(work, ns=times, runner="ncnn-python")
    with pytest.raises(DeviceError, match=r"\(ncnn-cpp\) on 2.40 GHz and of ncnn .* --again"):
        made(chosen)


def test_an_emulated_device_gets_no_profile_and_is_not_measured(work: Path) -> None:
    behave(work, marker="qemu")
    with pytest.raises(DeviceError, match=r"board is emulated .*times under emulation mean nothing"):
        made(small_plan())
    assert jobs(work) == []


def test_a_counted_device_gets_no_profile_of_times(work: Path) -> None:
    device = Device(name="a72", url="counted://cortex-a72")
    with pytest.raises(DeviceError, match="a72 counts"):
        make_profile(device, small_plan(), runners_of(device), conditions=Conditions(effort=QUICK))


@pytest.mark.long
def test_what_cannot_be_measured_is_left_out_by_name_and_too_little_is_no_profile(work: Path) -> None:
    chosen = small_plan(FEWEST_NETWORKS + 1)
    lost = chosen.networks[0]
    behave(work, ns=law_of(chosen), broken=[subject_of(lost).prefix.with_suffix(".param").read_text()])
    own = made(chosen)
    assert [reason.partition(":")[0] for reason in own.left_out] == [lost.key]
    assert "1 were refused or failed" in own.profile.note
    fewer = replace(chosen, networks=chosen.networks[:FEWEST_NETWORKS])
    with pytest.raises(DeviceError, match=f"only 23 of 24 networks have a valid measurement.*{lost.key}"):
        made(fewer)


@pytest.fixture(scope="module")
def profiled_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with a device that has a profile, and what the command printed when it made it."""
    home = tmp_path_factory.mktemp("profiled") / "home"
    work = home / "work"
    work.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        _patch(patch, home)
        chosen = small_plan()
        patch.setattr("snsearch.device.profile_plan.plan_of", lambda space, **counts: chosen)
        patch.setattr("snsearch.device.profile_fit.EFFORT", QUICK)
        behave(work, ns=law_of(chosen))
        runner = CliRunner()
        assert runner.invoke(cli, ["device", "add", "board", "local", "--runner", str(RUNNER)]).exit_code == 0
        outcome = runner.invoke(cli, ["device", "profile", "board"])
    assert outcome.exit_code == 0, outcome.output
    return home, outcome.output


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch, profiled_home: tuple[Path, str]) -> str:
    """A device of the name board has a profile; what the command printed."""
    home, printed = profiled_home
    monkeypatch.setenv("SNSEARCH_HOME", str(home))
    return printed


@pytest.mark.long
def test_the_command_prints_the_error_beside_both_baselines_and_keeps_the_profile(profiled: str, run: Run) -> None:
    for words in (
        "Fake Board 4",
        "mean error on 24 held-out networks",
        "log-log FLOPs",
        "pixel scaling",
        "within 10 %:",
    ):
        assert words in profiled
    assert read_profile(profile_path("board")).name == "board"
    [listed] = json.loads(run("device", "list", "--format", "json").out)["devices"]
    assert listed["profile"] is True


@pytest.mark.long
def test_a_device_with_a_profile_predicts_every_space_it_knows(profiled: str, run: Run) -> None:
    arguments = ("latency", "--groups", "3", "--scale", "0.25,0.5", "--format", "json")
    rows = json.loads(run(*arguments, "--device", "board").out)
    profile = read_profile(profile_path("board"))
    assert [row["scale"] for row in rows] == [0.25, 0.5]
    for row in rows:
        assert row["interval_ms"][0] < row["latency_ms"] < row["interval_ms"][1]
        assert row["provenance"] == profile.provenance
    assert json.loads(run(*arguments, "--device", "board").out) == rows
    both = run(*arguments, "--device", "board", "--profile", "snapdragon-810")
    assert both.code == 2
    assert "give one of them" in both.err


@pytest.mark.long
def test_a_profile_is_shared_as_its_file(
    profiled: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared.toml"
    shared.write_text(run("profiles", "board", "--format", "toml").out, encoding="utf-8")
    assert shared.read_text() == profile_path("board").read_text()
    assert "board" in run("profiles").out
    here = run("latency", "--groups", "3", "--device", "board", "--format", "csv").out
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "another home"))
    assert run("latency", "--groups", "3", "--device", "board").code == 8
    there = run("latency", "--groups", "3", "--profile", str(shared), "--format", "csv")
    assert there.out == here


def test_a_device_without_a_profile_says_how_to_make_one(work: Path, run: Run) -> None:
    assert run("device", "add", "board", "local", "--runner", str(RUNNER)).code == 0
    for arguments in (("latency", "--device", "board"), ("profiles", "board")):
        outcome = run(*arguments)
        assert outcome.code == 8
        assert "no latency profile yet; make one: snsearch device profile board" in outcome.err
    assert device_of("board").runner == str(RUNNER)


def test_an_emulated_device_ends_the_command_with_its_code(
    work: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snsearch.device.profile_plan.plan_of", lambda space, **counts: small_plan())
    behave(work, marker="qemu")
    assert run("device", "add", "board", "local", "--runner", str(RUNNER)).code == 0
    outcome = run("device", "profile", "board")
    assert outcome.code == 8
    assert "no profile can be made" in outcome.err
    assert not profile_path("board").exists()
