"""A run's machine lines are told to an observer here as if it ran here; what is no line of ours is nothing."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from harness.cli.display.lines import JsonLines
from harness.cli.kinds import VOCABULARY
from harness.core.manifest import DaemonFacts
from harness.core.outcome import Outcome
from harness.core.records import Action, Iteration
from harness.experiments.fleet.replay import replay
from harness.run.observer import NullObserver
from harness.scenario import load
from harness.store.folder import RunFolder
from harness.store.resume_point import NOTHING_YET
from tests.support.stub_runs import write_scenario


class Heard(NullObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def iterated(self, iteration: Iteration) -> None:
        """Keep it."""
        self.heard.append(iteration)

    def acted(self, action: Action) -> None:
        """Keep it."""
        self.heard.append(action)

    def started(self, *facts: object) -> None:
        """Keep the daemon's."""
        self.heard.append(facts[2])


def test_what_is_written_is_heard(tmp_path: Path) -> None:
    """The records that `repro run --json` writes come out as they went in."""
    scenario, folder = load(write_scenario(tmp_path), VOCABULARY), RunFolder(tmp_path)
    facts = DaemonFacts("buildkitd", "v1", "path:/x", "unix:///x", private=True, log=Path("/x/log"))
    build = Iteration(3, "ci", {"N": "1"}, Outcome.OK, 1.0, 1.1, 1.2, 1.3, 1.4, None, 0)
    prune = Action("gc", "prune", 1, 0.5, 0.6, 0.7, 0.8, succeeded=True, detail="")
    out = io.StringIO()
    with redirect_stdout(out):
        lines = JsonLines("")
        lines.started(scenario, folder, facts, 7, NOTHING_YET)
        lines.iterated(build)
        lines.acted(prune)
    heard = Heard()
    for line in out.getvalue().splitlines():
        replay(json.loads(line), heard, scenario, folder, "there")
    assert heard.heard == [facts, build, prune]


@pytest.mark.parametrize("line", [{}, {"event": "iteration"}, {"event": "doing"}, {"event": "started", "daemon": 3}])
def test_other_lines_are_nothing(tmp_path: Path, line: dict[str, object]) -> None:
    """What it does not know, or cannot read, ends nothing."""
    heard = Heard()
    replay(line, heard, load(write_scenario(tmp_path), VOCABULARY), RunFolder(tmp_path), "there")
    assert heard.heard == []
