"""The pages: the list of runs, and a run whose charts are still empty; its script fills them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from bokeh import __version__ as bokeh_version
from bokeh.embed import json_item
from bokeh.layouts import column
from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.core.outcome import Outcome
from harness.report.charts.columns import COLOURS, no_columns
from harness.report.charts.figures import Charts
from harness.store.folder import RunFolder
from harness.web.runs import ListedRun, standing

_APART: Final = ("tails", "audits")
"""Charts that are not over time."""
_BADGES: Final = {"HANG": COLOURS[Outcome.HANG], "CLEAN": COLOURS[Outcome.OK]}
_OTHER: Final = "#8a6d00"


class Pages:
    """The templates, and the empty charts, which are the same for every run."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("harness", "web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Bokeh's script reads a reference only once it has read what that leads to
        self._environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
        self._environment.globals |= {
            "badges": {**_BADGES, "": _OTHER},
            "colours": {str(outcome): colour for outcome, colour in COLOURS.items()},
            "bokeh_version": bokeh_version,
        }
        self._charts = _empty_charts()

    def index(self, results: Sequence[Path], listed: Sequence[ListedRun]) -> str:
        """Return the list of runs."""
        template = self._environment.get_template("templates/index.html")
        return template.render(results=" and ".join(map(str, results)), runs=listed)

    def run(self, folder: RunFolder) -> str:
        """Return the page of a run, with its verdict and without its figures."""
        stands = standing(folder)
        return self._environment.get_template("templates/run.html").render(
            scenario=folder.path.parent.name,
            name=folder.name,
            verdict=stands.verdict,
            because=stands.because,
            report=(folder.path / "report.html").exists(),
            charts=self._charts,
        )


@cache
def _empty_charts() -> list[Any]:
    """Return what Bokeh's script draws: those over time in one document, so that who moves one moves all."""
    figures: dict[str, Any] = dict(Charts(no_columns()).figures)
    for plot in figures.values():
        plot.visible = False  # until there is something in it
    apart = {name: figures.pop(name) for name in _APART}
    over_time = column([*figures.values()], sizing_mode="stretch_width")
    return [json_item(model, name) for name, model in {"over-time": over_time, **apart}.items()]  # type: ignore[arg-type]
