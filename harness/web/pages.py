"""The pages: that of many runs, and a run whose charts are still empty; its script fills them."""

from functools import cache
from typing import Any, Final

from bokeh import __version__ as bokeh_version
from bokeh.embed import json_item
from bokeh.layouts import column
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report.charts.columns import COLOURS, no_columns
from harness.report.charts.figures import Charts
from harness.report.standing import standing
from harness.store.folder import RunFolder

_APART: Final = ("tails", "audits")
"""Charts that are not over time."""


class Pages:
    """The templates, and the empty charts, which are the same for every run."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader("harness", "web"), PackageLoader("harness", "report")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Bokeh's script reads a reference only once it has read what that leads to
        self._environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
        self._environment.globals |= {
            "colours": {str(outcome): colour for outcome, colour in COLOURS.items()},
            "bokeh_version": bokeh_version,
        }
        self._charts = _empty_charts()

    def index(self, overview: Markup, *, may_act: bool) -> str:
        """Return the page of many runs."""
        return self._environment.get_template("templates/index.html").render(overview=overview, may_act=may_act)

    def run(self, folder: RunFolder, buttons: Markup) -> str:
        """Return the page of a run, with its verdict and without its figures."""
        stands = standing(folder)
        return self._environment.get_template("templates/run.html").render(
            scenario=folder.path.parent.name,
            name=folder.name,
            verdict=stands.verdict,
            because=stands.because,
            buttons=buttons,
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
