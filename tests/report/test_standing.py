"""What of a run has changed: what is news at once, and what may wait."""

from itertools import pairwise
from pathlib import Path

from harness.report.standing import traces
from tests.web.runs import recorded


def test_news(tmp_path: Path) -> None:
    """Of a run that goes on a finding and its end are news at once, another iteration is not; then everything is."""
    folder = recorded(tmp_path)
    with folder.locked():
        seen = [traces(folder)]
        (folder.path / "run.db-wal").write_bytes(b"\0" * 512)
        seen.append(traces(folder))
        (folder.path / "findings" / "9").mkdir(parents=True)
        (folder.path / "findings" / "9" / "captured.json").write_text("{}")
        seen.append(traces(folder))
    seen.append(traces(folder))
    (folder.path / "report.html").write_text("<p>")
    seen.append(traces(folder))
    steps = list(pairwise(seen))
    assert all(before != after for before, after in steps)
    assert [before.turn != after.turn for before, after in steps] == [False, True, True, True]
