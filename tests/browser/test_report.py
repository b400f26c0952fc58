"""The report in a browser: its numbers are the database's, nothing complains, and it fits a phone and a desk."""

from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from harness.analysis.rates import quantile
from harness.core.outcome import Outcome
from harness.core.records import Action, Iteration
from harness.report.words import shown_seconds
from harness.report.write import write_overview, write_report
from harness.store.folder import RunFolder
from tests.benchmarks.million import write_million
from tests.browser.chromium import WIDTHS, browser, keep_picture, needs_chromium, opened
from tests.web.runs import ended

__all__ = ["browser"]  # a fixture
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of two thousand builds with prunes, pressures, audits and a hang, with its report."""
    run = write_million(tmp_path_factory.mktemp("results"), 2000)
    write_report([run], run.path)
    return run


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_tells_the_database(browser: Browser, folder: RunFolder, width: int) -> None:
    """Outcomes, tails and charts are those of the records; the console is silent; nothing overflows."""
    iterations = folder.read(Iteration)
    counts = Counter(str(each.outcome) for each in iterations)
    tails = [each.tail for each in iterations if each.outcome is Outcome.OK and each.tail is not None]
    with opened(browser, (folder.path / "report.html").as_uri(), width, dark=width == WIDTHS[0]) as (page, complaints):
        rows = page.locator("table.outcomes tr").all_inner_texts()
        told = {name.strip(): int(count) for name, count, *_ in (row.split("\t") for row in rows[1:])}
        assert told == {**counts, "all": len(iterations)}
        p50, p99, longest = (shown_seconds(quantile(tails, share)) for share in (0.5, 0.99, 1.0))
        said = page.locator("p.tails").inner_text()
        assert said == f"{len(tails)} builds: p50 {p50}, p99 {p99}, longest {longest}."
        drawn = page.evaluate(
            """() => {
                const source = Bokeh.documents[0].get_model_by_name("outcomes");
                const sum = name => Array.from(source.data[name]).reduce((a, b) => a + b, 0);
                return Object.fromEntries(["ok", "timed_out", "failed", "hang", "stall"].map(n => [n, sum(n)]));
            }"""
        )
        assert drawn == {name: counts[name] for name in ("ok", "timed_out", "failed", "hang", "stall")}
        acts = [text.split("/") for text in page.locator(".hazard td").all_inner_texts() if text.strip()]
        assert sum(int(trials) for _, trials in acts) == len(folder.read(Action))
        step = page.locator(".hazard th span").first
        step.evaluate("e => e.textContent = 'RUN go build ./a/long/path/of/packages && strip '.repeat(20)")
        assert step.evaluate("e => e.scrollHeight > e.clientHeight")
        step.focus()  # as a tap does
        assert step.evaluate("e => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth")
        assert page.locator("h1").first.inner_text().startswith("HANG")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for chart in page.locator("[data-chart]").all():
            box = chart.bounding_box()
            assert box
            assert box["height"] > 100, chart.get_attribute("data-chart")
        keep_picture(page, f"report-{width}")
    assert complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_many_runs_are_shown_a_page_at_a_time(browser: Browser, tmp_path: Path, width: int) -> None:
    """Of more runs than fit, the newest are shown, and the rest on demand; a filter looks at all of them."""
    for number in range(25):
        ended(tmp_path, "rare" if number == 0 else "usual")
    page_file = write_overview([tmp_path], tmp_path)
    page_of = 8 if width == WIDTHS[0] else 20
    with opened(browser, page_file.as_uri(), width, dark=width == WIDTHS[0], charts=False) as (page, complaints):
        rows = page.locator("tr[data-run]:visible")
        assert rows.count() == page_of
        page.locator("button.more").click()
        assert rows.count() == 25
        assert page.locator("button.more").count() == 0
        page.locator("#filters input").fill("rare")
        assert rows.count() == 1
        page.locator("#filters input").fill("usual")
        assert rows.count() == page_of
        assert page.locator("#filters output").inner_text() == "24 runs"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        keep_picture(page, f"many-{width}")
    assert complaints == []
