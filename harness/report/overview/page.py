"""The page of many runs as HTML: the same as a report that works offline, and as the front page of `repro serve`."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from markupsafe import Markup

from harness.analysis.hazard import hazard_maps, together
from harness.core.units import format_duration
from harness.report.account import evidence_of
from harness.report.found import TEMPLATES, environment, finding_html, style
from harness.report.hazard_figure import hazard_figure
from harness.report.overview.digest import Digest, FindingLine, digest_of
from harness.report.overview.groups import FindingGroup, groups_of
from harness.report.redact import redact
from harness.report.standing import redactor_for, standing
from harness.store.find import runs_below
from harness.store.folder import RunFolder
from harness.store.hazards import hazards
from harness.store.salvage import Salvage
from harness.store.searches import ListedSearch, search_folders, search_of

_SHOWN_DAYS: Final = 90
_SHORT: Final = 60
_BAR, _HIGH = 7, 36
"""Pixels of a day's bar."""

Link = Callable[[RunFolder], str]
"""Returns the address of a run, with a slash at its end."""


class PageControls(Protocol):
    """What can be done from the page."""

    def start(self) -> Markup:
        """Return what starts a run."""

    def of(self, run: Digest) -> Markup:
        """Return what can be done with a run."""


def overview_html(
    digests: Sequence[Digest],
    searches: Sequence[ListedSearch],
    *,
    places: Sequence[Path],
    link: Link | None,
    example: Callable[[Digest, FindingLine], Markup],
    acts: PageControls | None = None,
) -> Markup:
    """Return what stands in the page.

    Args:
        digests: the runs, newest first.
        searches: newest first.
        places: the folders that they are in.
        link: where a run's own page is; None where there is none.
        example: returns a finding as HTML.
        acts: None where nothing can be done.
    """
    made = environment()
    made.filters["duration"] = lambda seconds: format_duration(
        round(seconds, 1) if seconds < _SHORT else round(seconds)
    )
    in_searches = {look.run for search in searches for look in search.looks}
    rendered: dict[str, Markup] = {}
    by_name = {run.name: run for run in digests}

    def example_of(group: FindingGroup) -> Markup:
        if group.signature not in rendered:
            rendered[group.signature] = example(*group.example)
        return rendered[group.signature]

    return Markup(  # noqa: S704 — escaped there
        made.get_template("templates/overview.html").render(
            runs=digests,
            single=[run for run in digests if run.name not in in_searches],
            in_searches=[run for run in digests if run.name in in_searches],
            running=[run for run in digests if run.state == "goes on"],
            by_name=by_name,
            counts=Counter(run.word for run in digests),
            groups=groups_of(digests),
            searches=searches,
            hazard=lambda search: _hazard(search, by_name) if search.kind == "explore" else Markup(""),
            several=len(places) > 1,
            places=" and ".join(map(str, places)),
            link=link,
            example=example_of,
            trend=_trend,
            acts=acts,
        )
    )


def example_html(run: Digest, found: FindingLine, link: Link | None) -> Markup:
    """Return a finding of a run with its evidence; its diagnosis is told above."""
    folder, salvage = run.folder, Salvage()
    redactor = redactor_for(folder)
    manifest = standing(folder).manifest
    evidence = evidence_of(folder, found.finding, redactor, salvage, manifest.subject if manifest else {})
    known = run.diagnoses.get(found.signature)
    base = link(folder) if link else None
    return finding_html(evidence, base, above=known.sentence if known else "", goes_on=run.state == "goes on")


def _hazard(search: ListedSearch, by_name: Mapping[str, Digest]) -> Markup:
    """Return which moments were deadly, over all runs of a search."""
    runs = (by_name[look.run] for look in search.looks if look.run in by_name)
    return _hazard_of(tuple(run.folder.path for run in runs if run.state != "damaged"))


@lru_cache(maxsize=32)
def _hazard_of(runs: Sequence[Path]) -> Markup:
    """Return the map of runs that are over: what they recorded changes no more."""
    salvage = Salvage()
    slots = [salvage(partial(hazards, RunFolder(run)), []) for run in runs if (run / "run.db").is_file()]
    return hazard_figure(hazard_maps(together(slots)), redact)


def _trend(days: Sequence[tuple[date, int]]) -> Markup:
    """Return findings a day as bars; nothing of a single day."""
    shown = days[-_SHOWN_DAYS:]
    if len(days) < 2:
        return Markup("")
    most = max(count for _, count in shown)
    bars = Markup("").join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>').format(
            place * _BAR, _HIGH - round(_HIGH * count / most), _BAR - 1, round(_HIGH * count / most), day, count
        )
        for place, (day, count) in enumerate(shown)
        if count
    )
    return Markup(
        '<figure class="trend"><svg viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="findings a '
        'day">{2}</svg><figcaption>findings a day, {3} to {4} (UTC), at most {5}</figcaption></figure>'
    ).format(len(shown) * _BAR, _HIGH, bars, shown[0][0], shown[-1][0], most)


def many_html(results: Sequence[Path], beside: Path) -> str:
    """Return the page of all runs below some folders, read now; it needs nothing else.

    Args:
        results: the folders.
        beside: where the page is to lie: runs below that are linked.
    """

    def link(run: RunFolder) -> str:
        return quote(os.path.relpath(run.path, beside)) + "/"

    def example(run: Digest, found: FindingLine) -> Markup:
        return example_html(run, found, link)

    found = (digest_of(run) for each in results for run in runs_below(each))
    overview = overview_html(
        sorted(found, key=lambda run: run.name, reverse=True),
        [search_of(path) for each in results for path in reversed(search_folders(each))],
        places=results,
        link=link,
        example=example,
    )
    script = Markup((TEMPLATES / "filters.js").read_text())  # noqa: S704 — our own
    page = environment().get_template("templates/many.html")
    places = " and ".join(map(str, results))
    return page.render(places=places, overview=overview, css=style(), script=script, now=datetime.now(UTC))
