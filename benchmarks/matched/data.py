"""Makes the data sets of the benchmark in a folder and checks their fingerprints; takes two to five minutes.

    python -m benchmarks.matched.data DATA [SET...]

README.md beside this file names the packages that have to be installed first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.matched import emoji, scenes
from benchmarks.matched.package import load_data
from snsearch.lab.bench import files

GLYPHS = Path(__file__).parents[1] / "glyphs.py"


def make_emoji(data: Path) -> None:
    """Writes data/emoji; the npm packages are kept in data/packages."""
    emoji.render(data / "emoji", data / "packages")


def make_glyphs(data: Path) -> None:
    """Writes data/glyphs."""
    command = [sys.executable, str(GLYPHS), str(data / "glyphs"), "--train", "20000", "--test", "4000", "--seed", "2"]
    subprocess.run(command, check=True, timeout=1800)


def make_scenes(data: Path) -> None:
    """Writes data/scenes."""
    scenes.render(data / "scenes")


MAKERS: dict[str, Callable[[Path], None]] = {"emoji": make_emoji, "glyphs": make_glyphs, "scenes": make_scenes}


def main(arguments: argparse.Namespace) -> None:
    """Makes the sets that are not there yet; exits with 1 where a fingerprint differs from the frozen one."""
    path = files.RESULTS / "recipe.json"
    frozen = files.read_frozen(path)[0] if path.exists() else {}
    wrong = 0
    for name in arguments.sets or MAKERS:
        if not (arguments.data / name).exists():
            MAKERS[name](arguments.data)
        dataset = load_data(str(arguments.data / name))
        found, expected = dataset.fingerprint(), frozen[name].fingerprint if name in frozen else "not frozen"
        wrong += name in frozen and found != expected
        print(f"{dataset.describe()}; fingerprint {found}" + ("" if found == expected else f", expected {expected}"))
    if wrong:
        raise SystemExit("another fingerprint: other versions of Pillow, of numpy, or of the packages draw otherwise")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("sets", nargs="*", choices=[[], *MAKERS], default=[], metavar="SET", help="[default: all]")
    main(parser.parse_args())
