"""Profiles and weights fitted on counts: a fit on the table gives the bundled files, and counting gives the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.counted import files, profiles, weighings
from benchmarks.counted_devices import devices, parts_of, rows
from benchmarks.counted_networks import CPUS, networks_for
from snsearch.device.counting.counter import cpu_of, open_counter
from snsearch.device.counting.tools import requirements
from snsearch.device.registry import named_profile
from snsearch.engine.ncnn_model import write_model
from snsearch.errors import DeviceError
from snsearch.latency.profile import load_profile
from snsearch.network.arch import Architecture
from snsearch.network.graph import OpGraph
from snsearch.study.objective import latency_objective


@pytest.mark.long
def test_the_shipped_files_are_what_a_fit_on_the_counts_gives() -> None:
    assert {path.name for path in files()} >= {"counted-cortex-a72.toml", "cortex-a72.toml"}
    for path, text in files().items():
        assert numbers(path.read_text(encoding="utf-8")) == pytest.approx(numbers(text), rel=1e-3)


def numbers(text: str) -> list[float]:
    found = []
    for line in text.splitlines():
        for word in line.partition("=")[2].replace("{", " ").replace("}", " ").replace(",", " ").split():
            try:
                found.append(float(word))
            except ValueError:
                continue
    return found


@pytest.mark.long
@pytest.mark.parametrize("cpu", CPUS)
def test_every_network_that_is_listed_was_counted(cpu: str) -> None:
    missing = [n.name for n in networks_for(cpu) if (cpu, n.set, n.name) not in rows()]
    assert not missing


def test_more_groups_miss_more_often_at_equal_macs() -> None:
    for cpu in CPUS:
        parts = [parts_of(rows()[cpu, "groups", f"ShuffleNet 1x g={groups}"]) for groups in (1, 3, 8)]
        for index in (0, 2):  # instructions, and misses of the second level
            assert [one[index] for one in parts] == sorted(one[index] for one in parts)


@pytest.mark.long
def test_a_model_of_counts_ranks_what_it_has_not_seen() -> None:
    for profile in profiles().values():
        assert profile.by_network.spearman > 0.95
        assert profile.by_network.mape < 0.1 < profile.log_log_flops.mape


@pytest.mark.long
def test_counted_cost_misses_held_out_figures_by_less_than_a_line_over_flops() -> None:
    by_name = {device.name: device for device in devices()}
    device = by_name["ncnn-raspberry-pi-4"]
    assert device.counted().errors().mape < 0.1
    assert weighings()["cortex-a72"].device == load_profile("ncnn-raspberry-pi-4").device


def test_a_counted_device_ranks_by_its_profile_and_says_so() -> None:
    objective = latency_objective(named_profile("counted://cortex-a72"))
    assert objective.profile == load_profile("counted-cortex-a72")
    assert "predicted from counted cost" in objective.label
    with pytest.raises(DeviceError, match=r"no bundled profile predicts its counts.*counted://cortex-a72"):
        named_profile("counted://cortex-a76")


def test_the_runner_is_counted_as_the_table_says(aarch64_runner: Path, tmp_path: Path) -> None:
    if missing := [need.name for need in requirements() if need.found is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    row = min(
        (row for row in rows().values() if row.set == "space" and row.cpu == "cortex-a72"), key=lambda r: r.macs
    )
    counter = open_counter(cpu_of("counted://cortex-a72"), aarch64_runner, tmp_path)
    model = write_model(OpGraph.of(Architecture.from_key(row.name)).ops)
    counts = counter.count(model).counts
    # Another compiler or qemu may count slightly differently; with the same ones only printing a time differs.
    assert counts.instructions == pytest.approx(row.instructions, rel=0.03)
    assert counts.l1d_misses == pytest.approx(row.l1d_misses, rel=0.05)
    assert counts.l2_misses == pytest.approx(row.l2_misses, rel=0.15)
    again = counter.count(model, again=True).counts
    assert again.instructions == pytest.approx(counts.instructions, abs=2000)
    assert again.l2_misses == pytest.approx(counts.l2_misses, abs=50)
