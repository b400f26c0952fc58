"""Which moment is deadly, as a figure for any page of HTML, and as text: step by delay, with n in each cell."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from markupsafe import Markup

from harness.analysis.hazard import HazardMap
from harness.core.records import Rate
from harness.core.units import format_duration
from harness.report.found import environment

_SHADES: Final = 10
_MAPS: Final = 6
"""Actors that are shown."""


def hazard_figure(maps: Sequence[HazardMap], clean: Callable[[str], str]) -> Markup:
    """Return the maps as tables that are coloured by the chance of a hang; nothing where nothing acted.

    Args:
        maps: the worst first.
        clean: what the names of steps go through before they leave.
    """
    shown = [each for each in maps[:_MAPS] if each.rows]
    if not shown:
        return Markup("")
    page = environment().get_template("templates/hazard.html")
    return Markup(  # noqa: S704 — escaped there
        page.render(
            maps=shown,
            captions=[clean(caption(each)) for each in shown],
            clean=clean,
            columns=columns,
            shade=_shade,
            cell_caption=_cell_caption,
        )
    )


def caption(found: HazardMap) -> str:
    """Return what one map comes to, in two sentences at most."""
    named = found.kind if found.actor == found.kind else f"{found.kind} of {found.actor}"
    said = f"{named}: a hang after {found.hangs:,} of {found.acts:,} acts"
    if worst := found.deadliest:
        point, since, until, cell = worst
        share = f"{cell.hangs} of {cell.trials} ({_percent(cell)})"
        said += f"; deadliest {_between(since, until)} after {point!r}: {share}"
    return said + (f"; {found.left_out:,} more acts at other places." if found.left_out else ".")


def hazard_rows(found: HazardMap) -> tuple[list[str], list[list[str]]]:
    """Return one map as a table of text: its heads, and its rows."""
    heads = ["", *columns(found)]
    rows = [[row.point, *(f"{c.hangs}/{c.trials}" if c else "" for c in row.cells)] for row in found.rows]
    return heads, rows


def columns(found: HazardMap) -> list[str]:
    """Return what stands above each column."""
    return [_between(since, until) for since, until in pairwise(found.edges)]


def _between(since: float, until: float) -> str:
    start = format_duration(round(since, 2))
    return f"from {start}" if math.isinf(until) else f"{start}–{format_duration(round(until, 2))}"


def _shade(cell: Rate) -> int:
    """Return how dark a cell is: any hang shows."""
    return math.ceil(_SHADES * cell.hangs / cell.trials)


def _percent(cell: Rate) -> str:
    return f"95 %: {100 * cell.low95:.0f} % to {100 * cell.high95:.0f} %"


def _cell_caption(cell: Rate) -> str:
    return f"a hang after {cell.hangs} of {cell.trials} acts; {_percent(cell)}"
