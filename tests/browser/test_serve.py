"""The live page in a browser: it moves while a run goes on, ends on the database's numbers, and fits phone and desk."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from harness.core.outcome import Outcome
from harness.core.records import Action, Finding, Iteration, Sample
from harness.store.folder import RunFolder
from harness.web.acts import holder_of
from tests.benchmarks.million import write_million
from tests.browser.chromium import WIDTHS, browser, keep_picture, needs_chromium, opened
from tests.support.eventually import until
from tests.support.stub_runs import last_run, start, write_scenario

__all__ = ["browser"]  # a fixture
pytestmark = needs_chromium
Serve = Callable[..., str]

SESAME = "open-sesame-sixteen"
"""The token of a page."""

SUMS = """() => {
    const found = {};
    for (const document of Bokeh.documents) for (const model of document.all_models)
        if (model.type === "ColumnDataSource") found[model.name] = model.data;
    const sum = values => Array.from(values).reduce((a, b) => a + b, 0);
    const outcomes = {};
    for (const name of ["ok", "timed_out", "failed", "hang", "stall", "infra", "cut_off"])
        if (sum(found.outcomes[name])) outcomes[name] = sum(found.outcomes[name]);
    const told = Array.from(document.querySelectorAll("#outcomes tr")).map(row => row.innerText);
    return {outcomes, told, tails: sum(found.tails.count), acts: sum(found.acts.count),
            findings: Array.from(found.findings.iteration), running: Math.max(...found.running.most)};
}"""
"""What the charts draw, summed, and the rows of the table at that same moment."""


NOTHING_YET = re.compile(r"\[bokeh [\d.]+\] could not (set initial ranges|determine .* data value for log axis)")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a results folder, with more options, at a port that is free; return the address."""
    started: list[subprocess.Popen[str]] = []

    def serve(results: Path, *options: str) -> str:
        argv = [sys.executable, "-m", "harness", "serve", str(results), "--port", "0", *options]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        return found[0]

    yield serve
    for process in started:
        process.terminate()
        process.communicate(timeout=180)
        assert process.returncode == 130


def shown(page: Page) -> dict[str, int]:
    """Return the page's table of outcomes."""
    return counted(page.locator("#outcomes tr").all_inner_texts())


def counted(rows: list[str]) -> dict[str, int]:
    """Return what rows of that table say."""
    cells = [row.split("\t") for row in rows[1:]]
    return {name.strip(): int(count.replace(",", "")) for name, count, *_ in cells}


def counts_of(folder: RunFolder) -> dict[str, int]:
    """Return how often each outcome came, looked at one by one."""
    return dict(Counter(str(each.outcome) for each in folder.read(Iteration)))


def grave(complaints: list[str]) -> list[str]:
    """Return what the console complained of, but for charts that have nothing to show yet."""
    return [said for said in complaints if not NOTHING_YET.search(said)]


def fits(page: Page, width: int) -> None:
    """Fail where the page is wider than its window, or a chart that is shown has no height."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for chart in page.locator(".charts:visible").all():
        box = chart.bounding_box()
        assert box
        assert box["height"] > 100, chart.get_attribute("id")


@pytest.mark.parametrize("width", WIDTHS)
def test_an_ended_run(browser: Browser, tmp_path: Path, serve: Serve, width: int) -> None:
    """Table and charts of a run with prunes, pressures, audits and a hang are its records; nothing complains or
    overflows; it is not asked for again.
    """
    folder = write_million(tmp_path, 2000)
    address = serve(tmp_path)
    with opened(browser, f"{address}runs/million/{folder.name}/", width, dark=width == WIDTHS[0]) as (page, complaints):
        page.wait_for_selector("body[data-state=ended]")
        counts = counts_of(folder)
        assert shown(page) == {**counts, "all": 2000}
        tails = [each.tail for each in folder.read(Iteration) if each.outcome is Outcome.OK and each.tail is not None]
        drawn = page.evaluate(SUMS)
        assert drawn["outcomes"] == counts
        assert drawn["tails"] == len(tails)
        assert drawn["acts"] == len(folder.read(Action))
        assert drawn["findings"] == [each.iteration for each in folder.read(Finding)]
        assert drawn["running"] == max(each.running for each in folder.read(Sample))
        acts = [text.split("/") for text in page.locator(".hazard td").all_inner_texts() if text.strip()]
        assert sum(int(trials) for _, trials in acts) == len(folder.read(Action))
        assert page.locator("h1").inner_text().startswith("HANG")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(2200)  # one look is every two seconds
        assert asked == []
        fits(page, width)
        keep_picture(page, f"serve-{width}")
        page.goto(address)
        assert page.locator("tr[data-run]").count() == 1
        page.locator("#filters input").fill("no such word")
        assert page.locator("tr[data-run]:visible").count() == 0
        page.locator("#filters input").fill("million")
        assert page.locator("tr[data-run]:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        keep_picture(page, f"serve-list-{width}")
    assert grave(complaints) == []


def test_a_run_that_goes_on(browser: Browser, tmp_path: Path, serve: Serve) -> None:
    """Numbers and charts move without a reload while builds end, a finding appears, and the end is the database's."""
    scenario = write_scenario(
        tmp_path,
        build={"parallel": 2},
        clients={"default": "0.2", "100": "hang"},
        actors=[{"prune": "loop", "all": True, "when": {"interval": "700ms"}}],
        stop={"iterations": 100_000, "hangs": 2},
        on_hang={"then": "renew"},
        detect={"export_hang": "10s", "stall": "2m"},
    )
    (scenario.parent / "results").mkdir()
    address = serve(scenario.parent / "results")
    process = start(scenario)
    try:
        while not any((scenario.parent / "results").glob("*/*/run.db")):
            assert process.poll() is None
        folder = last_run(scenario)
        with opened(browser, f"{address}runs/stubbed/{folder.name}/", 390) as (page, complaints):
            page.evaluate("window.neverReloaded = true")
            seen: list[tuple[int, int]] = []
            interrupted = False

            def look() -> dict[str, Any]:
                drawn: dict[str, Any] = page.evaluate(SUMS)
                total = sum(drawn["outcomes"].values())
                if not seen or seen[-1][0] != total:
                    seen.append((total, counted(drawn["told"]).get("all", 0)))
                return drawn

            while page.evaluate("document.body.dataset.state") == "goes on":
                look()
                if len(seen) >= 3 and page.locator("h3.finding").count() and not interrupted:
                    process.send_signal(signal.SIGINT)
                    interrupted = True
                page.wait_for_timeout(200)
            process.communicate(timeout=180)
            assert process.returncode == 1
            page.wait_for_selector("body[data-state=ended]")
            drawn, counts = look(), counts_of(folder)
            assert len(seen) >= 3, seen
            assert all(table in (total, seen[place - 1][0]) for place, (total, table) in enumerate(seen) if place)
            assert drawn["outcomes"] == counts
            assert counts["hang"] == 1
            assert shown(page) == {**counts, "all": sum(counts.values())}
            assert drawn["acts"] == len(folder.read(Action)) > 3
            assert page.locator("h1").inner_text().startswith("HANG")
            assert page.locator("h3.finding").inner_text().startswith("iteration 100 ")
            assert page.evaluate("window.neverReloaded") is True
            name = page.locator("#findings a").first.get_attribute("href")
            keep_picture(page, "serve-went-on-390")
            answer = page.request.get(f"{address}runs/stubbed/{folder.name}/{name}")
            assert answer.body() == (folder.path / str(name)).read_bytes()
        assert grave(complaints) == []
    finally:
        process.kill()
        process.communicate(timeout=180)


GUESSED = """form => setTimeout(() => {
    const sent = document.querySelector(form);
    sent.elements.csrf.value = "guessed";
    sent.querySelector("button").click();
})"""
"""Presses a form's button, with a key that is wrong: at once, as news of the page would bring the right one back."""


def log_in(page: Page) -> None:
    """Give the token, after a wrong one."""
    for token, told in (("open-simsim", "This is not the token."), (SESAME, "Start a run")):
        page.locator("input[name=token]").fill(token)
        page.get_by_role("button").click()
        page.get_by_text(told).first.wait_for()


def test_buttons(browser: Browser, tmp_path: Path, serve: Serve) -> None:
    """With the token a run is stopped and gone on with by buttons that ask first; a form without what our pages put
    into it, or of another site, does nothing.
    """
    scenario = write_scenario(tmp_path, clients={"default": "0.2"}, stop={"iterations": 20_000})
    results = scenario.parent / "results"
    results.mkdir()
    address = serve(results, "--token", SESAME)
    process = start(scenario)
    try:
        while not any(results.glob("*/*/run.db")):
            assert process.poll() is None
            time.sleep(0.05)
        folder = last_run(scenario)
        with opened(browser, address, 390, charts=False) as (page, _):
            log_in(page)
            stop, resume = (f"form[action='/runs/stubbed/{folder.name}/{word}']" for word in ("stop", "resume"))
            second_thoughts = iter([True])
            page.on("dialog", lambda asked: asked.dismiss() if next(second_thoughts, False) else asked.accept())
            page.locator(f"{stop} button").first.click()
            page.evaluate(GUESSED, stop)
            page.wait_for_url("**/stop")
            foreign = f"<form method=post action='{address}runs/stubbed/{folder.name}/stop'><button>x</button>"
            page.goto(f"data:text/html,{foreign}")
            page.locator("button").click()
            page.wait_for_url("**/stop")
            assert process.poll() is None
            page.goto(address)
            keep_picture(page, "serve-buttons-390")
            page.locator(f"{stop} button").first.click()
            assert process.wait(180) == 130
            for _ in range(60):  # a page is a few seconds old on a busy host
                page.goto(address)
                if page.locator(f"{resume} button").count():
                    break
                page.wait_for_timeout(500)
            page.locator(f"{resume} button").first.click()
            until(lambda: folder.is_locked and bool(holder_of(folder.path)))
            page.goto(address)
            page.locator("summary", has_text=f"repro resume {folder.path}").wait_for()
    finally:
        if pid := holder_of(folder.path):
            os.kill(pid, signal.SIGINT)
        process.kill()
        process.communicate(timeout=180)


def test_what_is_typed_stays(browser: Browser, tmp_path: Path, serve: Serve) -> None:
    """News that was asked for before somebody began to type does not take the form away."""
    address = serve(tmp_path, "--token", SESAME)
    with opened(browser, address, 1440, charts=False) as (page, _):
        log_in(page)
        page.locator("details.start summary").click()
        typed = page.locator("#overview details.start input[name=daemon]")
        page.evaluate("document.activeElement.blur()")

        news = "**/overview.html"

        def answer(route: Route) -> None:
            route.fulfill(body="<p>all is new</p>", headers={"ETag": "news"})

        def answer_late(route: Route) -> None:
            typed.fill("buildkit:v0.25.1")
            page.route(news, answer)
            answer(route)

        with page.expect_response(lambda given: given.headers.get("etag") == "news"):  # none that was on its way
            page.route(news, answer_late)
        page.wait_for_timeout(500)  # in which the page takes it, or does not
        assert typed.input_value() == "buildkit:v0.25.1"
        typed.blur()
        page.get_by_text("all is new").wait_for()


def test_a_run_is_started(browser: Browser, tmp_path: Path, serve: Serve) -> None:
    """Who has the token starts a shipped scenario from the page, and sees there what became of it."""
    address = serve(tmp_path, "--token", SESAME)
    with opened(browser, address, 390, charts=False) as (page, _):
        log_in(page)
        page.on("dialog", lambda asked: asked.accept())
        page.locator("details.start summary").click()
        page.locator("details.start select[name=scenario]").select_option("prune-race")
        page.locator("details.start input[name=daemon]").fill("path:/no/such/folder")
        page.locator("details.start button").click()
        started = page.locator("summary", has_text="repro run prune-race")
        started.filter(has_text="exited with 129").wait_for()
        started.click()
        assert "/no/such/folder" in page.locator("details", has=started).locator("pre").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        keep_picture(page, "serve-started-390")
