"""How large a study's page is, and how soon it can be used: python -m benchmarks.pages

Made-up studies: the sample's networks, and others with stages a little wider or narrower, with errors that scatter
about theirs. A page can be used when the front is drawn and answers to the pointer, in headless Chromium.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from snsearch import load_study
from snsearch.errors import SpecError
from snsearch.network import count_costs
from snsearch.pages import render, report_data
from snsearch.study import StudyRecord

SIZES = (24, 2000, 5000)


def made_up(sample: StudyRecord, size: int) -> StudyRecord:
    """The sample with more networks, `size` in all."""
    draw = random.Random(0)
    known = [trial for trial in sample.trials if trial.architecture and trial.proxy and trial.costs and trial.cost]
    trials, keys = known[:size], {trial.architecture.key for trial in known if trial.architecture}
    while len(trials) < size:
        like = draw.choice(known)
        arch, costs, proxy = like.architecture, like.costs, like.proxy
        assert arch is not None
        assert costs is not None
        assert proxy is not None
        widths = tuple(
            max(4 * groups, width + 4 * groups * draw.randint(-12, 12))
            for width, groups in zip(arch.stage_channels, arch.groups, strict=True)
        )
        other = replace(arch, stage_channels=widths, stem_channels=arch.stem_channels + draw.randint(-4, 8))
        try:
            counted = count_costs(other)
        except SpecError:
            continue
        if other.key not in keys:
            keys.add(other.key)
            error = min(0.9, max(0.05, proxy.error + draw.gauss(0, 0.008)))
            cost = (like.cost or 0.0) * counted.macs / costs.macs
            trials.append(
                replace(
                    like,
                    number=1000 + len(trials),
                    architecture=other,
                    costs=counted,
                    cost=cost,
                    repeats=(),
                    proxy=replace(proxy, error=error),
                )
            )
    return replace(sample, trials=tuple(trials))


def main() -> None:
    """Prints a line per size."""
    sample = load_study("reports/sample")
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for size in SIZES:
            started = time.perf_counter()
            file = Path(folder, f"{size}.html")
            file.write_text(render(report_data(made_up(sample, size))), encoding="utf-8")
            written = time.perf_counter() - started
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(file.as_uri())
            page.wait_for_function("() => document.documentElement.dataset.ready", timeout=120_000)
            ready = page.evaluate("() => snsearch.ready")
            answer = page.evaluate(
                """() => {
                  const before = performance.now(), row = snsearch.front.shown[0];
                  snsearch.front.look(row);
                  return new Promise((done) => requestAnimationFrame(() => done(performance.now() - before)));
                }"""
            )
            print(
                f"{size} networks: {file.stat().st_size / 1e6:.2f} MB, written in {written:.1f} s; "
                f"first interaction after {ready / 1000:.2f} s, an answer to the pointer in {answer:.0f} ms"
            )
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
