"""A search as text: read, edited, replayed into the same search; what is no log is refused with its line."""

from pathlib import Path

import pytest

from harness.cli.main import _exit_code
from harness.experiments.bisect.log import NoSuchCandidate, NotReplayable, log_of, place_of, replay
from harness.experiments.bisect.state import State, restore
from harness.scenario import Scenario
from tests.experiments.bisect.test_search import Pretended, bad, scenario, searched

__all__ = ["scenario"]
pytestmark = pytest.mark.anyio


async def ended(folder: Path, scenario: Scenario) -> State:
    """Return what a search of eight candidates knows at its end; the fifth brought the hang, the third is broken."""
    _, search = await searched(folder, scenario, Pretended(8, bad(4, 5, 6, 7, rate=0.5), broken=[2]))
    return search.state


async def test_a_log_is_a_search(tmp_path: Path, scenario: Scenario) -> None:
    """What was asked, seen and skipped comes back whole; what this host had built does not."""
    state = await ended(tmp_path, scenario)
    lines = [*log_of(state, {"one": "name: one\n"})]
    found = replay(tmp_path / "log", "\n".join(["", *lines]))
    assert found.scenarios == {"one": "name: one\n"}
    assert found.state == state.model_copy(update={"had": {}, "costs": None, "elapsed": None})
    assert list(found.state.belief.posterior) == list(state.belief.posterior)
    assert lines[0].startswith("# pretended: 8 candidates, c0 to c7; --find introduced")


async def test_a_line_that_is_taken_out(tmp_path: Path, scenario: Scenario) -> None:
    """A look that went wrong is taken out of the text, and nothing of it is believed any more."""
    state = await ended(tmp_path, scenario)
    lines = [*log_of(state, {"one": ""})]
    last = max(number for number, line in enumerate(lines) if line.startswith("look "))
    found = replay(tmp_path / "log", "\n".join(lines[:last] + lines[last + 1 :]))
    assert found.state.observations == state.observations[:-1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("find it", "log:3: 'find' is none of search, scenario, look, skip"),
        ("look {}", "log:3: 'candidate'"),
        ("look []", "log:3: "),
        ("look {", "log:3: "),
        ('skip {"candidate": 99, "because": "x"}', "log:3: there is no candidate 99"),
        ('scenario {"name": "two", "signature": ""}', "log:3: 'two' is none of the scenarios"),
        ("search {}", "log:3: there is one line `search`"),
    ],
)
async def test_what_is_no_log(tmp_path: Path, scenario: Scenario, line: str, why: str) -> None:
    """A line that cannot be is told with its number and what is wrong with it."""
    state = await ended(tmp_path, scenario)
    lines = [*log_of(state, {"one": ""})][:2]
    with pytest.raises(NotReplayable, match=why):
        replay(tmp_path / "log", "\n".join([*lines, line]))
    with pytest.raises(NotReplayable, match=r"there is (one|no) line `search`"):
        replay(tmp_path / "log", line if line.startswith("look") else "# nothing")


async def test_names_of_candidates(tmp_path: Path, scenario: Scenario) -> None:
    """A candidate goes by its name, or by the beginning of it where that is no other's."""
    state = await ended(tmp_path, scenario)
    assert place_of(state, "c3") == 3
    with pytest.raises(NoSuchCandidate, match="it begins the names of c0, c1"):
        place_of(state, "c")
    with pytest.raises(NoSuchCandidate, match="no candidate begins so"):
        place_of(state, "d")


async def test_commands(tmp_path: Path, scenario: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` has the answer, the range and the scenario; `log` is replayed by `replay`; `skip` leaves one out."""
    folder = tmp_path / "bisect" / "20261128T000000Z-0000"
    folder.mkdir(parents=True)
    state = await ended(folder, scenario)
    (folder / "one.yaml").write_text("name: one\n")
    where = ("--results", str(tmp_path))
    assert _exit_code(["bisect", "show", "last", *where]) == 0
    shown = capsys.readouterr().out
    assert "FOUND  c4 brought the hang; chance 9" in shown
    assert "pretended, with one, which hangs as" in shown
    assert _exit_code(["bisect", "log", "last", *where]) == 0
    (tmp_path / "log").write_text(capsys.readouterr().out)
    assert _exit_code(["bisect", "replay", str(tmp_path / "log"), *where]) == 0
    assert "FOUND  c4 brought the hang" in capsys.readouterr().out
    [again] = set((tmp_path / "bisect").iterdir()) - {folder}
    assert restore(again).observations == state.observations
    assert (again / "one.yaml").read_text() == "name: one\n"
    assert _exit_code(["bisect", "skip", "c3", "c4", "--because", "another bug", *where, "--search", str(again)]) == 0
    assert "FOUND  c2 or c3 or c4 or c5" not in capsys.readouterr().out
    assert restore(again).skipped[3] == restore(again).skipped[4] == "another bug"
    assert _exit_code(["bisect", "skip", "c7", *where]) == 129
    assert "c7 is an end of the range" in capsys.readouterr().err
