"""The map of which moment is deadly, as a page has it: each cell with its n, coloured where something hung."""

import re

from harness.analysis.hazard import ActSlot, hazard_maps
from harness.report.hazard_figure import caption, hazard_figure, hazard_rows

SLOTS = [
    ActSlot("loop", "prune", "RUN <b>secret</b>", 0, 10, 0),
    ActSlot("loop", "prune", "RUN <b>secret</b>", 20, 10, 9),
    ActSlot("loop", "prune", "exporting", 0, 10, 1),
]


def clean(text: str) -> str:
    """Take out what must not leave."""
    return text.replace("secret", "…")


def test_a_figure() -> None:
    """Cells say how many of how many, are the darker the more hung, and names are no markup and tell no secret."""
    page = hazard_figure(hazard_maps(SLOTS), clean)
    cells = re.findall(r'<td(?: class="h(\d+)" title="[^"]*")?>(?:(\d+)<small>/(\d+)</small>)?</td>', page)
    assert cells == [("0", "0", "10"), ("", "", ""), ("9", "9", "10"), ("1", "1", "10"), ("", "", ""), ("", "", "")]
    assert "RUN &lt;b&gt;…&lt;/b&gt;" in page
    assert "secret" not in page
    assert hazard_figure([], clean) == ""


def test_in_words() -> None:
    """The sentence names the worst cell with its interval, the table has the same cells as the figure."""
    [found] = hazard_maps(SLOTS)
    assert caption(found).startswith("prune of loop: a hang after 10 of 30 acts; deadliest 1s–1.5s after 'RUN")
    assert caption(found).endswith(": 9 of 10 (95 %: 55 % to 100 %).")
    heads, rows = hazard_rows(found)
    assert heads == ["", "0s–500ms", "500ms–1s", "1s–1.5s"]
    assert rows == [["RUN <b>secret</b>", "0/10", "", "9/10"], ["exporting", "1/10", "", ""]]
