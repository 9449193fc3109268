"""Training-free scores of every member, for `snsearch bench` to replay. Writes scores.csv beside a table's trainings.

python -m benchmarks.matched.scores DATA [--sets emoji glyphs scenes]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.matched.package import Architecture, load_data, zero_cost
from snsearch.lab.bench import files

LEFT_OUT = ("macs",)  # equal by construction


def main(arguments: argparse.Namespace) -> None:
    """Scores the members of every set."""
    torch.set_num_threads(1)
    for name in arguments.sets or files.table_names():
        dataset = load_data(str(arguments.data / name))
        found: dict[str, dict[str, float]] = {}
        for member in files.read_members(files.RESULTS / name / "members.csv"):
            scores = zero_cost(Architecture.from_key(member.key), dataset, seed=0, device=torch.device("cpu"))
            found[member.label] = {one.name: one.value for one in scores if one.name not in LEFT_OUT}
            print(name, member.label, flush=True)
        files.write_scores(files.RESULTS / name / "scores.csv", found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="[default: all]")
    main(parser.parse_args())
