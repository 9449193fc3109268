"""Measured latencies -> rates: a non-negative fit on relative errors, judged on networks that were kept out.

A form says which terms share a rate. Which form is used is decided by the networks that a fit has not seen, and the
error that is reported comes from a second, outer round of keeping out: for each network (or family) both the
form and the rates are chosen without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import spearmanr
from scipy.stats import t as student

from snsearch.errors import SpecError
from snsearch.latency.forms import SPATIAL_STRENGTH, STRENGTHS, Form, drawn_to
from snsearch.latency.kernels import KernelTerms
from snsearch.latency.profile import Errors, Profile
from snsearch.latency.terms import Terms, network_terms
from snsearch.network import Architecture, count_macs

Rates = dict[str, float]  # term -> nanoseconds a unit
LEVEL = 0.95  # of the interval around a prediction
FEWEST_NETWORKS = 3  # that a profile is fitted on
FEW_FIGURES = 16  # up to here even the weakest pull to a prior has its say

# "judged": a network that is kept out in its turn. "known": a network that is always fitted on, such as the only one
# with an operator, which nothing else could predict. "piece": a microbenchmark, always fitted on too.
Role = Literal["judged", "known", "piece"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One measured latency and what was run."""

    name: str
    family: str
    role: Role
    macs: int
    pixels: int
    ms: float
    terms: Terms
    far_terms: tuple[tuple[int, Terms], ...] = ()  # the terms for each cache size that a form asks for
    kernel_terms: KernelTerms | None = None  # where a form counts them
    weight: float = 1.0

    def under(self, form: Form) -> Terms | KernelTerms:
        """The terms that a form counts."""
        if form.counting == "kernels":
            assert self.kernel_terms is not None, "a form that counts kernels needs them counted"
            return self.kernel_terms
        return self.terms if form.cache_bytes is None else dict(self.far_terms)[form.cache_bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """How predictions of networks that were kept out stand to what was measured."""

    networks: int
    mape: float  # mean absolute error, relative to the measured latency
    spearman: float


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptOut:
    """What one way of predicting says about every sample that it had not seen."""

    names: tuple[str, ...]
    measured_ms: tuple[float, ...]
    predicted_ms: tuple[float, ...]

    def score(self, without: Iterable[str] = ()) -> Score:
        """Errors over all of them but the named ones."""
        left = set(without)
        kept = [i for i, name in enumerate(self.names) if name not in left]
        measured = np.array([self.measured_ms[i] for i in kept])
        predicted = np.array([self.predicted_ms[i] for i in kept])
        constant = len(set(measured.tolist())) < 2 or len(set(predicted.tolist())) < 2
        return Score(
            networks=len(kept),
            mape=float(np.mean(np.abs(predicted / measured - 1))),
            spearman=0.0 if constant else float(spearmanr(measured, predicted)[0]),
        )

    def interval_factor(self) -> float:
        """By what a prediction is multiplied and divided for an interval of LEVEL.

        Student's interval for one further logarithmic error around zero.
        """
        errors = np.log(np.array(self.predicted_ms) / np.array(self.measured_ms))
        count = len(errors)
        spread = math.sqrt(float(np.mean(errors**2)) * (1 + 1 / count))
        return math.exp(float(student.ppf((1 + LEVEL) / 2, count)) * spread)


def _matrix(form: Form, samples: Sequence[Sample]) -> NDArray[Any]:
    rows = [sample.under(form) for sample in samples]
    index = {name: i for i, name in enumerate(rows[0]._fields)}
    return np.array([[sum(row[index[term]] for term in column) for column in form.columns] for row in rows])


def fit(form: Form, samples: Sequence[Sample]) -> Rates:
    """The non-negative rates with the least sum of squared relative errors, in nanoseconds a unit of a term."""
    columns = _matrix(form, samples)
    ms = np.array([sample.ms for sample in samples])
    weights = np.sqrt(np.array([sample.weight for sample in samples]))
    rows, wanted = columns / ms[:, None] * weights[:, None], weights
    if form.prior:
        # One further unknown, the device's speed to the prior's: each rate over its prior is drawn towards it.
        prior = dict(form.prior)
        pull = np.zeros((len(form.columns), len(form.columns) + 1))
        for index, (column, strength) in enumerate(zip(form.columns, form.prior_strengths, strict=True)):
            pull[index, index] = math.sqrt(strength) / prior[column[0]] * 1e6
            pull[index, -1] = -math.sqrt(strength)
        rows = np.vstack([np.column_stack([rows, np.zeros(len(rows))]), pull])
        wanted = np.concatenate([wanted, np.zeros(len(form.columns))])
    scale = np.max(np.abs(rows), axis=0)
    scale[scale == 0] = 1.0  # a term that no sample has keeps a rate of zero
    solved, _ = nnls(rows / scale, wanted)
    rates: Rates = {}
    for column, rate in zip(form.columns, (solved / scale * 1e6)[: len(form.columns)], strict=True):
        for term in column:
            rates[term] = rates.get(term, 0.0) + float(rate)
    return rates


def unseen_terms(form: Form, samples: Sequence[Sample]) -> tuple[str, ...]:
    """The form's terms that share no rate with anything that a sample has, nor have a prior: nothing prices them."""
    if form.prior:
        return ()
    told = np.abs(_matrix(form, samples)).sum(axis=0)
    priced = {term for column, seen in zip(form.columns, told, strict=True) if seen > 0 for term in column}
    return tuple(dict.fromkeys(term for column in form.columns for term in column if term not in priced))


def predict_ms(rates: Rates, terms: Terms | KernelTerms) -> float:
    """Milliseconds that the rates give the terms."""
    return sum(rate * float(getattr(terms, term)) for term, rate in rates.items()) / 1e6


Predictor = Callable[[Sequence[Sample]], Callable[[Sample], float]]
Devices = Mapping[str, Sequence[Sample]]  # of one library, by the name of the device


def keep_out(samples: Sequence[Sample], predictor: Predictor, fold_of: Callable[[Sample], str]) -> KeptOut:
    """Every network predicted from the samples of the other folds alone."""
    judged = [sample for sample in samples if sample.role == "judged"]
    predicted: dict[int, float] = {}
    for fold in dict.fromkeys(map(fold_of, judged)):
        predict = predictor([s for s in samples if s.role != "judged" or fold_of(s) != fold])
        for index, sample in enumerate(judged):
            if fold_of(sample) == fold:
                predicted[index] = predict(sample)
    return KeptOut(
        names=tuple(sample.name for sample in judged),
        measured_ms=tuple(sample.ms for sample in judged),
        predicted_ms=tuple(predicted[index] for index in range(len(judged))),
    )


def fixed_form(form: Form) -> Predictor:
    """Fits one form."""

    def predictor(samples: Sequence[Sample]) -> Callable[[Sample], float]:
        rates = fit(form, samples)
        return lambda sample: predict_ms(rates, sample.under(form))

    return predictor


def _folds(samples: Sequence[Sample], fold_of: Callable[[Sample], str]) -> int:
    return len({fold_of(sample) for sample in samples if sample.role == "judged"})


def best_form(forms: Sequence[Form], devices: Devices, fold_of: Callable[[Sample], str]) -> Form:
    """The form whose predictions of kept-out networks err least, as a mean over devices; the earlier one on a tie.

    Rates belong to a device; a form may belong to a library, and is then chosen over all its devices at once. Where
    a single network is left to judge by, that is the first form.
    """
    if len(forms) == 1 or any(_folds(samples, fold_of) < 2 for samples in devices.values()):
        return forms[0]

    def error(form: Form) -> float:
        scores = [keep_out(samples, fixed_form(form), fold_of).score().mape for samples in devices.values()]
        return round(sum(scores) / len(scores), 6)

    return min(forms, key=error)


def log_log_flops(samples: Sequence[Sample]) -> Callable[[Sample], float]:
    """The first baseline: a straight line of log latency over log MACs, through the networks alone."""
    networks = [sample for sample in samples if sample.role != "piece"]
    x = np.log([sample.macs for sample in networks])
    y = np.log([sample.ms for sample in networks])
    spread = float(np.sum((x - x.mean()) ** 2))
    slope = float(np.sum((x - x.mean()) * (y - y.mean()))) / spread if spread else 1.0
    return lambda sample: math.exp(float(y.mean()) + slope * (math.log(sample.macs) - float(x.mean())))


def pixel_scaling(samples: Sequence[Sample]) -> Callable[[Sample], float]:
    """The second baseline: the known network of the most similar MACs a pixel, times the ratio of input pixels."""
    networks = [sample for sample in samples if sample.role != "piece"]

    def predict(sample: Sample) -> float:
        density = math.log(sample.macs / sample.pixels)
        near = min(networks, key=lambda known: abs(math.log(known.macs / known.pixels) - density))
        return near.ms * sample.pixels / near.pixels

    return predict


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """The winning form, its rates on all samples, and what was kept out by networks and by families."""

    form: Form
    rates: Rates
    unseen: tuple[str, ...]
    networks: KeptOut
    families: KeptOut
    flops: KeptOut  # baselines, on the same folds as `networks`
    pixels: KeptOut


def network_of(sample: Sample) -> str:
    """The fold of a sample by its network: one network at several resolutions is kept out as one."""
    return sample.name.partition(" @")[0]


def family_of(sample: Sample) -> str:
    """The fold of a sample by its family."""
    return sample.family


def _nested(
    forms: Sequence[Form], devices: Devices, fold_of: Callable[[Sample], str], inner: Callable[[Sample], str]
) -> dict[str, KeptOut]:
    """Every network predicted, a device, with both form and rates chosen without its fold on any device."""
    judged = {name: [s for s in samples if s.role == "judged"] for name, samples in devices.items()}
    predicted: dict[tuple[str, str], float] = {}
    for fold in dict.fromkeys(fold_of(sample) for samples in judged.values() for sample in samples):
        known = {
            name: [s for s in samples if s.role != "judged" or fold_of(s) != fold]
            for name, samples in devices.items()
        }
        form = best_form(forms, known, inner)
        for name, samples in judged.items():
            predict = fixed_form(form)(known[name])
            for sample in samples:
                if fold_of(sample) == fold:
                    predicted[name, sample.name] = predict(sample)
    return {
        name: KeptOut(
            names=tuple(sample.name for sample in samples),
            measured_ms=tuple(sample.ms for sample in samples),
            predicted_ms=tuple(predicted[name, sample.name] for sample in samples),
        )
        for name, samples in judged.items()
    }


def calibrate(
    forms: Sequence[Form], devices: Devices, fold_of: Callable[[Sample], str] = network_of
) -> dict[str, Calibration]:
    """The rates of each device of one library, with their honest errors; `fold_of` says what one network is."""
    form = best_form(forms, devices, fold_of)
    by_network = _nested(forms, devices, fold_of, fold_of)
    several = all(_folds(samples, family_of) > 1 for samples in devices.values())
    by_family = by_network
    if several and fold_of is not family_of:
        by_family = _nested(forms, devices, family_of, fold_of)
    return {
        name: Calibration(
            form=form,
            rates=fit(form, samples),
            unseen=unseen_terms(form, samples),
            networks=by_network[name],
            families=by_family[name],
            flops=keep_out(samples, log_log_flops, fold_of),
            pixels=keep_out(samples, pixel_scaling, fold_of),
        )
        for name, samples in devices.items()
    }


def calibrate_own(measured: Sequence[tuple[str, str, float]], prior: Profile, **about: Any) -> Profile:
    """A profile of (architecture key, family, milliseconds) measured with one library on one device.

    Its terms are the prior's. The fewer the figures, the more its ratios are drawn to the prior's; what no figure
    tells, such as the price of an operator that was not measured, is the prior's at this device's speed.

    Raises SpecError for fewer than three networks, or a key that is none.
    """
    known = len({key for key, _, _ in measured})
    if known < FEWEST_NETWORKS:
        raise SpecError(f"{len(measured)} figures of {known} networks; expected at least {FEWEST_NETWORKS} networks")
    samples = []
    for key, family, ms in measured:
        arch = Architecture.from_key(key)
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
    """The profile of a calibration; `about` is what it says of itself, `without` names what no fit could predict."""

    def errors(kept: KeptOut) -> Errors:
        score = kept.score(without)
        return Errors(mape=_six(score.mape), spearman=_six(score.spearman))

    return Profile(
        form=calibration.form.name,
        counting=calibration.form.counting,
        cache_bytes=calibration.form.cache_bytes,
        unseen=calibration.unseen,
        rates=tuple((term, _six(rate)) for term, rate in calibration.rates.items()),
        interval_factor=_six(calibration.families.interval_factor()),
        judged_ms=_reach(calibration.networks, without),
        kept_out=calibration.networks.score(without).networks,
        by_network=errors(calibration.networks),
        by_family=errors(calibration.families),
        log_log_flops=errors(calibration.flops),
        pixel_scaling=errors(calibration.pixels),
        **about,
    )


def _reach(kept: KeptOut, without: Sequence[str]) -> tuple[float, float]:
    """The fastest and the slowest network that was kept out."""
    judged = [ms for name, ms in zip(kept.names, kept.measured_ms, strict=True) if name not in without]
    return _six(min(judged)), _six(max(judged))


def _six(value: float) -> float:
    """The value with the six digits that a profile's file keeps."""
    return float(f"{value:.6g}")
