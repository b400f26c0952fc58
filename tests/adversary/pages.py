"""Poisoned names, paths and outputs in a run, whose pages a real browser opens: does a script run, or ask anybody?"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from harness.core.manifest import DaemonFacts
from harness.core.outcome import Outcome
from harness.core.records import Action, Finding, Iteration, Sample
from harness.report.write import write_report
from harness.store.folder import RunFolder
from tests.adversary.world import Options, Try
from tests.browser.chromium import CHROMIUM
from tests.web.runs import FINDING, MANIFEST, ended

_LOOKED_MILLISECONDS = 4_000
POISON = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    '"><svg onload=window.pwned=1>',
    "'-window.pwned=1-'",
    "</script><script>window.pwned=1</script>",
    "javascript:window.pwned=1",
    "{{7*7}}<b id=pwned>",
    "${window.pwned=1}",
    "]]><script>window.pwned=1</script>",
    "<!--<script>window.pwned=1</script>",
    "&lt;script&gt;<iframe srcdoc='<script>parent.pwned=1</script>'>",
    "\u2028\u2029<a href=http://127.0.0.1:9/leak>",
    "<link rel=stylesheet href=http://127.0.0.1:9/leak.css>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "[x](javascript:window.pwned=1)",
    "</title></style></textarea></noscript><script>window.pwned=1</script>",
    "<math><mi//xlink:href='data:x,<script>window.pwned=1</script>'>",
    "<details open ontoggle=window.pwned=1>",
    "`;window.pwned=1;//",
    "\\u003cscript\\u003ewindow.pwned=1\\u003c/script\\u003e",
    "<style>@import 'http://127.0.0.1:9/leak.css'</style>",
    "<base href=http://127.0.0.1:9/>",
    "<form action=http://127.0.0.1:9/><input autofocus onfocus=window.pwned=1>",
    "\x00<scr\x00ipt>window.pwned=1</script>",
    "\u202e<b id=pwned>\u202c@{window.pwned=1}",
)


def pages(options: Options) -> Iterator[Try]:
    """Open the live page, its list and the report of a run for each poison."""
    if CHROMIUM is None:
        yield Try("left out, for no chromium is on PATH")
        return
    for number, poison in enumerate(POISON):
        if options.over:
            return
        run = _poisoned(options.place / f"{number}", poison)
        write_report([run], run.path)
        server = subprocess.Popen(
            [sys.executable, "-m", "harness", "serve", str(options.place / f"{number}"), "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            said = server.stdout.readline() if server.stdout else ""
            found = re.search(r"http://\S+", said)
            home = found[0] if found else ""
            base = "/".join(home.split("/")[:3])
            places = {
                "page": f"{base}/runs/{run.path.parent.name}/{run.name}/",
                "report": (run.path / "report.html").as_uri(),
            }
            problems = [f"{name}: {problem}" for name, url in places.items() for problem in _open(url, base)]
        finally:
            server.terminate()
            server.communicate(timeout=30)
        yield Try(f"poison {number}: {poison[:40]!r}", "; ".join(problems))


def _open(url: str, base: str) -> Iterator[str]:
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=180_000)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url, timeout=180_000)
        page.wait_for_timeout(_LOOKED_MILLISECONDS)
        if page.evaluate("window.pwned !== undefined || document.getElementById('pwned') !== null"):
            yield "a script or an element of the poison is there"
        if page.url.split("?")[0].split("#")[0] != url:
            yield f"the page went to {page.url}"
        frames = [frame.url for frame in page.frames if frame.url not in {page.url, "about:blank"}]
        yield from (f"frame {each}" for each in frames)
        own = ("data:", "blob:", base, url)
        yield from (f"asked elsewhere: {each}" for each in asked if not each.startswith(own))
        browser.close()


def _poisoned(results: Path, poison: str) -> RunFolder:
    run = ended(results)
    with run.database() as database:
        facts = (Outcome.FAILED, 4.0, None, None, None, 4.5, None, 1, poison)
        database.add(Iteration(4, poison, {poison: poison}, *facts))
        database.add(Action(poison, "prune", 2, 1.0, 1.0, 1.25, 2.0, succeeded=False, detail=poison))
        database.add(Sample(3.0, 1.5, 64 * 2**20, 70, 2, 0.001, 0.0, 0.03, 80 * 2**20))
        progress = (json.dumps({"vertexes": [{"digest": "sha256:1", "name": poison, "error": poison}]}), poison)
        database.add(replace(FINDING, iteration=5, actor=poison, args={poison: poison}, last_progress=progress))
    daemon = DaemonFacts("buildkitd", poison, poison, poison, private=True, details={poison: poison})
    run.write_manifest(replace(MANIFEST, argv=("repro", "run", poison), name=poison, daemon=daemon))
    summary = json.loads((run.path / "summary.json").read_text())
    changed = {"because": poison, "scenario": poison, "left_behind": [poison], "outcomes": {"ok": 1}}
    (run.path / "summary.json").write_text(json.dumps(summary | changed))
    (run.path / "scenario.yaml").write_text(
        json.dumps({"name": poison, "about": poison, "actors": [{"build": poison}]})
    )
    for number in (3, 5):
        evidence, name = run.path / "findings" / str(number), re.sub("[/\0]", "_", poison)[:80]
        evidence.mkdir(exist_ok=True)
        (evidence / f"{name}.txt").write_text(poison)
        (evidence / "captured.json").write_text(json.dumps({poison: poison, "progress": "captured"}))
        (evidence / "goroutines-0.txt").write_text(f"goroutine 1 [{poison}]:\n{poison}.f()\n\t/{poison}.go:1\n")
    assert run.read(Finding)
    return run
