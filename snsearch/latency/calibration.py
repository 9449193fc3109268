"""Measured latencies -> a calibration and a device profile: form, rates and held-out errors.

A form says which terms share a rate. It is chosen by its error on networks that the fit has not seen. The reported
error comes from a second, outer round: for each network (or family), both form and rates are chosen without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snsearch.errors import SpecError
from snsearch.latency.fitting import Sample, fit, unseen_terms
from snsearch.latency.forms import SPATIAL_STRENGTH, STRENGTHS, Form, drawn_to
from snsearch.latency.profile import PredictionErrors, Profile
from snsearch.latency.terms import Rates, network_terms
from snsearch.latency.validation import (
    Devices,
    Fold,
    HeldOut,
    best_form,
    family_fold,
    fold_count,
    hold_out_one,
    hold_out_twice,
    log_log_flops,
    network_fold,
    pixel_scaling,
)
from snsearch.network import count_macs, network_of

LEAST_NETWORKS = 3  # for a profile of a user's own figures
FEW_FIGURES = 16  # with more figures than this, the weakest pull to a prior is tried too


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """One device's form, rates on all samples, and held-out predictions."""

    form: Form
    rates: Rates
    unseen: tuple[str, ...]  # terms that no sample has
    networks: HeldOut  # network by network
    families: HeldOut  # family by family; as `networks` if there is a single family
    flops: HeldOut  # baselines, on the folds of `networks`
    pixels: HeldOut


def calibrate(forms: Sequence[Form], devices: Devices, fold_of: Fold = network_fold) -> dict[str, Calibration]:
    """A calibration per device of one library; all devices get one form.

    Args:
        forms: to choose from; an earlier one wins a tie.
        devices: samples per device.
        fold_of: which samples are one network.
    """
    form = best_form(forms, devices, fold_of)
    by_network = hold_out_twice(forms, devices, fold_of, fold_of)
    several = all(fold_count(samples, family_fold) > 1 for samples in devices.values())
    by_family = by_network
    if several and fold_of is not family_fold:
        by_family = hold_out_twice(forms, devices, family_fold, fold_of)
    return {
        name: Calibration(
            form=form,
            rates=fit(form, samples),
            unseen=unseen_terms(form, samples),
            networks=by_network[name],
            families=by_family[name],
            flops=hold_out_one(samples, log_log_flops, fold_of),
            pixels=hold_out_one(samples, pixel_scaling, fold_of),
        )
        for name, samples in devices.items()
    }


def calibrate_own(measured: Sequence[tuple[str, str, float]], prior: Profile, **about: Any) -> Profile:
    """A profile fitted on a user's own figures of one library on one device.

    It has the prior's terms. The fewer the figures, the more its ratios of rates are drawn to the prior's. A term
    that no figure prices, such as an operator that was not measured, has the prior's rate at this device's speed.

    Args:
        measured: key or name of the network, family and milliseconds of each figure.
        prior: another device's profile.
        about: the fields of Profile that describe the device, library and source.

    Raises:
        SpecError: fewer than three networks, or an invalid key.
    """
    known = len({key for key, _, _ in measured})
    if known < LEAST_NETWORKS:
        raise SpecError(f"{len(measured)} figures of {known} networks; expected at least {LEAST_NETWORKS} networks")
    samples = []
    for key, family, ms in measured:
        arch = network_of(key)
        terms = network_terms(arch, prior.cache_bytes)
        samples.append(
            Sample(
                name=key,
                family=family,
                role="judged",
                macs=count_macs(arch),
                pixels=arch.resolution[0] * arch.resolution[1],
                ms=ms,
                terms=terms,
                far_terms=() if prior.cache_bytes is None else ((prior.cache_bytes, terms),),
            )
        )
    strengths = STRENGTHS if len(samples) <= FEW_FIGURES else (*STRENGTHS, 0.001)
    forms = drawn_to(dict(prior.rates), strengths, SPATIAL_STRENGTH, prior.cache_bytes)
    return profile_of(
        calibrate(forms, {"own": samples})["own"],
        fitted_on=tuple(dict.fromkeys(sample.name for sample in samples)),
        note=f"Ratios of rates drawn to {prior.device}'s ({prior.source}).",
        **about,
    )


def profile_of(calibration: Calibration, *, without: Sequence[str] = (), **about: Any) -> Profile:
    """The profile of a calibration, its figures rounded to the six digits that a profile's file keeps.

    Args:
        calibration: of the device.
        without: names of networks that no fit could predict; they do not count in the errors.
        about: the fields of Profile that describe the device, library and source.
    """

    def errors(held_out: HeldOut) -> PredictionErrors:
        found = held_out.without(without).errors()
        return PredictionErrors(mape=_six_digits(found.mape), spearman=_six_digits(found.spearman))

    judged_ms = calibration.networks.without(without).measured_ms
    return Profile(
        form=calibration.form.name,
        counting=calibration.form.counting,
        cache_bytes=calibration.form.cache_bytes,
        unseen=calibration.unseen,
        rates=tuple((term, _six_digits(rate)) for term, rate in calibration.rates.items()),
        interval_factor=_six_digits(calibration.families.interval_factor()),
        judged_ms=(_six_digits(min(judged_ms)), _six_digits(max(judged_ms))),
        kept_out=len(judged_ms),
        by_network=errors(calibration.networks),
        by_family=errors(calibration.families),
        log_log_flops=errors(calibration.flops),
        pixel_scaling=errors(calibration.pixels),
        **about,
    )


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")
