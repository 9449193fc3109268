"""The layers of the package, and who may import which third-party package, read from the source."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import snsearch

PACKAGE = Path(snsearch.__file__).parent

# Top to bottom. A module imports from rows below its own, and within its row only as SAME_ROW says.
# The modules of cli/ are one: "cli".
ROWS: list[set[str]] = [
    {"cli", "__main__"},
    {"fidelity_page"},
    {"workers", "fidelity"},
    {"report", "search", "paper"},
    {"device_section", "counted_section", "group_costs"},
    {"proposals", "reference", "measured", "device_profile", "error_chart"},
    {"study", "verify", "confidence", "trainings", "surrogate"},
    {"rungs"},
    {"candidates", "proxy", "scores", "charts", "channel_table", "profile_plan"},
    {"objective", "subjects", "device_log", "checkup"},
    {"measure", "runners"},
    {"verdicts", "board"},
    {"measurements", "devices"},
    {"counted"},
    {"engine"},
    {"model", "sources", "solver", "pareto", "ranking", "contrasts", "calibration"},
    {"data", "tight", "latency"},
    {"kernels"},
    {"lattice", "conventions", "terms", "forms"},
    {"costs", "images", "counted_record"},
    {"graph"},
    {"arch", "spec", "counting"},
    {"processes", "toml_reader", "turns"},
    {"resources", "units", "errors", "interrupt", "whole_files", "__init__"},
]

SAME_ROW: dict[tuple[str, str], str] = {
    ("__main__", "cli"): "python -m snsearch is the command line",
    ("resources", "errors"): "a missing bundled file is an error of the tree",
    ("units", "errors"): "a quantity that cannot be read is an error of the tree",
}

OWNERS: dict[str, set[str]] = {
    "networkx": {"graph"},
    "optuna": {"study"},
    "thop": {"verify"},
    "jinja2": {"report"},
    "click": {"cli"},
    "rich": {"cli"},
    "PIL": {"images"},
    "datasets": {"sources"},
    "ncnn": {"engine"},
    "onnx": {"engine"},
    "onnxruntime": {"engine"},
    "sklearn": {"sources", "surrogate"},
    "scipy": {"calibration", "confidence", "ranking", "surrogate", "fidelity", "contrasts"},
    "torch": {
        "engine",
        "model",
        "verify",
        "images",
        "data",
        "sources",
        "proxy",
        "scores",
        "study",
        "search",
        "trainings",
        "processes",
        "workers",
        "cli",
    },
}

# Name on the package index, where it is not that of the module.
DISTRIBUTION = {"PIL": "pillow", "sklearn": "scikit-learn"}


class Import(NamedTuple):
    """One imported module, who imports it, and whether only when a function is called."""

    importer: str  # module of snsearch: "costs"; "cli" for all of cli/
    file: str
    line: int
    module: str  # absolute: "snsearch.costs", "networkx"
    deferred: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def _first_part(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    parents = ("snsearch", *path.relative_to(PACKAGE).parts[:-1])
    base = parents[: len(parents) - node.level + 1]
    return ".".join((*base, *([node.module] if node.module else [])))


def _imports_in(node: ast.AST, path: Path, deferred: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = deferred or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        names: list[str] = []
        if isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            module = _absolute(child, path)
            # "from snsearch import costs" imports snsearch.costs; "from snsearch import __version__" only snsearch.
            names = [
                f"{module}.{alias.name}" if module == "snsearch" and _is_module(alias.name) else module
                for alias in child.names
            ]
        for name in dict.fromkeys(names):
            file = str(path.relative_to(PACKAGE.parent))
            yield Import(_first_part(path), file, getattr(child, "lineno", 0), name, deferred)
        yield from _imports_in(child, path, inside)


def _is_module(name: str) -> bool:
    return (PACKAGE / f"{name}.py").is_file() or (PACKAGE / name).is_dir()


def _all_imports() -> list[Import]:
    return [
        found
        for path in sorted(PACKAGE.rglob("*.py"))
        for found in _imports_in(ast.parse(path.read_text(encoding="utf-8")), path, False)
    ]


IMPORTS = _all_imports()
MODULES = sorted({_first_part(path) for path in PACKAGE.rglob("*.py")})


def _row(module: str) -> int:
    return next(index for index, row in enumerate(ROWS) if module in row)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_place(module: str) -> None:
    assert sum(module in row for row in ROWS) == 1, f"place {module} in ROWS"


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_downward_only(module: str) -> None:
    upward = []
    for found in IMPORTS:
        top, _, rest = found.module.partition(".")
        target = rest.split(".")[0] or "__init__"
        if found.importer != module or top != "snsearch" or target == module:
            continue
        if not any(target in row for row in ROWS) or not any(module in row for row in ROWS):
            continue  # another test says that it has no place
        if _row(target) < _row(module) or (_row(target) == _row(module) and (module, target) not in SAME_ROW):
            upward.append(str(found))
    assert not upward


def test_exceptions_of_the_layers_are_used_and_lie_in_one_row() -> None:
    for importer, imported in SAME_ROW:
        assert _row(importer) == _row(imported)
        assert any(f.importer == importer and f.module == f"snsearch.{imported}" for f in IMPORTS)


@pytest.mark.parametrize("package", OWNERS)
def test_every_third_party_package_has_one_owner(package: str) -> None:
    strangers = [
        str(found)
        for found in IMPORTS
        if found.module.split(".")[0] == package and found.importer not in OWNERS[package]
    ]
    assert not strangers


def test_commands_import_torch_only_when_they_run() -> None:
    eager = [str(f) for f in IMPORTS if f.importer == "cli" and f.module.split(".")[0] == "torch" and not f.deferred]
    assert not eager


def test_every_third_party_package_is_a_declared_dependency() -> None:
    with (PACKAGE.parent / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    optional = project["optional-dependencies"]
    extras = [name for extra in ("hub", "ncnn", "onnxruntime") for name in optional[extra]]
    declared = " ".join([*project["dependencies"], *extras]).lower()
    third_party = {f.module.split(".")[0] for f in IMPORTS} - {"snsearch", *sys.stdlib_module_names}
    assert third_party
    assert not [name for name in sorted(third_party) if DISTRIBUTION.get(name, name).lower() not in declared]
