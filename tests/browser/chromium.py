"""The browser that pages are looked at in: Debian's Chromium, without a window."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH; Debian has it: apt install chromium")
WIDTHS: Final = (390, 1440)
"""A phone's, and a desk's."""
_PATIENCE: Final = 120_000
"""Milliseconds that a page may take on a busy host; what fails for good fails so much later."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of a module's tests: to start one takes longer than to look."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened(
    browser: Browser, address: str, width: int, *, dark: bool = False, charts: bool = True
) -> Iterator[tuple[Page, list[str]]]:
    """Open an address; yield the page, once its charts stand, if it has some, and what its console complained of."""
    complaints: list[str] = []
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", timezone_id="Asia/Tokyo"
    )
    context.set_default_timeout(_PATIENCE)
    try:
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.goto(address)
        if charts:
            page.wait_for_function(
                "window.Bokeh && Bokeh.documents.length > 0 && Bokeh.documents.every(each => each.is_idle)"
            )
            page.wait_for_timeout(500)
        yield page, complaints
    finally:
        context.close()


def keep_picture(page: Page, name: str) -> None:
    """Keep a picture of the whole page where `REPRO_PICTURES` says, for someone to look at."""
    folder = os.environ.get("REPRO_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
