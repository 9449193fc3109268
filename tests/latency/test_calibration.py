"""Calibration: known rates are found again, held-out networks are not seen, and errors are right by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.published.forms import RICH_FORMS, TRANSFORM_FORMS
from snsearch.errors import SpecError
from snsearch.latency.calibration import calibrate, calibrate_own
from snsearch.latency.fitting import Sample, fit
from snsearch.latency.forms import CACHES, FORMS, Form, drawn_to
from snsearch.latency.profile import load_profile
from snsearch.latency.terms import MEANINGS, network_terms, predict_ms
from snsearch.latency.validation import (
    HeldOut,
    best_form,
    fixed_form,
    hold_out_one,
    log_log_flops,
    network_fold,
    pixel_scaling,
)
from snsearch.network.arch import Architecture
from snsearch.solver.budget import mflops_budget, with_input
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled
from snsearch.solver.spec import load_space

POINTWISE_AND_ELEMENTS = Form(name="two", columns=(("dense_pointwise_macs",), ("element_bytes",)))


def sample(name: str, ms: float, family: str = "", **terms: float) -> Sample:
    """A network with those terms at 100 pixels; its MACs are the dense pointwise ones."""
    counted = dict.fromkeys(MEANINGS, 0.0) | terms
    return Sample(
        name=name,
        family=family or name,
        role="judged",
        macs=round(counted["dense_pointwise_macs"]) or 1,
        pixels=100,
        ms=ms,
        terms=counted,
        far_terms=tuple((size, counted) for size in CACHES),
    )


# 2 ns a MAC and 3 ns a byte: 1e6 units take 2 and 3 ms.
EXACT = (
    sample("a", 2.0, dense_pointwise_macs=1e6),
    sample("b", 5.0, dense_pointwise_macs=1e6, element_bytes=1e6),
    sample("c", 9.5, dense_pointwise_macs=4e6, element_bytes=0.5e6),
)


def test_rates_that_made_the_figures_are_found() -> None:
    assert fit(POINTWISE_AND_ELEMENTS, EXACT) == pytest.approx({"dense_pointwise_macs": 2.0, "element_bytes": 3.0})


def test_terms_of_one_column_share_a_rate_and_of_two_columns_have_the_sum() -> None:
    form = Form(
        name="surcharge",
        columns=(("dense_pointwise_macs", "grouped_pointwise_macs"), ("grouped_pointwise_macs",)),
    )
    dense = sample("dense", 2.0, dense_pointwise_macs=1e6)
    slower, faster = (sample("grouped", ms, grouped_pointwise_macs=1e6) for ms in (3.0, 1.0))
    assert fit(form, (dense, slower)) == pytest.approx({"dense_pointwise_macs": 2.0, "grouped_pointwise_macs": 3.0})
    # Where grouped MACs look cheaper, both get the one rate of least squared relative error: (1/2 + 1) / (1/4 + 1).
    assert fit(form, (dense, faster)) == pytest.approx({"dense_pointwise_macs": 1.2, "grouped_pointwise_macs": 1.2})


def test_no_rate_is_negative() -> None:
    # More bytes and less time: a free fit would give bytes a negative rate.
    odd = (
        sample("a", 4.0, dense_pointwise_macs=1e6, element_bytes=1e6),
        sample("b", 6.0, dense_pointwise_macs=1e6, element_bytes=0.1e6),
    )
    assert fit(POINTWISE_AND_ELEMENTS, odd)["element_bytes"] == 0


def test_a_weight_of_four_counts_as_four_figures() -> None:
    form = Form(name="one", columns=(("dense_pointwise_macs",),))
    one, other = (sample(name, ms, dense_pointwise_macs=1e6) for name, ms in (("a", 1.0), ("b", 2.0)))
    assert fit(form, (replace(one, weight=4.0), other)) == pytest.approx(fit(form, (one, one, one, one, other)))


def test_a_prior_decides_what_the_figures_do_not_say() -> None:
    # The prior's ratio is 1 to 5; the figures hold no bytes, and say that this device is twice as fast.
    [form] = drawn_to({"dense_pointwise_macs": 4.0, "element_bytes": 20.0}, (0.1,), 0.1)
    rates = fit(form, [sample("a", 2.0, dense_pointwise_macs=1e6)])
    assert rates == pytest.approx({"dense_pointwise_macs": 2.0, "element_bytes": 10.0})


def test_figures_that_contradict_a_weak_prior_win_and_a_strong_one_bends_them() -> None:
    prior = {"dense_pointwise_macs": 2.0, "element_bytes": 30.0}  # in truth 2 and 3
    weak, strong = drawn_to(prior, (1e-6, 1e6), 1e9)
    assert fit(weak, EXACT)["element_bytes"] == pytest.approx(3.0, rel=1e-3)
    bent = fit(strong, EXACT)
    assert bent["element_bytes"] / bent["dense_pointwise_macs"] == pytest.approx(15.0, rel=1e-3)


def test_terms_of_one_rate_stay_tied_under_a_prior() -> None:
    prior = {"dense_pointwise_macs": 2.0, "grouped_pointwise_macs": 2.0, "element_bytes": 3.0, "gate_bytes": 0.0}
    [form] = drawn_to(prior, (1.0,), 1.0)
    assert form.columns == (("dense_pointwise_macs", "grouped_pointwise_macs"), ("element_bytes",))


def test_kernels_larger_than_1x1_are_drawn_to_a_prior_with_their_own_strength() -> None:
    [form] = drawn_to({"dense_pointwise_macs": 2.0, "dense_3x3_macs": 4.0, "dense_spatial_macs": 4.0}, (1.0,), 0.03)
    assert form.prior_strengths == (1.0, 0.03)


def _recording(seen: list[set[str]]) -> Callable[[Sequence[Sample]], Callable[[Sample], float]]:
    def predictor(samples: Sequence[Sample]) -> Callable[[Sample], float]:
        seen.append({one.name for one in samples})
        return lambda _: 1.0

    return predictor


def test_a_network_is_held_out_at_all_its_resolutions_and_pieces_never_are() -> None:
    samples = (
        sample("net @224", 1.0),
        sample("net @480x640", 4.0),
        sample("other", 2.0),
        replace(sample("gemm", 3.0), role="piece"),
        replace(sample("rare", 3.0), role="known"),
    )
    seen: list[set[str]] = []
    held_out = hold_out_one(samples, _recording(seen), network_fold)
    assert seen == [{"other", "gemm", "rare"}, {"net @224", "net @480x640", "gemm", "rare"}]
    assert held_out.names == ("net @224", "net @480x640", "other")


def test_errors_and_ranks_are_those_by_hand() -> None:
    held_out = HeldOut(names=("a", "b", "c"), measured_ms=(10.0, 20.0, 40.0), predicted_ms=(11.0, 16.0, 40.0))
    assert held_out.errors().mape == pytest.approx((0.1 + 0.2 + 0) / 3)
    assert held_out.errors().spearman == pytest.approx(1)
    without = held_out.without(("b",))
    assert without.names == ("a", "c")
    assert without.errors().mape == pytest.approx(0.05)
    # Ranks 1 2 3 against 2 1 3: 1 - 6 * (1 + 1) / (3 * 8) = 0.5
    assert replace(held_out, predicted_ms=(17.0, 16.0, 40.0)).errors().spearman == pytest.approx(0.5)


def test_predictions_that_are_all_equal_rank_nothing() -> None:
    held_out = HeldOut(names=("a", "b"), measured_ms=(1.0, 2.0), predicted_ms=(3.0, 3.0))
    assert held_out.errors().spearman == 0


def test_the_interval_is_student_s_for_one_more_logarithmic_error() -> None:
    # Two errors of a factor e^0.1: root mean square 0.1, times sqrt(1 + 1/2); Student's t with 2 degrees: 4.3027.
    held_out = HeldOut(names=("a", "b"), measured_ms=(1.0, 1.0), predicted_ms=(math.exp(0.1), math.exp(-0.1)))
    assert held_out.interval_factor() == pytest.approx(math.exp(4.30265 * 0.1 * math.sqrt(1.5)), rel=1e-5)


def test_the_first_baseline_is_a_straight_line_of_logarithms() -> None:
    # Latency as the square root of MACs: 100 -> 1 ms, 10000 -> 10 ms; so 1000000 -> 100 ms. Pieces do not count.
    known = (
        sample("a", 1.0, dense_pointwise_macs=100),
        sample("b", 10.0, dense_pointwise_macs=10_000),
        replace(sample("gemm", 1000.0, dense_pointwise_macs=1), role="piece"),
    )
    assert log_log_flops(known)(sample("c", 1.0, dense_pointwise_macs=1_000_000)) == pytest.approx(100)


def test_the_second_baseline_scales_the_nearest_network_by_pixels() -> None:
    known = (
        replace(sample("small", 1.0, dense_pointwise_macs=100), pixels=10),
        replace(sample("large", 8.0, dense_pointwise_macs=1000), pixels=10),
    )
    # 45 MACs a pixel are nearer to 100 than to 10 on a logarithmic scale; four times the pixels.
    asked = replace(sample("asked", 1.0, dense_pointwise_macs=1800), pixels=40)
    assert pixel_scaling(known)(asked) == pytest.approx(32.0)


def test_the_form_that_errs_least_on_what_it_has_not_seen_is_chosen() -> None:
    blind = Form(name="blind", columns=(("dense_pointwise_macs",),))
    samples = (*EXACT, sample("d", 8.0, dense_pointwise_macs=1e6, element_bytes=2e6))
    assert best_form((blind, POINTWISE_AND_ELEMENTS), {"device": samples}, network_fold) is POINTWISE_AND_ELEMENTS
    found = calibrate((blind, POINTWISE_AND_ELEMENTS), {"device": samples})["device"]
    assert found.form is POINTWISE_AND_ELEMENTS
    assert found.networks.errors().mape == pytest.approx(0, abs=1e-9)
    assert found.flops.errors().mape > 0.1


def test_a_network_s_own_figure_does_not_change_its_held_out_prediction() -> None:
    samples = (*EXACT, sample("d", 8.0, dense_pointwise_macs=1e6, element_bytes=2e6))
    forms = (Form(name="blind", columns=(("dense_pointwise_macs",),)), POINTWISE_AND_ELEMENTS)
    honest = calibrate(forms, {"device": samples})["device"].networks.predicted_ms[3]
    absurd = calibrate(forms, {"device": (*EXACT, replace(samples[3], ms=1e4))})["device"].networks.predicted_ms[3]
    assert honest == pytest.approx(absurd) == pytest.approx(8.0)


def test_devices_of_a_library_share_the_form_and_not_the_rates() -> None:
    slower = tuple(replace(one, ms=10 * one.ms) for one in EXACT)
    found = calibrate((POINTWISE_AND_ELEMENTS,), {"fast": EXACT, "slow": slower})
    assert found["slow"].rates == pytest.approx({term: 10 * rate for term, rate in found["fast"].rates.items()})


def test_a_network_is_held_out_on_every_device_of_the_library_at_once() -> None:
    # On the first device everything is exact. If network b of the second device chose the form, that would show.
    forms = (POINTWISE_AND_ELEMENTS, Form(name="blind", columns=(("dense_pointwise_macs",),)))
    base = calibrate(forms, {"one": EXACT, "two": EXACT})["one"]
    other = (EXACT[0], replace(EXACT[1], ms=1e5), EXACT[2])
    changed = calibrate(forms, {"one": EXACT, "two": other})["one"]
    assert changed.networks.predicted_ms[1] == pytest.approx(base.networks.predicted_ms[1])


@pytest.mark.parametrize("form", [*FORMS, *TRANSFORM_FORMS, *RICH_FORMS], ids=lambda form: form.name)
def test_no_form_lets_a_grouped_pointwise_mac_cost_less_than_a_dense_one(form: Form) -> None:
    columns = [column for column in form.columns if "dense_pointwise_macs" in column]
    assert len(columns) == 1
    assert "grouped_pointwise_macs" in columns[0]


@pytest.mark.parametrize("form", [*FORMS, *TRANSFORM_FORMS, *RICH_FORMS], ids=lambda form: form.name)
def test_forms_name_terms_that_exist(form: Form) -> None:
    assert {term for column in form.columns for term in column} <= set(MEANINGS)
    assert ("far_bytes" in str(form.columns)) == (form.cache_bytes is not None)


# A user's own device.

ABOUT: dict[str, Any] = {
    "name": "mine",
    "device": "My phone",
    "library": "ncnn",
    "core": "",
    "threads": 1,
    "precision": "float32",
    "figures": "measured",
    "source": "own figures",
}


def networks(*scales: float) -> list[Architecture]:
    """ShuffleNets of two group counts at those scales."""
    space = load_space("shufflenet-v1")
    at = with_input(mflops_budget(1))
    return [scaled(space, Design(groups=g, scale=scale), at).architecture for g in (1, 3) for scale in scales]


def test_a_device_that_is_twice_as_fast_as_its_prior_is_recognised_from_few_figures() -> None:
    prior = load_profile("snapdragon-810")
    measured = [(arch.key, arch.key, prior.predict(arch).ms / 2) for arch in networks(0.5, 1.0)]
    own = calibrate_own(measured, prior, **ABOUT)
    unseen = networks(2.0)[1]
    assert own.predict(unseen).ms == pytest.approx(prior.predict(unseen).ms / 2, rel=1e-3)
    assert own.by_network.mape < 1e-3
    assert own.note == "Ratios of rates drawn to Snapdragon 810's (arXiv:1807.11164)."
    assert own.provenance.startswith("predicted, My phone, fitted on measured figures, ±0 %")


def test_many_figures_leave_the_prior_s_ratios() -> None:
    prior = load_profile("snapdragon-810")
    rates = {**dict(prior.rates), "depthwise_macs": 0.5, "group_pixels": 200.0}
    measured = [
        (arch.key, arch.key, predict_ms(rates, network_terms(arch)))
        for arch in networks(0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
    ]
    own = calibrate_own(measured, prior, **ABOUT)
    assert own.by_network.mape < 0.02
    assert own.by_network.mape < own.log_log_flops.mape
    unseen = scaled(load_space("shufflenet-v1"), Design(groups=8), with_input(mflops_budget(1))).architecture
    assert own.predict(unseen).ms == pytest.approx(predict_ms(rates, network_terms(unseen)), rel=0.05)


def test_an_operator_that_was_not_measured_has_the_prior_s_price_at_the_device_s_speed() -> None:
    prior = load_profile("snapdragon-810")
    measured = [(arch.key, arch.key, 3 * prior.predict(arch).ms) for arch in networks(0.5, 1.0)]
    own = calibrate_own(measured, prior, **ABOUT)
    assert dict(own.rates)["gate_bytes"] == pytest.approx(3 * dict(prior.rates)["gate_bytes"], rel=1e-3)


def test_fewer_than_three_networks_are_refused() -> None:
    one, two = (arch.key for arch in networks(1.0))
    with pytest.raises(SpecError, match="3 figures of 2 networks; expected at least 3 networks"):
        calibrate_own([(one, "", 1.0), (one, "", 1.1), (two, "", 2.0)], load_profile("snapdragon-810"), **ABOUT)


def test_fixed_forms_predict_what_their_rates_say() -> None:
    assert fixed_form(POINTWISE_AND_ELEMENTS)(EXACT)(EXACT[2]) == pytest.approx(9.5)
