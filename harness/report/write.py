"""Writes `report.html` and `report.md`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core.errors import StoreError
from harness.core.files import write_whole
from harness.report.account import account_of
from harness.report.markdown import markdown
from harness.report.overview.page import many_html
from harness.store.folder import RunFolder


def write_report(runs: Sequence[RunFolder], target: Path) -> tuple[Path, Path]:
    """Write both into a folder, about one run or several side by side; return where they are.

    Raises:
        StoreError: a run's records cannot be read, or the files cannot be written.
    """
    from harness.report.html import html  # noqa: PLC0415 — Bokeh takes 0.7 s to load: only a report waits for it

    accounts = [account_of(run) for run in runs]
    page, text = target / "report.html", target / "report.md"
    _write({page: html(accounts, target), text: "\n".join(markdown(account) for account in accounts)}, target)
    return page, text


def write_overview(results: Sequence[Path], target: Path) -> Path:
    """Write a page about all runs below some folders; return where it is.

    Raises:
        StoreError: it cannot be written; a run that cannot be read is in it as such.
    """
    page = target / "report.html"
    _write({page: many_html(results, target)}, target)
    return page


def _write(files: Mapping[Path, str], target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(target, f"cannot be made: {error.strerror}") from error
    for file, content in files.items():
        write_whole(file, content)
