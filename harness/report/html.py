"""A run, or several side by side, as one HTML file that needs nothing else: no network, no server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bokeh.embed import components
from bokeh.model import Model
from bokeh.resources import Resources
from markupsafe import Markup

from harness.core.errors import StoreError
from harness.report.account import Account
from harness.report.charts.columns import COLOURS, columns_of, no_columns, shades
from harness.report.charts.figures import Charts, survival_figure
from harness.report.found import environment, finding_html, style
from harness.report.hazard_figure import hazard_figure
from harness.report.markdown import SHARDS, shard_rows, survival_lines
from harness.report.words import growing_line, leak_line

_OVER_TIME: Final = ("outcomes", "acts", "tail", "goroutines", "memory", "cpu", "running", "held", "cache")


def html(accounts: Sequence[Account], beside: Path) -> str:
    """Return the page; files of a run are linked where the page is to lie `beside` them."""
    scripts = Resources(mode="inline", components=["bokeh"]).js_raw
    return (
        environment()
        .get_template("templates/report.html")
        .render(
            css=style(),
            runs=[_run(account, beside) for account in accounts],
            facts=list(dict.fromkeys(name for account in accounts for name in account.facts)),
            scripts=[Markup(script) for script in scripts],  # noqa: S704 — Bokeh's own
            colours={str(outcome): colour for outcome, colour in COLOURS.items()},
            over_time=_OVER_TIME,
            shard_heads=SHARDS,
        )
    )


def _run(account: Account, beside: Path) -> dict[str, Any]:
    """Return what the template asks of a run."""
    try:
        columns = columns_of(account.folder, tails=account.tails)
    except StoreError:  # `damaged` says so
        columns = no_columns()
    figures: dict[str, Model] = dict(Charts(columns).figures)
    if account.survival:
        figures["survival"] = survival_figure(account.survival, "trials")
    for name, source in (
        ("tails", "count"),
        ("audits", "lasting"),
        ("acts", "actor"),
        ("held", "records"),
        ("cache", "records"),
    ):
        if not columns[name][source]:
            del figures[name]
    script, divs = components(figures)
    base = "" if beside.resolve() == account.folder.path.resolve() else None
    above = account.summary.diagnosis.sentence if account.summary and account.summary.diagnosis else ""
    leak = account.summary.leak if account.summary else None
    return {
        "account": account,
        "script": Markup(script),  # noqa: S704 — Bokeh's own, which escapes what it takes in
        "charts": {name: Markup(div) for name, div in divs.items()},  # noqa: S704 — the same
        "shades": shades(columns["acts"]),
        "findings": [finding_html(found, base, above=above, goes_on=False) for found in account.findings],
        "leak": leak_line(leak) if leak else "",
        "growths": {each.what: growing_line(each) for each in account.summary.growths} if account.summary else {},
        "survival": survival_lines(account),
        "hazard": hazard_figure(account.hazards, account.clean),
        "shards": shard_rows(account),
    }
