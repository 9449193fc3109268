"""The tree of modules in ARCHITECTURE.md, from the first lines of their docstrings.

python -m tests.module_tree    # writes it again
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
PAGE = CHECKOUT / "ARCHITECTURE.md"
OPENING, CLOSING = "## Modules\n\n```\n", "```\n"
FLOORS = (
    "network",
    "solver",
    "latency",
    "training",
    "study",
    "engine",
    "device",
    "pages",
    "lab",
    "finals",
    "exports",
    "api",
    "cli",
)
NAMES, WIDTH = 22, 118  # columns of the names, and of a line


def _summary(module: Path) -> str:
    """The first sentence of a module's docstring on one line; if it is too long, up to its last fitting ": " or "; ".

    A sentence without such a place is returned whole: a test fails for its line, and it has to be shortened.
    """
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    sentence = " ".join(docstring.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    ends = [match.start() for match in re.finditer(r"[:;] |$", sentence)]
    return sentence[: max((end for end in ends if end <= WIDTH - NAMES), default=len(sentence))]


def too_long() -> list[str]:
    """The lines of the tree that are wider than a line may be: the first sentences of their modules are too long."""
    return [line for line in module_tree().splitlines() if len(line) > WIDTH]


def _lines(folder: Path, depth: int) -> list[str]:
    """A line for each module of a folder, then the folders in it, each with its own lines."""

    def line(name: str, module: Path) -> str:
        return f"{'  ' * depth + name:{NAMES}}{_summary(module)}".rstrip()

    found = [line(path.stem, path) for path in sorted(folder.glob("*.py")) if not path.stem.startswith("__")]
    inside = [path for path in folder.iterdir() if (path / "__init__.py").is_file()]
    for path in sorted(inside, key=lambda path: (FLOORS.index(path.name) if path.name in FLOORS else 0, path.name)):
        found += [line(f"{path.name}/", path / "__init__.py"), *_lines(path, depth + 1)]
    return found


def module_tree() -> str:
    """The tree as text."""
    return "snsearch/\n" + "\n".join(_lines(CHECKOUT / "snsearch", 1)) + "\n"


def parts(text: str) -> tuple[str, str, str]:
    """What is before the tree in ARCHITECTURE.md, the tree, and what is after it."""
    before, opening, rest = text.partition(OPENING)
    tree, closing, after = rest.partition(CLOSING)
    return before + opening, tree, closing + after


if __name__ == "__main__":
    before, _, after = parts(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + module_tree() + after, encoding="utf-8")
