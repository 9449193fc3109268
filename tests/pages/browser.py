"""Chromium, driven by Playwright, and axe-core from npm, for the tests of pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from snsearch.files import cache_folder

AXE = "axe-core-4.14.1.tgz"


def axe_script() -> str:
    """axe-core's script; it stays in $SNSEARCH_TEST_CACHE. Skips the test where npm cannot fetch it."""
    cache = Path(os.environ.get("SNSEARCH_TEST_CACHE") or cache_folder())
    kept = cache / AXE
    if not kept.is_file():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed (apt-get install npm)")
        cache.mkdir(parents=True, exist_ok=True)
        name = AXE.removesuffix(".tgz").replace("core-", "core@")
        done = subprocess.run([npm, "pack", name], cwd=cache, capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"npm cannot fetch axe-core: {done.stderr.strip()[-200:]}")
    with tarfile.open(kept) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode("utf-8")


def violations(page: Page, script: str) -> list[str]:
    """What axe-core finds of level serious or critical."""
    page.evaluate(script)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def point(page: Page, trial: int) -> tuple[float, float]:
    """Where a candidate is drawn, in pixels of the window; the chart is scrolled into view."""
    page.locator("#front-chart .live").scroll_into_view_if_needed()
    box = page.locator("#front-chart .live").bounding_box()
    assert box is not None
    left, top = page.evaluate(f"snsearch.front.pixel(snsearch.byTrial.get({trial}))")
    return box["x"] + left, box["y"] + top
