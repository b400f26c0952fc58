"""The table that benchmarks write: ratios of rounds, and rows that replace those of the same benchmark alone."""

from tests.benchmarks.__main__ import replaced
from tests.benchmarks.ratio import Ratio

MARKED = "# What\n\n<!-- ratios: written by python -m tests.benchmarks -->\n<!-- ratios end -->\n\nMore.\n"


def test_a_ratio_is_of_rounds() -> None:
    """Each round is held against its own other, so that a host that changes between rounds is in neither."""
    ratio = Ratio.of("a thing, seconds", "another", [(1.0, 2.0), (10.0, 10.0), (30.0, 100.0)])
    assert ratio.cells() == ("a thing, seconds", "another", "10.00", "10.00", "0.5 (0.3 to 1)", "3")


def test_rows_replace_those_of_their_benchmark() -> None:
    """What is around the table stays, and so do rows of benchmarks that were not run; the order is that of all."""
    text = replaced(MARKED, "recording", ["| recording | old |", "| recording | old too |"])
    text = replaced(replaced(text, "start", ["| start | x |"]), "recording", ["| recording | new |"])
    assert text.startswith("# What\n\n<!-- ratios: ")
    assert text.endswith("<!-- ratios end -->\n\nMore.\n")
    assert [line for line in text.splitlines() if line.startswith(("| start", "| rec"))] == [
        "| start | x |",
        "| recording | new |",
    ]
