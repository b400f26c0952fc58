"""What a run pays for those who watch it: builds a second with forty pages and twenty scrapers, and with none, in turn.

``python -m tests.benchmarks.watchers SPEC [PAIRS]``, with a toolchain such as ``path:DIR``. Watchers ask from processes
of their own at the lowest priority, for in use they are on other hosts: each page every two seconds, with the tag of
what it has, as its script does, and twenty scrapers at once every five seconds.
"""

import http.client
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psutil

from harness.core.outcome import Outcome
from harness.core.records import Iteration
from harness.store.find import find_run
from harness.store.folder import RunFolder

PAGES, SCRAPERS = 40, 20
PAGE_SECONDS, SCRAPE_SECONDS = 2.0, 5.0
RUN_SECONDS = 20


@contextmanager
def served(results: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Serve a results folder; yield the server, and its port."""
    argv = [sys.executable, "-m", "harness", "serve", str(results), "--port", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r"http://[\d.]+:(\d+)", process.stdout.readline() if process.stdout else "")
            assert found
            yield psutil.Process(process.pid), int(found[1])
        finally:
            process.terminate()


def watch(port: int, path: str, seconds: float, watchers: int, stop: Event, waits: Any) -> None:
    """Ask for a page from many threads until told to stop; tell how long each answer took."""
    os.nice(19)

    def ask() -> None:
        tag = ""
        while not stop.is_set():
            began = time.monotonic()
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", path, headers={"If-None-Match": tag} if tag else {})
                answer = connection.getresponse()
                answer.read()
                tag = answer.headers.get("ETag") or ""
                connection.close()
                waits.append(time.monotonic() - began)
            stop.wait(max(0.0, seconds - (time.monotonic() - began)))

    threads = [threading.Thread(target=ask) for _ in range(watchers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ran(results: Path, spec: str, seed: int) -> RunFolder:
    """Make one run of a fixed time."""
    words = [
        "prune-race",
        "--daemon",
        spec,
        "--time",
        f"{RUN_SECONDS}s",
        "--seed",
        str(seed),
        "--results",
        str(results),
    ]
    subprocess.run(
        [sys.executable, "-m", "harness", "run", *words, "--no-report"], check=False, stdout=subprocess.DEVNULL
    )
    return find_run("last", results)


def builds(run: RunFolder) -> float:
    """Return how many builds came to their end in a second."""
    return sum(each.outcome in {Outcome.OK, Outcome.TIMED_OUT} for each in run.each(Iteration)) / RUN_SECONDS


def watched(results: Path, spec: str, seed: int) -> tuple[float, float, list[float]]:
    """Return a watched run's builds a second, the server's CPU in cores, and how long scrapers waited."""
    with served(results) as (server, port), multiprocessing.Manager() as manager:
        stop, waits = multiprocessing.Event(), manager.list()
        known = {*results.glob("*/*/run.json")}
        run = threading.Thread(target=ran, args=(results, spec, seed))
        run.start()
        while not (new := {*results.glob("*/*/run.json")} - known):
            time.sleep(0.1)
        folder = next(iter(new)).parent
        before, began = server.cpu_times(), time.monotonic()
        pages = (port, f"/runs/{folder.parent.name}/{folder.name}/data.json", PAGE_SECONDS, PAGES, stop, manager.list())
        scrapers = (port, "/metrics", SCRAPE_SECONDS, SCRAPERS, stop, waits)
        watchers = [multiprocessing.Process(target=watch, args=each) for each in (pages, scrapers)]
        for each in watchers:
            each.start()
        run.join()
        after, seconds = server.cpu_times(), time.monotonic() - began
        stop.set()
        for each in watchers:
            each.join()
        cores = (after.user + after.system - before.user - before.system) / seconds
        return builds(RunFolder(folder)), cores, [*waits]


def main(spec: str, pairs: int) -> None:
    """Measure, and print."""
    ratios, cores, waits = [], [], []
    with tempfile.TemporaryDirectory() as place:
        for number in range(pairs):
            rates = {}
            for is_watched in (number % 2 == 0, number % 2 == 1):
                results = Path(place) / f"{number}-{is_watched}"
                results.mkdir()
                if is_watched:
                    rates[True], used, waited = watched(results, spec, number)
                    cores.append(used)
                    waits += waited
                else:
                    rates[False] = builds(ran(results, spec, number))
            ratios.append(rates[True] / rates[False])
            told = f"watched {rates[True]:.2f}/s  alone {rates[False]:.2f}/s  ratio {ratios[-1]:.3f}"
            print(f"{told}  {cores[-1]:.3f} cores")
    print(
        f"median ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}, n = {pairs}), "
        f"server {statistics.median(cores):.3f} of a core, load {os.getloadavg()[0]:.0f}; "
        f"a scrape p50 {statistics.median(waits):.3f} s, at most {max(waits):.3f} s (n = {len(waits)})"
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8)
