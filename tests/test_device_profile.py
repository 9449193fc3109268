"""A device's own profile: a cost law is found again, nothing leaks into what is kept out; and the way to a device."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snsearch.calibration import Sample
from snsearch.device_log import log_of
from snsearch.device_profile import (
    FEWEST_NETWORKS,
    FOLDS,
    OwnProfile,
    fit_own,
    make_profile,
    network_sample,
    piece_sample,
    subject_of,
)
from snsearch.devices.registry import Device, device_of, profile_path
from snsearch.errors import DeviceError
from snsearch.kernels import KernelTerms, block_kernel_terms, network_kernel_terms
from snsearch.latency import read_profile
from snsearch.measure import Effort
from snsearch.profile_plan import Plan, drawn_networks, plan_of
from snsearch.runners import runners_of
from snsearch.spec import load_space
from snsearch.terms import Terms, network_terms, ops_terms
from tests.conftest import Outcome
from tests.test_measure import RUNNER, behave, jobs

Run = Callable[..., Outcome]
SPACE = load_space("shufflenet-v1")
QUICK = Effort(
    rounds=3, least_repeats=3, seconds=0.001, batch=16, warmup_ms=0, warmups=2, attempts=1, cool_down_s=0.0
)

# Nanoseconds a unit: a device whose small blocks of rows and single channels are dear, as real ones are.
LAW: dict[str, float] = {
    **{"rows_16_macs": 0.008, "rows_8_macs": 0.01, "rows_4_macs": 0.015, "rows_2_macs": 0.02, "rows_1_macs": 0.03},
    **{"read_16_bytes": 0.02, "read_8_bytes": 0.03, "read_4_bytes": 0.04, "read_1_bytes": 0.06},
    **{"write_16_bytes": 0.02, "write_8_bytes": 0.02, "write_4_bytes": 0.03, "write_1_bytes": 0.05},
    **{"depthwise_16_macs": 0.05, "depthwise_8_macs": 0.06, "depthwise_4_macs": 0.07, "depthwise_1_macs": 0.2},
    **{"repacked_bytes": 0.03, "weight_bytes": 0.03, "group_calls": 500.0, "first_macs": 0.04},
    **{"strided_depthwise_macs": 0.02, "dense_3x3_macs": 0.006, "dense_spatial_macs": 0.01},
    **{"grouped_spatial_macs": 0.1, "shuffle_bytes": 0.02, "wide_shuffle_bytes": 0.06, "single_shuffle_bytes": 0.03},
    **{"element_bytes": 0.02, "pool_bytes": 0.03, "gate_bytes": 0.02, "gate_weight_bytes": 0.04},
    **{"linear_bytes": 0.02, "operators": 900.0, "edge_bytes": 0.03, "far_512k_bytes": 0.02},
}
# A device of wide memory and no packs: quantities alone decide, and channels a group do not matter.
PLAIN_LAW: dict[str, float] = {
    **{"dense_pointwise_macs": 0.1, "grouped_pointwise_macs": 0.15, "dense_3x3_macs": 0.2, "dense_spatial_macs": 0.2},
    **{"grouped_spatial_macs": 0.2, "depthwise_macs": 1.0, "conv_bytes": 0.3, "element_bytes": 0.3},
    **{"linear_bytes": 0.3, "gate_bytes": 0.8},
}


def cost_ms(law: dict[str, float], terms: Terms | KernelTerms) -> float:
    return sum(rate * float(getattr(terms, term)) for term, rate in law.items()) / 1e6


@cache
def plan() -> Plan:
    return plan_of(SPACE)


def samples(
    law: dict[str, float] = LAW, noise: float = 0.0, plan: Plan | None = None, seed: int = 0
) -> tuple[Sample, ...]:
    """What a device that follows the law measures, each figure off by a random share."""
    chosen = plan or plan_of(SPACE)
    chance = random.Random(seed)
    kernels = law is LAW

    def measured(terms: Terms | KernelTerms) -> float:
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


def test_a_law_without_noise_is_found_again_rate_by_rate() -> None:
    found = fit_own(samples())
    assert found.form.counting == "kernels"
    assert found.networks.score().mape < 1e-3
    for term, rate in LAW.items():
        assert found.rates[term] == pytest.approx(rate, rel=0.05), term
    assert not found.unseen


def test_noise_moves_predictions_of_new_networks_by_less_than_itself() -> None:
    found = fit_own(samples(noise=0.03))
    errors = []
    for arch in drawn_networks(SPACE, 60, 7):
        terms = network_kernel_terms(arch)
        errors.append(abs(cost_ms(found.rates, terms) / cost_ms(LAW, terms) - 1))
    assert np.mean(errors) < 0.03
    assert np.quantile(errors, 0.95) < 0.1
    # The reported error holds the noise of the figures that it is judged by.
    assert 0.015 < found.networks.score().mape < 0.06
    assert found.networks.score().mape < min(found.flops.score().mape, found.pixels.score().mape)


def test_a_device_without_packs_is_given_a_form_of_quantities_or_no_worse_a_one() -> None:
    found = fit_own(samples(PLAIN_LAW, noise=0.02))
    assert found.networks.score().mape < 0.04


def test_what_is_kept_out_never_sees_its_own_fold() -> None:
    clean = samples(noise=0.02)
    fold = [index for index in range(72) if index % FOLDS == 3]
    poisoned = tuple(
        replace(sample, ms=sample.ms * 50) if index in fold else sample for index, sample in enumerate(clean)
    )
    before, after = fit_own(clean).networks, fit_own(poisoned).networks
    assert [before.predicted_ms[i] for i in fold] == [after.predicted_ms[i] for i in fold]
    others = [i for i in range(72) if i not in fold]
    assert [before.predicted_ms[i] for i in others] != [after.predicted_ms[i] for i in others]


def test_every_network_of_the_plan_is_kept_out_once_and_pieces_never() -> None:
    found = fit_own(samples(noise=0.02))
    for kept in (found.networks, found.families, found.flops, found.pixels):
        assert kept.names == tuple(arch.key for arch in plan().networks)


def test_a_network_with_what_no_figure_had_is_refused_by_name(tmp_path: Path) -> None:
    shuffled = replace(plan(), others=())
    found = fit_own([one for one in samples(plan=shuffled) if ", 3x3" not in one.name])
    assert {"dense_3x3_macs", "grouped_spatial_macs"} <= set(found.unseen)


# Through a transport, with a runner that answers by the law.


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The device's work folder, in a home of the test's own; every output is taken to be torch's."""
    monkeypatch.setenv("SNSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("snsearch.engine.parity.deviation", lambda output, expected: 3e-7)
    monkeypatch.setattr("snsearch.engine.parity.expected_outputs", lambda ops, weights, seed: ())
    monkeypatch.setattr("snsearch.measure.wait", lambda seconds: None)
    folder = tmp_path / "home" / "work"
    folder.mkdir(parents=True)
    return folder


def small_plan(networks: int = FEWEST_NETWORKS, pieces: int = 8) -> Plan:
    """The smallest networks and a few pieces, which are written in moments."""
    drawn = sorted(drawn_networks(SPACE, 60, 5), key=lambda arch: network_terms(arch).weight_bytes)
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
    return make_profile(DEVICE, chosen, runners_of(DEVICE), effort=QUICK, **options)


def test_a_device_is_measured_fitted_and_measured_no_second_time(work: Path) -> None:
    chosen = small_plan()
    behave(work, ns=law_of(chosen))
    progress: list[tuple[int, int]] = []
    own = made(chosen, progress=lambda done, total: progress.append((done, total)))
    profile = own.profile
    assert progress[-1] == (len(chosen.things), len(chosen.things))
    assert profile.name == "board"
    assert profile.device == "Fake Board 4"
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


def test_an_emulated_device_gets_no_profile_and_is_not_measured(work: Path) -> None:
    behave(work, marker="qemu")
    with pytest.raises(DeviceError, match=r"board is emulated .*times under emulation mean nothing"):
        made(small_plan())
    assert jobs(work) == []


def test_a_counted_device_gets_no_profile_of_times(work: Path) -> None:
    device = Device(name="a72", url="counted://cortex-a72")
    with pytest.raises(DeviceError, match="a72 counts"):
        make_profile(device, small_plan(), runners_of(device), effort=QUICK)


def test_what_cannot_be_measured_is_left_out_by_name_and_too_little_is_no_profile(work: Path) -> None:
    chosen = small_plan(FEWEST_NETWORKS + 1)
    lost = chosen.networks[0]
    behave(work, ns=law_of(chosen), broken=[subject_of(lost).prefix.with_suffix(".param").read_text()])
    own = made(chosen)
    assert [reason.partition(":")[0] for reason in own.left_out] == [lost.key]
    assert "1 were refused or failed" in own.profile.note
    fewer = replace(chosen, networks=chosen.networks[:FEWEST_NETWORKS])
    with pytest.raises(DeviceError, match=f"only 23 of 24 networks have a measurement.*{lost.key}"):
        made(fewer)


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch, work: Path, run: Run) -> Outcome:
    """A device of that name with a profile, and what the command said."""
    chosen = small_plan()
    behave(work, ns=law_of(chosen))
    monkeypatch.setattr("snsearch.profile_plan.plan_of", lambda space, **counts: chosen)
    monkeypatch.setattr("snsearch.device_profile.EFFORT", QUICK)
    assert run("device", "add", "board", "local", "--runner", str(RUNNER)).code == 0
    return run("device", "profile", "board")


def test_the_command_prints_the_error_beside_both_baselines_and_keeps_the_profile(
    profiled: Outcome, run: Run
) -> None:
    assert profiled.code == 0
    for words in ("Fake Board 4", "mean error on 24 figures", "log-log FLOPs", "pixel scaling", "within 10 %:"):
        assert words in profiled.out
    assert read_profile(profile_path("board")).name == "board"
    [listed] = json.loads(run("device", "list", "--format", "json").out)["devices"]
    assert listed["profile"] is True


def test_a_device_with_a_profile_predicts_every_space_it_knows(profiled: Outcome, run: Run) -> None:
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


def test_a_profile_is_shared_as_its_file(
    profiled: Outcome, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_an_emulated_device_ends_the_command_with_its_code(work: Path, run: Run) -> None:
    behave(work, marker="qemu")
    assert run("device", "add", "board", "local", "--runner", str(RUNNER)).code == 0
    outcome = run("device", "profile", "board")
    assert outcome.code == 8
    assert "no profile can be made" in outcome.err
    assert not profile_path("board").exists()
