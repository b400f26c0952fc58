"""A run, or several side by side, as one HTML file that needs nothing else: no network, no server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bokeh.embed import components
from bokeh.model import Model
from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.core.errors import StoreError
from harness.core.outcome import Outcome
from harness.core.units import format_size
from harness.report.account import Account
from harness.report.charts.columns import COLOURS, columns_of, no_columns, shades
from harness.report.charts.figures import Charts, survival_figure
from harness.report.markdown import SHARDS, shard_rows, survival_lines
from harness.report.words import leak_line, shown_seconds

_COLOURS: Final = {"HANG": COLOURS[Outcome.HANG], "CLEAN": COLOURS[Outcome.OK]}
_OVER_TIME: Final = ("outcomes", "tail", "goroutines", "memory", "cpu", "running", "held", "cache")


def html(accounts: Sequence[Account], beside: Path) -> str:
    """Return the page; files of a run are linked where the page is to lie `beside` them."""
    environment = Environment(
        loader=PackageLoader("harness", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": format_size, "seconds": shown_seconds}
    scripts = Resources(mode="inline", components=["bokeh"]).js_raw
    return environment.get_template("templates/report.html").render(
        runs=[_run(account) for account in accounts],
        facts=list(dict.fromkeys(name for account in accounts for name in account.facts)),
        scripts=[Markup(script) for script in scripts],  # noqa: S704 — Bokeh's own
        colours={str(outcome): colour for outcome, colour in COLOURS.items()},
        over_time=_OVER_TIME,
        shard_heads=SHARDS,
        beside=beside.resolve(),
    )


def _run(account: Account) -> dict[str, Any]:
    """Return what the template asks of a run."""
    try:
        columns = columns_of(account.folder, tails=account.tails)
    except StoreError:  # `damaged` says so
        columns = no_columns()
    figures: dict[str, Model] = dict(Charts(columns).figures)
    if account.survival:
        figures["survival"] = survival_figure(account.survival, "trials")
    for name, source in (("tails", "count"), ("audits", "lasting"), ("held", "records"), ("cache", "records")):
        if not columns[name][source]:
            del figures[name]
    script, divs = components(figures)
    leak = account.summary.leak if account.summary else None
    return {
        "account": account,
        "script": Markup(script),  # noqa: S704 — Bokeh's own, which escapes what it takes in
        "charts": {name: Markup(div) for name, div in divs.items()},  # noqa: S704 — the same
        "shades": shades(columns["acts"]),
        "colour": _COLOURS.get(account.verdict, "#8a6d00"),
        "leak": leak_line(leak) if leak else "",
        "survival": survival_lines(account),
        "shards": shard_rows(account),
    }
