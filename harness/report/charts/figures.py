"""The figures of a run's charts; each reads from sources that are named as their columns are."""

from collections.abc import Mapping
from typing import Any, Final

from bokeh.model import Model
from bokeh.models import (
    AdaptiveTicker,
    BasicTicker,
    ColumnDataSource,
    DataRange1d,
    FactorRange,
    HoverTool,
    LogTicker,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.models.annotations import Title
from bokeh.plotting import figure

from harness.analysis.survival import Survival
from harness.core.outcome import Outcome
from harness.report.charts.columns import COLOURS, Columns, shades, titles

_HEIGHT: Final = 180
_LINE, _PALE, _OWN = "#33658a", "#86bbd8", "#999999"
_INK, _FAINT = "#7a7a7a", "rgba(128, 128, 128, 0.22)"
"""To be read on a light page and on a dark one."""
_LANE: Final = 20
"""Pixels."""
_AROUND_LANES: Final = 66
_CLOCK: Final = "00:00:00"
_PLAIN: Final = "0,0.[00]"
_COUNTED: Final = frozenset(
    {"builds", "goroutines", "builds in flight", "builds held, idle", "cache records", "lasting goroutines"}
)
"""Labels of axes that count, and so have whole numbers only."""
_TICKS: Final = 5
"""About how many have room for their labels on a phone."""


class Charts:
    """The figures of one run, all of one document.

    ``figures`` has them by name, in the order in which they are to stand. Those over time share one range, ``time``:
    who moves one moves all. Sources carry the names of their columns.
    """

    def __init__(self, columns: Mapping[str, Columns]) -> None:
        self.sources = {name: ColumnDataSource(dict(data), name=name) for name, data in columns.items()}
        self.titles = titles(columns)
        self.lanes = FactorRange(factors=[*shades(columns["acts"])], name="lanes")
        self.time = Range1d(start=0, end=columns["time"]["end"][0], name="time")
        self.figures: dict[str, Model] = {
            "outcomes": self._outcomes(),
            "acts": self._acts(),
            "tail": self._tail(),
            "goroutines": self._goroutines(),
            "memory": self._memory(),
            "cpu": self._cpu(),
            "running": self._running(),
            "held": self._records("held", "builds held, idle"),
            "cache": self._records("cache", "cache records"),
            "tails": self._tails(),
            "audits": self._audits(),
        }

    def _outcomes(self) -> figure:
        plot = self._over_time("outcomes", "builds", y_range=DataRange1d(start=0))
        came = [str(outcome) for outcome in Outcome]
        bars = plot.vbar_stack(
            came,
            x="middle",
            width="width",
            color=[COLOURS[outcome] for outcome in Outcome],
            source=self.sources["outcomes"],
        )
        rows = [("from", f"@since{{{_CLOCK}}}"), *((outcome, f"@{outcome}") for outcome in came)]
        plot.add_tools(HoverTool(renderers=[bars[0]], tooltips=rows, mode="vline"))
        return plot

    def _tail(self) -> figure:
        plot = self._over_time("tail", "tail, ms", y_axis_type="log")
        source = self.sources["tail"]
        for name, colour in (("longest", _PALE), ("p99", _LINE), ("p50", COLOURS[Outcome.OK])):
            plot.line("at", name, source=source, color=colour, line_width=1.5, legend_label=name)
            dots = plot.scatter("at", name, source=source, color=colour, size=3)
        rows = [(name, f"@{name}{{0,0.0}} ms") for name in ("p50", "p99", "longest")]
        plot.add_tools(HoverTool(renderers=[dots], tooltips=[("until", f"@at{{{_CLOCK}}}"), *rows], mode="vline"))
        plot.yaxis.ticker = LogTicker(desired_num_ticks=_TICKS)
        _quiet_legend(plot)
        return plot

    def _acts(self) -> figure:
        """Draw what other actors did, a thin lane each."""
        height = _AROUND_LANES + _LANE * len(self.lanes.factors)
        plot = self._over_time("acts", "", y_range=self.lanes, height=height)
        bars = plot.hbar(
            y="actor",
            left="since",
            right="until",
            height=0.6,
            source=self.sources["acts"],
            color="colour",
            alpha="alpha",
            line_color="colour",
        )
        rows = [("actor", "@actor"), ("from", f"@since{{{_CLOCK}}}"), ("acts", "@count{0,0}")]
        plot.add_tools(HoverTool(renderers=[bars], tooltips=rows))
        plot.ygrid.grid_line_color = None
        return plot

    def _goroutines(self) -> figure:
        return self._apart(self._band("goroutines", "goroutines", "0,0"), "goroutines")

    def _memory(self) -> figure:
        plot = self._band("memory", "memory, MiB", "0,0.0")
        plot.line("at", "rss", source=self.sources["own"], color=_OWN, line_dash="dotted", legend_label="harness")
        return self._apart(plot, "memory")

    def _cpu(self) -> figure:
        plot = self._over_time("cpu", "CPU, cores", y_range=DataRange1d(start=0))
        source = self.sources["cpu"]
        plot.varea("at", 0, "most", source=source, color=_PALE, alpha=0.35)
        plot.line("at", "mean", source=source, color=_LINE, line_width=1.5, legend_label="daemon")
        plot.line("at", "cpu", source=self.sources["own"], color=_OWN, line_dash="dotted", legend_label="harness")
        dots = plot.scatter("at", "mean", source=source, color=_LINE, size=3)
        rows = [("until", f"@at{{{_CLOCK}}}"), ("mean", "@mean{0.00}"), ("most", "@most{0.00}")]
        plot.add_tools(HoverTool(renderers=[dots], tooltips=rows, mode="vline"))
        return self._apart(plot, "cpu")

    def _running(self) -> figure:
        return self._band("running", "builds in flight", "0", y_range=DataRange1d(start=0))

    def _records(self, name: str, label: str) -> figure:
        """Draw what the daemon said when no build of ours was in it."""
        plot, source = self._over_time(name, label, y_range=DataRange1d(start=0)), self.sources[name]
        plot.step("at", "records", mode="after", source=source, color=_LINE, line_width=1.5)
        dots = plot.scatter("at", "records", source=source, color=_LINE, size=3)
        rows = [("at", f"@at{{{_CLOCK}}}"), ("records", "@records{0,0}")]
        plot.add_tools(HoverTool(renderers=[dots], tooltips=rows, mode="vline"))
        return plot

    def _tails(self) -> figure:
        plot = _plot("tails", "builds", self.titles["tails"], x_axis_type="log", y_range=DataRange1d(start=0))
        bars = plot.quad(
            left="since",
            right="until",
            bottom=0,
            top="count",
            source=self.sources["tails"],
            color=_PALE,
            line_color="white",
        )
        rows = [("tail", "@since{0,0.0} to @until{0,0.0} ms"), ("builds", "@count{0,0}")]
        plot.add_tools(HoverTool(renderers=[bars], tooltips=rows))
        plot.xaxis.axis_label = "from the export's completion to the client's exit, ms"
        plot.xaxis.formatter = NumeralTickFormatter(format=_PLAIN)
        return plot

    def _audits(self) -> figure:
        plot = _plot("audits", "lasting goroutines", self.titles["audits"])
        dots = plot.scatter("iteration", "lasting", source=self.sources["audits"], color=_LINE, size=5)
        rows = [("iteration", "@iteration{0,0}"), ("lasting", "@lasting{0,0}"), ("process", "@series")]
        plot.add_tools(HoverTool(renderers=[dots], tooltips=rows))
        plot.xaxis.axis_label = "iteration"
        plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
        plot.xaxis.ticker = _whole()
        return plot

    def _band(self, name: str, label: str, form: str, **options: Any) -> figure:
        """Draw what was least and most in each bin; they are one line where a bin has one sample."""
        plot, source = self._over_time(name, label, **options), self.sources[name]
        plot.varea("at", "least", "most", source=source, color=_PALE, alpha=0.6)
        plot.line("at", "most", source=source, color=_LINE, line_width=1.5)
        dots = plot.scatter("at", "most", source=source, color=_LINE, size=3)
        rows = [("until", f"@at{{{_CLOCK}}}"), ("least", f"@least{{{form}}}"), ("most", f"@most{{{form}}}")]
        plot.add_tools(HoverTool(renderers=[dots], tooltips=rows, mode="vline"))
        return plot

    def _apart(self, plot: figure, name: str) -> figure:
        """Add a line for each of the daemons side by side, where there are several."""
        plot.multi_line(
            f"{name}_at",
            name,
            source=self.sources["shards"],
            line_color="colour",
            line_width=1.2,
            legend_field="shard",
        )
        _quiet_legend(plot)
        return plot

    def _over_time(self, name: str, label: str, **options: Any) -> figure:
        """Return a plot on the common axis, with where the findings were upon it."""
        plot = _plot(name, label, self.titles[name], x_range=self.time, **options)
        plot.vspan(x="at", source=self.sources["findings"], color="colour", line_width=2, level="annotation")
        plot.xaxis.formatter = NumeralTickFormatter(format=_CLOCK)
        plot.xaxis.ticker = AdaptiveTicker(base=60, mantissas=[1, 2, 5, 10, 15, 30], desired_num_ticks=_TICKS)
        return plot


def survival_figure(curve: Survival, label: str) -> figure:
    """Return the share of daemons that have not hung, with its interval."""
    source = ColumnDataSource(
        {
            "time": curve.times,
            "share": curve.survival,
            "low": curve.low95,
            "high": curve.high95,
            "at_risk": curve.at_risk,
        }
    )
    plot = _plot(
        "survival",
        "share without a hang",
        f"Share of daemons that have not hung, by {label}",
        y_range=Range1d(start=0, end=1.03),
    )
    plot.varea_step(x="time", y1="low", y2="high", step_mode="after", source=source, color=_PALE, alpha=0.35)
    plot.step(x="time", y="share", mode="after", source=source, color=_LINE, line_width=1.5)
    dots = plot.scatter("time", "share", source=source, color=_LINE, size=4)
    rows = [(label, "@time{0,0.[0]}"), ("share", "@share{0.000}"), ("95 %", "@low{0.000} to @high{0.000}")]
    plot.add_tools(HoverTool(renderers=[dots], tooltips=[*rows, ("still looked at", "@at_risk")], mode="vline"))
    plot.xaxis.axis_label = label
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.xaxis.ticker = _whole()
    return plot


def _whole() -> BasicTicker:
    """Return what marks whole numbers only."""
    return BasicTicker(min_interval=1, num_minor_ticks=0, desired_num_ticks=_TICKS)


def _plot(name: str, label: str, title: str, **options: Any) -> figure:
    """Return an empty plot; dragging moves nothing until a tool is chosen, for on a phone it is to scroll the page."""
    counts = label in _COUNTED
    plot = figure(
        name=f"chart-{name}",  # a source has the bare name
        height=options.pop("height", _HEIGHT),
        title=Title(text=title, name=f"title-{name}", text_color=_INK, text_font_size="12px"),
        sizing_mode="stretch_width",
        tools="xpan,xbox_zoom,xwheel_zoom,reset",
        active_drag=None,
        active_scroll=None,
        toolbar_location="right",
        y_axis_label=label,
        min_border_left=64,
        **options,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = plot.border_fill_color = plot.background_fill_color = None
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = _INK
    plot.grid.grid_line_color = _FAINT
    if "y_range" not in options or not isinstance(options["y_range"], FactorRange):
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0" if counts else _PLAIN)
    if counts:
        plot.yaxis.ticker = _whole()
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_color = plot.axis.major_label_text_color = _INK
    return plot


def _quiet_legend(plot: figure) -> None:
    plot.legend.location = "top_left"
    plot.legend.orientation = "horizontal"
    plot.legend.label_text_font_size = "10px"
    plot.legend.label_text_color = _INK
    plot.legend.border_line_color = plot.legend.background_fill_color = None
