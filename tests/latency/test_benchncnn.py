"""What benchncnn prints: read, refused, and fitted; ShuffleNet v1 held out on devices that are in no fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import snsearch
from benchmarks.published.samples import NCNN_DEVICES, rows_of
from snsearch.errors import SpecError
from snsearch.files import bundled_names
from snsearch.latency.benchncnn import parse_benchncnn

Run = Callable[..., Any]

HEAD = "loop_count = 8\nnum_threads = 1\npowersave = 2\ngpu_device = -1\ncooling_down = 1\n"
UNFITTED = [key for key, name in NCNN_DEVICES.items() if name not in bundled_names("profiles")]


def printed(device: str, core: str, *without: str) -> str:
    """A device of ncnn's list as benchncnn prints it."""
    return HEAD + "".join(
        f"{row['model']:>20}  min = {row['min_ms']:>7}  max = {row['max_ms']:>7}  avg = {row['avg_ms']:>7}\n"
        for row in rows_of("ncnn-devices.csv")
        if (row["device"], row["core"]) == (device, core) and row["model"] not in without
    )


@pytest.mark.parametrize("key", UNFITTED, ids=" ".join)
def test_shufflenet_v1_is_predicted_on_devices_that_are_in_no_fit(key: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "run.txt"
    file.write_text(printed(*key, "shufflenet"), encoding="utf-8")
    profile = snsearch.calibrate(snsearch.read_benchncnn(file), name="own", device=key[0], library="ncnn")
    assert "shufflenet-v1-1x-g3" not in profile.fitted_on
    [ms] = (
        float(row["avg_ms"])
        for row in rows_of("ncnn-devices.csv")
        if (row["device"], row["core"], row["model"]) == (*key, "shufflenet")
    )
    assert snsearch.predict("shufflenet-v1-1x-g3", profile=profile).ms == pytest.approx(ms, rel=0.08)


def test_calibrate_makes_a_profile_of_a_run(run: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "run.txt", tmp_path / "nano.toml"
    file.write_text(printed("Jetson Nano", "Cortex-A57"), encoding="utf-8")
    outcome = run("calibrate", "--benchncnn", str(file), "--name", "nano", "--device", "Nano", "--out", str(out))
    assert outcome.code == 0
    assert "13 networks are fitted on; not known here: " in outcome.err
    [profile] = snsearch.profiles(str(out))
    assert {"shufflenet-v1-1x-g3", "shufflenet-v2-1x"} <= set(profile.fitted_on)
    assert (profile.library, profile.threads, profile.source) == ("ncnn", 1, "own benchncnn")
    assert 0 < profile.by_network.mape < 0.2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line of a network that is known here"),
        ("num_threads = 4\n", "line 1: num_threads = 4; expected 1: run `benchncnn 8 1 2 -1 1`"),
        ("gpu_device = 0\n", "line 1: gpu_device = 0; expected -1"),
        ("resnet18  min = 1  max = 1  avg = 1\n" * 2, "line 2: resnet18 a second time; keep one run in the file"),
        ("resnet18  min = 0  max = 0  avg = 0.00\n", "line 1: resnet18 takes 0 ms; expected a positive time"),
        ("resnet18_int8  min = 1  max = 1  avg = 1\n", "no line of a network that is known here"),
    ],
)
def test_a_run_that_cannot_be_used_says_why(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_benchncnn(text.splitlines(), "benchncnn")
    assert message in str(caught.value)


def test_figures_or_a_run_are_given_and_not_both(run: Run, tmp_path: Path) -> None:
    about = ("--name", "x", "--device", "X", "--out", str(tmp_path / "x.toml"))
    assert run("calibrate", *about).code == 2
    assert run("calibrate", "a.csv", "--benchncnn", "b.txt", *about).code == 2
    assert run("calibrate", "a.csv", *about).code == 2, "figures of an unnamed library"
