"""A look: what a short run says of a toolchain."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from harness.cli.kinds import VOCABULARY
from harness.core.outcome import Ending, Verdict
from harness.core.records import ActorTotals
from harness.experiments.short_run import ShortRun, look, seen_in
from harness.scenario import load
from harness.store.folder import RunFolder
from tests.support.stub_runs import write_scenario


def looked(
    folder: Path,
    clients: Mapping[str, str],
    iterations: int = 6,
    build: Mapping[str, Any] | None = None,
    **scenario_keys: Any,
) -> ShortRun:
    """Look at the stub daemon, whose clients behave as told."""
    scenario = load(write_scenario(folder, clients=clients, build=build, **scenario_keys), VOCABULARY, [])

    async def once() -> ShortRun:
        return await look(scenario, "auto", results=folder / "results", iterations=iterations, seed=7)

    return anyio.run(once)


def test_a_hang_ends_a_look(tmp_path: Path) -> None:
    """The first hang ends it, with the builds that had begun, and the run's folder is named."""
    seen = looked(tmp_path, {"5": "hang"})
    assert (seen.said, seen.builds, seen.ending) == ("hang", 5, Ending.FINDINGS)
    assert Path(seen.folder, "summary.json").is_file()


def test_what_was_in_flight_at_a_hang_counts_as_builds(tmp_path: Path) -> None:
    """Builds beside the one that hung count, for each might have been the next to hang."""
    seen = looked(tmp_path, {"1": "1", "4": "hang", "default": "30"}, build={"parallel": 3})  # the others run by then
    assert (seen.said, seen.builds) == ("hang", 4)


def test_what_goes_on_after_a_hang_counts_nowhere(tmp_path: Path) -> None:
    """Builds that begin between a hang and its being noticed say nothing of how many it took."""
    seen = looked(tmp_path, {"5": "hang"}, build={"parallel": 3}, iterations=400)
    assert (seen.said, seen.ending) == ("hang", Ending.FINDINGS)
    assert 5 <= seen.builds <= 12 < seen.iterations


def test_a_clean_look_counts_its_builds(tmp_path: Path) -> None:
    """Builds that came to their end are counted, those that failed are not; the look's own number of builds ends it."""
    seen = looked(tmp_path, {"2": "fail"})
    assert (seen.said, seen.builds, seen.iterations, seen.signature) == ("clean", 5, 6, "")


def test_a_look_that_says_nothing(tmp_path: Path) -> None:
    """A daemon on which no build comes to its end is neither clean nor hung, and the look says why."""
    seen = looked(tmp_path, {"default": "fail"})
    assert seen.said == "nothing"
    assert "no build" in seen.because


def test_failures_that_are_looked_for_count_as_builds(tmp_path: Path) -> None:
    """Each build that fails as the scenario looks for might have been the first: all that had begun by then count."""
    stop, detect = {"iterations": 6, "on": ["hang", "failure"]}, {"failure": ["exit code"]}
    seen = looked(tmp_path, {"default": "fail"}, build={"parallel": 3}, stop=stop, detect=detect)
    assert (seen.said, seen.kind) == ("hang", "failure")
    assert seen.builds >= 3


def test_builds_beside_an_act_that_changed_nothing_count_for_nothing(tmp_path: Path) -> None:
    """A prune that never removed anything put nothing to the daemon: its builds are no sign that it is a good one."""
    folder = RunFolder(Path(looked(tmp_path, {}).folder))
    summary = folder.summary()
    assert summary
    prune = ActorTotals("prune", acts=5, done=5, effective=0, effect=0, reason="")
    idle = replace(summary, verdict=Verdict.INCONCLUSIVE, actors={"loop": prune})
    assert (seen_in(summary, folder).builds, seen_in(idle, folder).builds) == (6, 0)
    assert seen_in(replace(idle, actors={"loop": replace(prune, effective=1)}), folder).builds == 6
