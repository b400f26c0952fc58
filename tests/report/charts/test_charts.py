"""The charts' columns and figures fit together, and show what was recorded."""

import json
from pathlib import Path

import pytest
from bokeh.embed import components
from bokeh.models import BasicTicker, ColumnDataSource
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from harness.core.outcome import Outcome, Phase
from harness.core.records import Action, Audit, Birth, Finding, Iteration, Sample
from harness.report.charts.columns import columns_of, shades, titles
from harness.report.charts.figures import Charts
from harness.store.folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of ten builds, a prune, samples of a daemon that tells nothing and then something, and one hang."""
    run = RunFolder.create(tmp_path, "s")
    with run.database() as database:
        for number in range(1, 11):
            at = 10.0 * number
            database.add(Iteration(number, "ci", {}, Outcome.OK, at - 9, at - 8, at - 2, at - 1, at, None, 0))
        database.add(Action("loop", "prune", 1, 20.0, 20.0, 20.1, 25.0, True, ""))
        database.add(Finding(11, Outcome.HANG, 150.0, "ci", {}, Phase.EXPORTED, 5.0, 3, (), hunted=True))
        database.add(Sample(100.0, None, None, None, 1, 0.0, 0.0, 0.1, 2**20))
        database.add(Sample(160.0, 1.5, 2**21, 70, 1, 0.0, 0.0, 0.1, 2**20))
        database.add(Audit(5, 1, 55.0, 1.0, True, 60, None, (), 9, 9, 0))
        database.add(Audit(10, 1, 105.0, 1.0, True, 60, 40, (), 9, 9, 0, cache=7))
    return run


def test_columns_show_what_was_recorded(folder: RunFolder) -> None:
    """Counts, tails, marks and shades are the database's, in the units of the axes; what was not measured is absent."""
    found = columns_of(folder, bins=8)
    assert found["time"] == {"end": [160.0], "bin": [20.0]}
    assert sum(found["outcomes"]["ok"]) == 10
    assert sum(found["outcomes"]["hang"]) == 0
    assert {*found["tail"]["p50"]} == {1000.0}
    assert (found["goroutines"]["at"], found["goroutines"]["most"]) == ([160.0], [70])
    assert found["memory"]["most"] == [2.0]
    assert (found["findings"]["at"], found["findings"]["iteration"]) == ([145.0], (11,)), "where it was, not when told"
    assert (found["acts"]["since"], found["acts"]["until"]) == ((20.0,), (25.0,))
    assert shades(found["acts"]).keys() == {"loop"}
    assert found["audits"]["lasting"] == [40]
    assert (found["held"], found["cache"]) == (
        {"at": [55.0, 105.0], "records": [0, 0]},
        {"at": [105.0], "records": [7]},
    )
    assert found["shards"]["shard"] == []


def test_daemons_side_by_side_are_drawn_apart(folder: RunFolder) -> None:
    """Each shard has its own line over all daemons that took its place; the bands are over both."""
    with folder.database() as database:
        for generation, shard in ((1, 1), (2, 2), (3, 1)):
            database.add(Birth(generation, shard, 0.0, None, ()))
            at = 161.0 + generation
            database.add(Sample(at, 0.5, shard * 2**20, generation, 1, 0.0, 0.0, 0.1, 2**20, generation=generation))
    found = columns_of(folder, bins=1000)
    assert found["shards"]["shard"] == ["shard 1", "shard 2"]
    assert found["shards"]["goroutines"] == [[70, 1, 3], [2]]
    assert found["shards"]["memory"] == [[2.0, 1.0, 1.0], [2.0]]
    assert found["shards"]["cpu_at"] == [[160.0, 162.0, 164.0], [163.0]]
    assert found["goroutines"]["most"] == [70, 1, 2, 3]


@pytest.mark.parametrize("recorded", [True, False])
def test_every_source_has_its_columns(folder: RunFolder, tmp_path: Path, recorded: bool) -> None:
    """A source is named as its columns are, plain ones of one length, and every glyph finds its column there."""
    if not recorded:
        folder = RunFolder.create(tmp_path, "empty")
        with folder.database():
            pass
    columns = columns_of(folder)
    assert json.loads(json.dumps(columns, allow_nan=False)).keys() == columns.keys()
    charts = Charts(columns)
    for name, data in columns.items():
        assert len({len(column) for column in data.values()}) == 1, name
        assert charts.sources[name].name == name
    for plot in charts.figures.values():
        assert isinstance(plot, figure)
        for renderer in plot.renderers:
            assert isinstance(renderer, GlyphRenderer)
            assert isinstance(renderer.data_source, ColumnDataSource)
            specs = renderer.glyph.properties_with_values().values()
            fields = {spec for spec in (getattr(each, "field", None) for each in specs) if spec}
            assert fields <= renderer.data_source.data.keys()


def test_time_is_one_axis(folder: RunFolder) -> None:
    """All figures over time share one range, from the start to the last record; others have their own."""
    charts = Charts(columns_of(folder))
    assert (charts.time.start, charts.time.end) == (0, 160.0)
    shared = [name for name, plot in charts.figures.items() if isinstance(plot, figure) and plot.x_range is charts.time]
    assert shared == ["outcomes", "acts", "tail", "goroutines", "memory", "cpu", "running", "held", "cache"]


def test_titles_say_what_and_how_wide(folder: RunFolder) -> None:
    """Every chart has a title; those that sum say the width of a bin, and axes that count mark whole numbers only."""
    columns = columns_of(folder, bins=8)
    charts = Charts(columns)
    assert titles(columns).keys() == charts.figures.keys()
    assert titles(columns)["outcomes"] == "Builds that ended each 20s, by outcome"
    for name in ("outcomes", "goroutines", "running", "audits"):
        plot = charts.figures[name]
        assert isinstance(plot, figure)
        assert isinstance(plot.yaxis.ticker, BasicTicker)
        assert plot.yaxis.ticker.min_interval == 1


def test_two_runs_stand_in_one_page(folder: RunFolder) -> None:
    """Charts of several runs share no model, so that one page can hold them all."""
    for _ in range(2):
        script, _ = components(Charts(columns_of(folder)).figures)
    assert "<script" in script
