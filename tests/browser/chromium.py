"""The browser that pages are looked at in: Debian's Chromium, without a window."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM: Final = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH; Debian has it: apt install chromium")
WIDTHS: Final = (390, 1440)
"""A phone's, and a desk's."""


@contextmanager
def opened(address: str, width: int) -> Iterator[tuple[Page, list[str]]]:
    """Open an address; yield the page once its charts stand, and what its console has complained of."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
            page.goto(address)
            page.wait_for_function(
                "window.Bokeh && Bokeh.documents.length > 0 && Bokeh.documents.every(each => each.is_idle)"
            )
            page.wait_for_timeout(1000)
            yield page, complaints
        finally:
            browser.close()


def keep_picture(page: Page, name: str) -> None:
    """Keep a picture of the whole page where `REPRO_PICTURES` says, for someone to look at."""
    folder = os.environ.get("REPRO_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
