"""The published figures: networks are built as printed, and a fit on them gives the bundled profiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.latency_profiles import NCNN_DEVICES, PROFILES, profiles
from benchmarks.published import networks as nets
from benchmarks.published.samples import (
    LEFT_OUT_810,
    LEFT_OUT_NCNN,
    MFLOPS_TOLERANCE,
    NETWORKS_NCNN,
    ncnn,
    networks_810,
    note_10_blocks,
    raspberry_pi_4_blocks,
    rows_of,
    snapdragon_810,
    snapdragon_820,
)
from snsearch.latency.profile import read_profile

SHIPPED = sorted(path.stem for path in PROFILES.glob("*.toml") if not path.stem.startswith("counted-"))


@pytest.mark.long
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_what_a_fit_on_the_published_figures_gives(name: str) -> None:
    shipped, fitted = read_profile(PROFILES / f"{name}.toml"), profiles()[name]
    assert dict(shipped.rates) == pytest.approx(dict(fitted.rates), rel=1e-3)
    assert shipped.interval_factor == pytest.approx(fitted.interval_factor, rel=1e-3)
    for errors in ("by_network", "by_family", "log_log_flops", "pixel_scaling"):
        assert getattr(shipped, errors).mape == pytest.approx(getattr(fitted, errors).mape, rel=1e-3)
        assert getattr(shipped, errors).spearman == pytest.approx(getattr(fitted, errors).spearman, rel=1e-3)
    assert (shipped.form, shipped.fitted_on, shipped.kept_out) == (fitted.form, fitted.fitted_on, fitted.kept_out)


def test_no_profile_is_shipped_that_is_not_fitted() -> None:
    assert set(SHIPPED) == set(profiles())


def test_networks_that_are_fitted_on_have_their_printed_multiply_adds() -> None:
    fitted = {sample.name for sample in snapdragon_810()}
    for name, ratio, _ in networks_810():
        assert (name in fitted) == (abs(ratio - 1) <= MFLOPS_TOLERANCE)
    assert len([sample for sample in snapdragon_810() if sample.role == "judged"]) == 15


def test_every_printed_network_is_used_or_left_out_with_a_reason() -> None:
    built = {name for name, _, _ in networks_810()}
    for row in rows_of("snapdragon-810-networks.csv"):
        assert (row["model"] in LEFT_OUT_810) != (f"{row['model']} {row['scale']}".strip() in built)
    models = {row["model"] for row in rows_of("ncnn-devices.csv")}
    assert models == {*NETWORKS_NCNN, *LEFT_OUT_NCNN}


def test_every_device_of_the_list_has_one_network_of_a_name() -> None:
    devices = {(row["device"], row["core"]) for row in rows_of("ncnn-devices.csv")}
    assert devices == set(NCNN_DEVICES)
    for device, core in devices:
        names = [sample.name for sample in ncnn(device, core)]
        assert len(names) == len(set(names)) >= 14
        assert "shufflenet" in names  # without it the rate of grouped 1x1 convolutions would be unknown


def test_the_sums_of_table_4_take_what_they_add() -> None:
    # 10 blocks of 32 channels: with shortcuts 56.7 and 57.3 images a second, without 61.9 and 66.3.
    [sums] = [sample for sample in snapdragon_810() if sample.name == "table 4: sums of 32"]
    assert sums.ms == pytest.approx((1000 / 56.7 - 1000 / 61.9 + 1000 / 57.3 - 1000 / 66.3) / 2)
    # Each reads two tensors of 56 x 56 x 32 values and writes one, of four bytes each.
    assert sums.terms["element_bytes"] == 10 * 3 * 56 * 56 * 32 * 4
    assert sums.macs == 0


def test_an_image_of_480x640_has_its_share_of_pixels() -> None:
    by_name = {sample.name: sample for sample in snapdragon_820()}
    small, large = by_name["MobileNet @224"], by_name["MobileNet @480x640"]
    assert large.terms["conv_bytes"] / small.terms["conv_bytes"] == pytest.approx(480 * 640 / 224**2, rel=0.01)
    assert by_name["AlexNet @224"].role == "known"


def test_a_block_that_skips_is_taken_off_where_it_is_a_convolution() -> None:
    by_name = {sample.name: sample for sample in raspberry_pi_4_blocks()}
    narrow, widened = by_name["32x32, 16 to 16, k=3 e=1 g=1"], by_name["32x32, 16 to 24, k=3 e=1 g=1"]
    # 16 -> 16 and 16 -> 16 channels, where skipping is nothing; 16 -> 16 and 16 -> 24 less the 16 -> 24 of skipping.
    assert narrow.terms["dense_pointwise_macs"] == 32 * 32 * (16 * 16 + 16 * 16)
    assert widened.terms["dense_pointwise_macs"] == 32 * 32 * 16 * 16


def test_blocks_hold_what_their_tables_hold() -> None:
    assert (len(raspberry_pi_4_blocks()), len(note_10_blocks())) == (96, 91)
    assert any(sample.terms["grouped_pointwise_macs"] for sample in raspberry_pi_4_blocks())
    assert not any(sample.terms["grouped_pointwise_macs"] for sample in note_10_blocks())
    assert any(sample.terms["gate_bytes"] for sample in note_10_blocks())


def test_the_tables_are_small() -> None:
    folder = Path(nets.__file__).parent
    assert sum(path.stat().st_size for path in folder.glob("*.csv")) < 40_000
