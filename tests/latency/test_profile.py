"""Profiles: reading, writing and predicting, and the content of the bundled ones."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.latency.profile import (
    DEFAULT_PROFILE,
    PredictionErrors,
    Profile,
    load_profile,
    read_profile,
)
from snsearch.latency.terms import MEANINGS, network_terms, predict_ms
from snsearch.network.arch import Architecture
from snsearch.solver.budget import mflops_budget, with_input
from snsearch.solver.design import Design
from snsearch.solver.solving import scaled, solve
from snsearch.solver.spec import load_space
from snsearch.study.objective import latency_objective
from tests.architectures import shufflenet

SHIPPED = bundled_names("profiles")
PLAIN = Profile(
    name="plain",
    device="A phone",
    core="",
    library="a library",
    threads=1,
    precision="float32",
    figures="measured",
    source="own figures",
    note="",
    form="two rates",
    cache_bytes=None,
    rates=(("dense_pointwise_macs", 2.0), ("element_bytes", 3.0)),
    interval_factor=1.25,
    kept_out=4,
    by_network=PredictionErrors(mape=0.1, spearman=0.9),
    by_family=PredictionErrors(mape=0.2, spearman=0.8),
    log_log_flops=PredictionErrors(mape=0.3, spearman=0.7),
    pixel_scaling=PredictionErrors(mape=0.4, spearman=-0.5),
    fitted_on=("one", "two"),
)
PAPER_1X = shufflenet(3, 240, 480, 960)


# Predicting.


def test_a_prediction_is_the_terms_times_their_rates() -> None:
    terms = {**dict.fromkeys(MEANINGS, 0.0), "dense_pointwise_macs": 1e6, "element_bytes": 2e6, "operators": 50}
    assert predict_ms(dict(PLAIN.rates), terms) == pytest.approx(2.0 + 6.0)


def test_a_latency_carries_its_interval_and_says_what_it_is() -> None:
    latency = PLAIN.predict(PAPER_1X)
    assert latency.ms == pytest.approx(predict_ms(dict(PLAIN.rates), network_terms(PAPER_1X)))
    assert (latency.low_ms, latency.high_ms) == (pytest.approx(latency.ms / 1.25), pytest.approx(latency.ms * 1.25))
    assert latency.provenance == (
        "predicted, A phone, fitted on measured figures, ±10 % (mean error of held-out networks; own figures)"
    )


def test_a_prediction_beyond_what_the_profile_is_judged_by_says_so() -> None:
    ms = PLAIN.predict(PAPER_1X).ms
    for judged, outside in (
        ((ms / 2, ms * 2), False),
        ((ms * 1.2, ms * 2), False),  # its interval, a factor of 1.25, reaches in
        ((ms * 1.3, ms * 2), True),
        ((ms / 2, ms / 1.3), True),
    ):
        profile = replace(PLAIN, judged_ms=judged)
        assert ("outside of the" in profile.predict(PAPER_1X).provenance) == outside, judged
        assert bool(profile.remark(ms)) == outside
    assert replace(PLAIN, judged_ms=(15.2, 612.0)).remark(0.1) == (
        "outside of the 15.2 to 612.0 ms that the profile is judged by: the interval may be too narrow"
    )


def test_what_a_profile_is_judged_by_makes_no_other_objective(tmp_path: Path) -> None:
    names = set()
    for number, judged in enumerate((None, (1.0, 2.0))):
        path = tmp_path / f"{number}.toml"
        path.write_text(replace(PLAIN, judged_ms=judged).to_toml())
        names.add(latency_objective(load_profile(str(path))).name)
    assert len(names) == 1
    assert latency_objective(load_profile(str(path))).label.endswith("either way, judged on networks of 1 to 2 ms")


def test_bytes_beyond_a_cache_are_counted_with_the_profile_s_cache() -> None:
    far = replace(PLAIN, rates=(("far_bytes", 1.0),), cache_bytes=100_000)
    assert far.predict(PAPER_1X).ms == pytest.approx(network_terms(PAPER_1X, 100_000)["far_bytes"] / 1e6)


# Files.


def test_a_profile_written_and_read_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN.to_toml(), encoding="utf-8")
    assert read_profile(path) == PLAIN
    cached = replace(PLAIN, rates=(("far_bytes", 0.5),), cache_bytes=1 << 20, core="Cortex-A57", note="a remark")
    cached = replace(cached, judged_ms=(0.25, 185.0))
    path.write_text(cached.to_toml(), encoding="utf-8")
    assert read_profile(path) == cached


@given(st.text(min_size=1).filter(str.strip), st.floats(1e-5, 1e9))
def test_any_name_and_rate_survive_the_file(tmp_path_factory: pytest.TempPathFactory, name: str, rate: float) -> None:
    path = tmp_path_factory.mktemp("profile") / "any.toml"
    try:
        name.encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is no text that a file could hold
    profile = replace(PLAIN, device=name, rates=(("element_bytes", float(f"{rate:.6g}")),))
    path.write_text(profile.to_toml(), encoding="utf-8")
    assert read_profile(path) == profile


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("device =", "devize =", r'profile "p.toml": unknown key "devize"; did you mean "device"\?'),
        ('device = "A phone"', "", r'profile "p.toml": missing key "device"; expected the device.s name'),
        ('note = ""', 'nota = ""', r'unknown key "nota"; did you mean "note"\?'),
        (
            "interval_factor",
            "judged_ms = [2, 1]\ninterval_factor",
            r"judged_ms is \[2, 1\]; expected two numbers",
        ),
        ("element_bytes =", "element_byte =", r'\[nanoseconds\]: unknown term "element_byte"; did you mean'),
        ("element_bytes = 3.0", "element_bytes = -3.0", "element_bytes is -3.0; expected nanoseconds of at least 0"),
        (
            "interval_factor = 1.25",
            "interval_factor = 0.5",
            "interval_factor is 0.5; expected a number of at least 1",
        ),
        ("spearman = 0.9", "spearman = 9", r"\[kept_out.by_network\] spearman is 9; expected a rank correlation"),
        ("spearman = 0.9 }", "spearman = 0.9, n = 3 }", r'\[kept_out.by_network\]: unknown key "n"'),
        ("networks = 4", "networks = 4\nfolds = 4", r'\[kept_out\]: unknown key "folds"'),
        ("schema = 1", "schema = 2", "this version of snsearch reads schema 1"),
        ("threads = 1", "threads = 0", "threads is 0; expected a positive integer"),
        ("element_bytes = 3.0", "far_bytes = 3.0", "far_bytes has a rate; expected cache_bytes beside it"),
        ("dense_pointwise_macs = 2.0\nelement_bytes = 3.0", "element_bytes = 0", "every rate is 0"),
        ("schema", "= schema", "not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_used_says_which_key_and_what_was_expected(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = PLAIN.to_toml()
    assert old in text
    path = tmp_path / "p.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        read_profile(path)


def test_an_unknown_profile_gets_a_suggestion() -> None:
    with pytest.raises(SpecError, match=r"no profile is named 'snapdragon-81'; did you mean .snapdragon-810.\?"):
        load_profile("snapdragon-81")


def test_a_file_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(SpecError, match=r"profile file 'mine\.toml' does not exist"):
        load_profile("mine.toml")


# The shipped profiles.


def test_both_of_the_papers_devices_and_some_of_ncnn_s_are_shipped() -> None:
    assert {"snapdragon-810", "snapdragon-820"} <= set(SHIPPED)
    assert DEFAULT_PROFILE in SHIPPED
    assert len([name for name in SHIPPED if name.startswith("ncnn-")]) >= 5


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_names_its_source_and_beats_both_baselines(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    for field in fields(profile):
        if field.name in ("device", "library", "precision", "source", "form", "fitted_on", "note"):
            assert getattr(profile, field.name)
    assert profile.figures == ("counted" if name.startswith("counted-") else "published")
    assert profile.by_network.mape < min(profile.log_log_flops.mape, profile.pixel_scaling.mape)
    # Two of the Snapdragon 820's five networks took 108.8 and 110.0 ms, and are predicted in the other order.
    assert profile.by_network.spearman >= (0.9 if name == "snapdragon-820" else 0.95)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith("ncnn-")])
def test_ncnn_s_devices_are_shipped_only_if_held_out_networks_are_missed_by_ten_percent_at_most(name: str) -> None:
    assert load_profile(name).by_network.mape <= 0.1


def at_140_mflops(groups: int) -> Architecture:
    return solve(load_space("shufflenet-v1"), mflops_budget(140), Design(groups=groups)).architecture


@pytest.mark.parametrize("name", SHIPPED)
def test_high_group_counts_cost_speed_at_equal_macs(name: str) -> None:
    profile = load_profile(name)
    times = [profile.predict(at_140_mflops(groups)).ms for groups in (1, 2, 3, 4, 8)]
    assert times == sorted(times)
    assert times[-1] > 1.15 * times[2]  # g=8 to g=3


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("space", ["shufflenet-v1", "mobilenet-v1", "resnet", "resnext", "vgg-like", "xception-like"])
def test_latency_rises_with_resolution_and_scale(name: str, space: str) -> None:
    profile, spec = load_profile(name), load_space(space)

    def ms(scale: float, side: int) -> float:
        at = with_input(mflops_budget(1), resolution=(side, side))
        return profile.predict(scaled(spec, Design(groups=spec.groups[-1], scale=scale), at).architecture).ms

    sides = [ms(1.0, side) for side in (128, 160, 192, 224, 256, 320)]
    scales = [ms(scale, 224) for scale in (0.25, 0.5, 1.0, 1.5, 2.0)]
    assert sides == sorted(sides)
    assert scales == sorted(scales)
    # Between 128 and 320 there are 6.25 times the pixels; only the classifier does not grow with them.
    assert 4.5 < sides[-1] / sides[0] < 7.5


@pytest.mark.parametrize("name", SHIPPED)
def test_every_rate_is_of_a_term_and_a_grouped_mac_is_never_cheaper_than_a_dense_one(name: str) -> None:
    rates = dict(load_profile(name).rates)
    assert set(rates) <= set(MEANINGS)
    assert rates["grouped_pointwise_macs"] >= rates["dense_pointwise_macs"] > 0
