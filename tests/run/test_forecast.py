"""A scenario in plain words, and what of it can have no effect."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.actors.table import ACTORS
from harness.analysis.judge import judge
from harness.cli.kinds import VOCABULARY
from harness.core.outcome import Ending, Outcome
from harness.core.records import Iteration
from harness.run.forecast import doubts, in_words
from harness.scenario import Scenario, load
from harness.scenario.load import shipped_scenarios
from harness.scenario.triggers import _KEYS as TRIGGERS
from harness.store.folder import RunFolder

HEAD = """\
name: x
actors:
  - build: ci
    dockerfile: trivial
"""
Read = Callable[..., Scenario]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a scenario from text."""

    def reading(text: str, *settings: str) -> Scenario:
        file = tmp_path / "x.yaml"
        file.write_text(text)
        return load(file, VOCABULARY, settings)

    return reading


@pytest.mark.parametrize("file", shipped_scenarios(), ids=lambda file: str(file.stem))
def test_shipped_scenarios(file: Path, tmp_path: Path) -> None:
    """Each part of a shipped scenario is told, and none of it is in doubt."""
    scenario = load(file, VOCABULARY)
    told = dict(in_words(scenario, tmp_path))
    for actor in scenario.actors:
        assert len(told[actor.name].split()) > 1
    assert {"finds", "ends"} < set(told)
    assert [*doubts(scenario)] == []


def test_what_is_looked_for_at_audits(read: Read, tmp_path: Path) -> None:
    """A hunt for what audits find is in doubt without any; deaths and late failures that are hunted are told."""
    end = "stop: {iterations: 1200, on: [growth, inconsistency, death, late_failure]}\n"
    assert [key for key, _ in doubts(read(HEAD + end))] == ["stop.on", "stop.on"]
    assert [*doubts(read(HEAD + end + "audit: {every: 20}\n"))] == []
    finds = dict(in_words(read(HEAD + end), tmp_path))["finds"]
    assert "a daemon that ends by itself, or does not start again" in finds
    assert "a client that fails although its export has completed" in finds


def test_every_kind_has_words() -> None:
    """Each kind of actor and of trigger says in words of its own what it does, and when."""
    assert all("in_words" in vars(kind) for kind in ACTORS.values())
    assert all("in_words" in vars(kind) and hasattr(kind, "most") for kind in TRIGGERS.values())


def test_words(read: Read, tmp_path: Path) -> None:
    """The figures are in them: lines, chances, times, how many a minute, what ends it."""
    scenario = read(
        HEAD
        + """\
    parallel: 3
    kill: {every: 3, after: 5s}
  - prune: cleanup
    when: {interval: {exponential: 2s}}
  - freeze: now
    when: {phase: exported, of: ci, after: {uniform: [0s, 500ms]}, chance: 0.25, lasting: 6s}
stop: {iterations: 1200, time: 8h}
"""
    )
    told = dict(in_words(scenario, tmp_path))
    assert told["ci"] == (
        "builds trivial, 3 at once, result loaded into the daemon's images; every 3rd is killed after 5s (SIGTERM)"
    )
    assert told["cleanup"] == "prunes the build cache; with pauses of 2s on average: at most 30 a minute"
    assert told["now"] == (
        "freezes the daemon; 0s to 500ms after a build of ci has exported, 25% of the times, each time for 6s"
    )
    assert told["ends"] == "at the first hang or after 1,200 builds or after 8h"


@pytest.mark.parametrize(
    ("stop", "pace"),
    [
        ("{iterations: 1200, time: 8h}", "about 300 builds a minute: 1,200 builds in 4m"),
        ("{iterations: 1200, time: 2m}", "about 300 builds a minute: 600 builds in 2m"),
    ],
)
def test_what_an_earlier_run_says(read: Read, tmp_path: Path, stop: str, pace: str) -> None:
    """How fast an earlier run went says how far this one comes: to whichever end is sooner."""
    folder = RunFolder.create(tmp_path, "x")
    builds = [Iteration(n, "ci", {}, Outcome.OK, n / 5, None, None, n / 5, n / 5, None, 0) for n in range(500)]
    summary = judge(
        builds,
        [],
        scenario="x",
        daemon={},
        seed=1,
        ending=Ending.ITERATIONS,
        detail="",
        seconds=100,
        unattended=0,
    )
    folder.write_json("summary.json", asdict(summary))
    told = dict(in_words(read(f"{HEAD}stop: {stop}\n"), tmp_path))
    assert any(pace in line for line in told.values()), told


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("    kill: {chance: 0.01, after: 1s}\nstop: {iterations: 50}", "actors.ci.kill.chance", "hardly"),
        ("    kill: {chance: 1, after: 10m}\nstop: {time: 5m}", "actors.ci.kill.after", "the run ends after 5m"),
        (
            "  - prune: a\n    when: {phase: exporting, of: ci, chance: 0.001}\nstop: {iterations: 50}",
            "actors.a.when",
            "0.05 times",
        ),
        ("  - prune: a\n    when: {interval: {exponential: 2h}}\nstop: {time: 1h}", "actors.a.when", "0.5 times"),
        (
            "  - prune: a\n    what: images\n    when: {interval: 1s}\ndaemon: {kind: buildkitd}\nstop: {time: 1h}",
            "actors.a.what",
            "keeps no images",
        ),
        (
            "  - prune: a\n    filters: [until=24h]\n    when: {interval: 1s}\nstop: {time: 1h}",
            "actors.a.filters.0",
            "matches nothing",
        ),
        (
            "  - prune: a\n    keep_storage: 2GiB\n    when: {interval: 1s}\n"
            "daemon: {limits: {disk: 1GiB}}\nstop: {time: 1h}",
            "actors.a.keep_storage",
            "removes nothing",
        ),
        ("stop: {time: 30s}", "detect.export_hang", "before 1m pass"),
        ("stop: {iterations: 5}\ndetect: {failed: lost}", "detect.failure", "say `stop.on: [failure]`"),
        ("daemon: {renew: {every: 9}}\nstop: {iterations: 5}", "daemon.renew.every", "renews nothing"),
        ("audit: {every: 10}\nstop: {iterations: 50}", "audit.every", "8 looks at one daemon"),
        ("    no_cache: true\n    cache_from: [{type: registry}]\nstop: {time: 1h}", "actors.ci.cache_from", "imports"),
    ],
)
def test_doubts(read: Read, text: str, key: str, why: str) -> None:
    """What can be run and yet never, or hardly ever, has an effect is named with its key, and nothing else is."""
    [(path, told)] = doubts(read(HEAD + text))
    assert path == key
    assert why in told


def test_a_prune_that_matches_is_no_doubt(read: Read) -> None:
    """A filter of an age that the run comes to, or of no age, is left alone."""
    text = HEAD + "  - prune: a\n    filters: [until=5m, type=regular]\n    when: {interval: 1s}\nstop: {time: 1h}\n"
    assert [*doubts(read(text))] == []
