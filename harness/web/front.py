"""The page of many runs, made again when something has changed in any of them."""

import hashlib
from threading import Lock
from typing import Final

from markupsafe import Markup

from harness.report.overview.digest import Digest, FindingLine
from harness.report.overview.page import Link, example_html, overview_html
from harness.report.standing import traces
from harness.store.folder import RunFolder
from harness.web.acts import Buttons, RunControls
from harness.web.cached_answer import CachedAnswer, CacheSource
from harness.web.runs import Runs, address_of_run

_LINK: Final[Link] = address_of_run


class Front:
    """What stands in the page, for who may act or for who may not."""

    def __init__(self, runs: Runs, buttons: Buttons | None) -> None:
        self._runs, self._buttons = runs, buttons
        self._kept: CachedAnswer[tuple[Markup, str]] = CachedAnswer()
        self._examples: dict[str, tuple[object, Markup]] = {}
        self._lock = Lock()

    async def overview_page(self, actor: RunControls) -> tuple[Markup, str]:
        """Return it, with its tag."""
        return await self._kept.get(CacheSource(traces=lambda: self._traces(actor), make=self._make))

    def _traces(self, actor: RunControls) -> tuple[object, object]:
        started = [(each.code, each.last_output) for each in actor.started] if self._buttons else []
        runs, searches = self._runs.traces()
        turns = [run and run.turn for run in runs], [code for code, _ in started]
        return (runs, searches, started), turns

    def _make(self) -> tuple[Markup, str]:
        found = overview_html(
            self._runs.digests(),
            self._runs.searches(),
            places=self._runs.results,
            link=_LINK,
            example=self._example,
            acts=self._buttons,
        )
        return found, f'"{hashlib.sha256(found.encode()).hexdigest()[:24]}"'

    def _example(self, run: Digest, found: FindingLine) -> Markup:
        """Return a finding; its dumps of tens of megabytes are read once."""
        seen = traces(RunFolder(run.folder.path / found.finding.place)) if run.state == "goes on" else run.state
        key, known = (run.folder.path, found.finding.place, seen), self._examples.get(found.signature)
        if known is None or known[0] != key:
            known = key, example_html(run, found, _LINK)
            self._examples[found.signature] = known
        return known[1]
