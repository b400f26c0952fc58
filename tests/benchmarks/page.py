"""The live page of a run of a million iterations: when it first paints, when its charts stand, beside a naive reading.

``python tests/benchmarks/page.py [ROUNDS]``; needs Chromium. Each round has a fresh server and a fresh browser.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from harness.store.folder import RunFolder
from tests.benchmarks.million import write_million
from tests.benchmarks.report import naive
from tests.browser.chromium import CHROMIUM


@contextmanager
def served(results: Path) -> Iterator[str]:
    """Serve a results folder; yield the address."""
    argv = [sys.executable, "-m", "harness", "serve", str(results), "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
        assert found
        yield found[0]
    finally:
        process.terminate()
        process.communicate()


def looked_at(address: str) -> dict[str, float]:
    """Return the seconds until the page is painted, and until its charts stand, in a fresh browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector("body[data-state=ended]", timeout=60_000)
        page.wait_for_function("Bokeh.documents.every(each => each.is_idle)")
        whole = time.perf_counter() - began
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
        browser.close()
    return {"first paint": paint, "charts": whole}


def asked(address: str) -> dict[str, float]:
    """Return the seconds that the data takes at first, again, and again for who has it."""
    seconds = {}
    with httpx.Client(timeout=120) as client:
        headers: dict[str, str] = {}
        for name in ("data, first", "data, again", "data, unchanged"):
            began = time.perf_counter()
            answer = client.get(address, headers=headers)
            seconds[name] = time.perf_counter() - began
            if name == "data, again":
                headers = {"If-None-Match": answer.headers["etag"]}
        assert answer.status_code == 304
    return seconds


def naively(folder: RunFolder) -> float:
    """Return the seconds that reading every record and summing it in Python takes."""
    began = time.perf_counter()
    naive(folder)
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_million(Path(scratch))
        print(f"run.db {(folder.path / 'run.db').stat().st_size / 2**20:.0f} MiB")
        taken: dict[str, list[float]] = {}
        for _ in range(rounds):
            with served(Path(scratch)) as address:
                found = looked_at(f"{address}runs/million/{folder.name}/")
            with served(Path(scratch)) as address:
                found |= asked(f"{address}runs/million/{folder.name}/data.json")
                began = time.perf_counter()
                httpx.get(f"{address}metrics", timeout=60)
                found["metrics"] = time.perf_counter() - began
                began = time.perf_counter()
                httpx.get(address, timeout=60)
                found["list"] = time.perf_counter() - began
            found["naive reading"] = naively(folder)
            for name, seconds in found.items():
                taken.setdefault(name, []).append(seconds)
    for name, all_of in taken.items():
        print(f"{name:<16} {told(all_of)}")
    ratios = [naive / data for naive, data in zip(taken["naive reading"], taken["data, first"], strict=True)]
    print(f"{'naive / data':<16} {told(ratios)}")


def told(values: Sequence[float]) -> str:
    """Return the median, the least and the most."""
    return f"{statistics.median(values):.3f}  ({min(values):.3f} to {max(values):.3f}, {len(values)} rounds)"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
