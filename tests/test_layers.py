"""Imports: sub-packages in layers, each used through its `__init__.pyi`, and one owner per third-party package.

The layers are listed in pyproject.toml, under tool.importlinter; `make lint` checks them.
"""

from __future__ import annotations

import ast
import importlib
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

import snsearch

PACKAGE = Path(snsearch.__file__).parent
SUB_PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.pyi"))
GRAPH = grimp.build_graph("snsearch", include_external_packages=True, cache_dir=None)

OWNERS: dict[str, set[str]] = {
    "networkx": {"snsearch.network.graph"},
    "optuna": {"snsearch.study.storage", "snsearch.lab.bench.methods"},
    "sqlalchemy": {"snsearch.study.storage", "snsearch.study.storage_url"},
    "thop": {"snsearch.network.counters"},
    "jinja2": {"snsearch.pages.templating"},
    "vl_convert": {"snsearch.pages.vega"},
    "click": {"snsearch.cli"},
    "rich": {"snsearch.cli"},
    "PIL": {"snsearch.training.images"},
    "datasets": {"snsearch.training.tables"},
    "huggingface_hub": {"snsearch.training.tables"},
    "ncnn": {"snsearch.engine"},
    "ai_edge_litert": {"snsearch.engine"},
    "ai_edge_quantizer": {"snsearch.engine"},
    "executorch": {"snsearch.engine", "snsearch.exports.converting"},
    "litert_torch": {"snsearch.exports.converting"},
    "onnx": {"snsearch.engine"},
    "onnxruntime": {"snsearch.engine"},
    "sklearn": {"snsearch.training.builtin", "snsearch.lab.pooling"},
    "ray": {"snsearch.training.ray_executor"},
    "submitit": {"snsearch.training.slurm_executor"},
    "safetensors": {"snsearch.training.weights_file"},
    "scipy": {"snsearch.intervals", "snsearch.latency", "snsearch.study", "snsearch.pages", "snsearch.lab"},
    "torch": {
        "snsearch.engine",
        "snsearch.network.torch_model",
        "snsearch.network.features",
        "snsearch.network.known.torchvision",
        "snsearch.network.counters",
        "snsearch.training",
        "snsearch.study",
        "snsearch.lab",
        "snsearch.exports",
        "snsearch.finals",
        "snsearch.cli",
    },
}

# Name on the package index, where it is not that of the module.
DISTRIBUTION = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "huggingface_hub": "huggingface-hub",
    "litert_torch": "litert-torch",
    "vl_convert": "vl-convert-python",
    "sklearn": "scikit-learn",
}


def _sub_package(module: str) -> str:
    """The sub-package that a module is in; "" for the modules at the top and other packages."""
    parts = module.split(".")
    return parts[1] if parts[0] == "snsearch" and len(parts) > 1 and parts[1] in SUB_PACKAGES else ""


def _importers(package: str) -> set[str]:
    return GRAPH.find_modules_that_directly_import(package) if package in GRAPH.modules else set()


def test_a_sub_package_is_imported_by_its_public_interface() -> None:
    past = [
        f"{importer} -> {imported}"
        for importer in GRAPH.modules
        for imported in GRAPH.find_modules_directly_imported_by(importer)
        if _sub_package(imported) not in ("", _sub_package(importer)) and imported.count(".") > 1
    ]
    assert not past, "import these from the sub-package, and add them to its __init__.pyi"


@pytest.mark.parametrize("name", SUB_PACKAGES)
def test_every_name_of_a_public_interface_is_there_and_used_outside(name: str) -> None:
    package = importlib.import_module(f"snsearch.{name}")
    modules = {path.stem for path in (PACKAGE / name).glob("*.py")}
    assert modules.isdisjoint(package.__all__), "importing a module would overwrite the name"
    assert [one for one in package.__all__ if not hasattr(package, one)] == []
    users = [PACKAGE / "__init__.pyi", *(path for path in PACKAGE.rglob("*.py") if path.parts[-2] != name)]
    text = "".join(path.read_text(encoding="utf-8") for path in users)
    assert [one for one in package.__all__ if one not in text] == []


@pytest.mark.parametrize("package", OWNERS)
def test_every_third_party_package_has_its_owners(package: str) -> None:
    owners = OWNERS[package]
    strangers = [m for m in _importers(package) if not any(f"{m}.".startswith(f"{owner}.") for owner in owners)]
    assert not strangers


def test_every_third_party_package_is_a_declared_dependency() -> None:
    with (PACKAGE.parent / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    optional = project["optional-dependencies"]
    extras = [one for extra, names in optional.items() if extra not in ("dev", "bench") for one in names]
    declared = " ".join([*project["dependencies"], *extras]).lower()
    third_party = {m for m in GRAPH.modules if GRAPH.is_module_squashed(m)} - set(sys.stdlib_module_names)
    assert {"torch", "optuna", "click"} <= third_party
    assert not [name for name in sorted(third_party) if DISTRIBUTION.get(name, name).lower() not in declared]


def test_commands_import_torch_only_when_they_run() -> None:
    eager = []
    for path in PACKAGE.glob("cli/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            eager += [f"{path.name}:{node.lineno}" for name in names if name == "torch" and not node.col_offset]
    assert not eager
