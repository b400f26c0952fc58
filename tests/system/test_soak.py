"""What a night or two need, in small: killed and resumed, on several real daemons, and on a daemon that hangs."""

import os
from pathlib import Path

from harness.core.outcome import Ending, Outcome
from harness.core.records import Begun, Birth, Iteration
from tests.support.eventually import until
from tests.system.conftest import SCENARIOS, Repro, folder_from, left_of

RACE = str(SCENARIOS / "prune-race.yaml")


def recorded(repro: Repro) -> int:
    """Return how many iterations the newest run has recorded; 0 before it has a database."""
    try:
        return len(repro.folder.read(Iteration))
    except Exception:
        return 0


def test_two_dockerds_killed_and_resumed(repro: Repro) -> None:
    """Two dockerds side by side, the harness SIGKILLed twice: each of the iterations is there once, both daemons have
    their cores to themselves, and nothing is left on the host.
    """
    options = ("--daemon", "debian:forky", "--iterations", "36", "--shards", "2")
    process = repro.start("run", RACE, *options, "--set", "actors.ci.parallel=2", "--set", "actors.ci.kill.chance=0.1")
    for count in (8, 20):
        until(lambda count=count: recorded(repro) >= count)  # type: ignore[misc]
        pinned = {birth.pid: {*birth.cores} for birth in repro.folder.read(Birth)[-2:]}
        for pid, cores in pinned.items():
            assert pid is not None
            assert os.sched_getaffinity(pid) == cores
        process.kill()
        process.communicate(timeout=180)
        assert repro.folder.read(Begun)
        process = repro.start("resume", str(repro.folder.path))
    output, _ = process.communicate(timeout=500)
    summary = repro.summary
    assert process.returncode == 0, output
    assert (summary.ending, summary.iterations) == (Ending.ITERATIONS, 36)
    iterations = repro.folder.read(Iteration)
    assert sorted(iteration.number for iteration in iterations) == [*range(1, 37)]
    assert 2 <= summary.outcomes["cut_off"] <= 8
    assert len(repro.folder.read(Birth)) == 6
    assert not left_of(repro.folder.name)


def test_rate_of_an_affected_buildkitd(repro: Repro) -> None:
    """On a release that hangs, a run that goes on after its hangs finds one on each of three daemons."""
    affected = folder_from("REPRO_AFFECTED")
    keys = ("on_hang.then=renew", "on_hang.probe=false", "stop.hangs=3", "detect.orphan=5m")  # each by its own client
    renewed = [word for key in keys for word in ("--set", key)]
    code, output = repro("run", RACE, "--daemon", affected, *renewed)
    assert code == 1, output
    assert repro.summary.rate.hangs == 3
    hung = {each.generation for each in repro.folder.each(Iteration) if each.outcome is Outcome.HANG}
    assert hung == {1, 2, 3}
    captured = [*Path(repro.folder.path).glob("findings/*/captured.json")]
    assert len(captured) == 3
    assert not left_of(repro.folder.name)
