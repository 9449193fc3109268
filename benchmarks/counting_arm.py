"""Counts the networks of `counted_networks` on real ARM code, into results/counted.csv; goes on where it was stopped.

python -m benchmarks.counting_arm RUNNER [CPU ...]     RUNNER: the aarch64 runner of snsearch device build-runner
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.counted_networks import CPUS, Row, networks_for, read_rows, write_rows
from snsearch.device.counting.counter import SCHEME, cpu_of, open_counter
from snsearch.engine.ncnn_model import write_model


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    runner, cpus = Path(sys.argv[1]), sys.argv[2:] or CPUS
    for cpu in cpus:
        counter = open_counter(cpu_of(f"{SCHEME}{cpu}"), runner, Path.home() / ".cache" / "snsearch" / "counted")
        for network in sorted(networks_for(cpu), key=lambda network: network.macs):
            rows = read_rows()
            if any((row.cpu, row.set, row.name) == (cpu, network.set, network.name) for row in rows):
                continue
            begun = time.monotonic()
            record = counter.count(write_model(network.ops))
            write_rows([*rows, Row.of(cpu, network, record.counts)])
            print(
                f"{cpu} {network.set} {network.name}: {network.macs / 1e6:.0f} MMACs, "
                f"{record.counts.instructions / 1e6:.1f} M instructions, {time.monotonic() - begun:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
