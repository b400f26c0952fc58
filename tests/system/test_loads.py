"""Faults around a real daemon take effect: of its registry, of the network, of its builder's container."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core.outcome import Outcome
from harness.core.records import Action, Finding, Iteration
from tests.system.conftest import SCENARIOS, Repro, came_through_after, ended_once, folder_from, left_of


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., str]:
    """Write a scenario for a private buildkitd: short builds, and what else is given."""

    def write(*actors: Mapping[str, Any], build: Mapping[str, Any] | None = None, **parts: Any) -> str:
        ci = {"build": "ci", "args": {"N": "{iteration}"}, **(build or {"dockerfile": "trivial"})}
        file = tmp_path / "load.yaml"
        file.write_text(yaml.safe_dump({"name": "load", "actors": [ci, *actors], **parts}))
        return str(file)

    return write


def met(repro: Repro) -> list[Action]:
    """Return the newest run's acts that had an effect; none could not be done."""
    actions = [act for act in repro.folder.read(Action) if act.attempted]
    assert all(act.succeeded for act in actions), actions
    return [act for act in actions if act.effect]


def test_a_daemon_that_cannot(repro: Repro, scenario: Callable[..., str]) -> None:
    """Debian's engine of 2020 exports no cache: that is told before any build, with what to do, as no verdict on it."""
    build = {"dockerfile": "trivial", "cache_to": {"type": "local"}}
    code, output = repro("run", scenario(build=build, stop={"iterations": 4}), "--daemon", "debian:bookworm")
    assert code == 125, output
    assert repro.summary.ending == "unable", output
    assert repro.folder.read(Iteration) == [], output
    assert "dockerd 20.10.24+dfsg1 cannot export a cache (`cache_to` of ci), which takes containerd's image" in output
    assert "next       give --daemon docker:24.0.0 or later (debian:trixie has 26.1.5)" in output
    assert repro.folder.read_json("run.json")["daemon"]["details"]["image_store"] == "graphdriver"
    assert not left_of(repro.folder.name)


FAULTS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "answer": ({"registry": "trouble", "answer": 413}, "413 Request Entity Too Large"),
    "credentials": ({"registry": "trouble", "credentials": "never"}, "authoriz|token"),
}
"""The others are seen on real sockets, in `tests/host/test_relay.py` and `tests/daemons/test_http_relay.py`."""


@pytest.mark.parametrize("kind", FAULTS)
def test_registry_faults(repro: Repro, scenario: Callable[..., str], kind: str) -> None:
    """Builds that push into a fault fail for that reason; others succeed."""
    fault, error = FAULTS[kind]
    trouble = {**fault, "when": {"phase": "exporting", "of": "ci", "chance": 0.5, "lasting": "10s"}}
    build = {"generate": {"stages": 1, "steps": 1, "layer": "64KiB"}, "export": "push", "no_cache": True}
    written = scenario(trouble, build=build, stop={"iterations": 4}, seed=2)
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert met(repro), output
    builds = repro.folder.read(Iteration)
    failed = [build for build in builds if build.outcome is Outcome.FAILED]
    assert failed, output
    assert all(re.search(error, build.error) for build in failed), failed
    assert any(build.outcome is Outcome.OK for build in builds), output
    assert "infra" not in repro.summary.outcomes, output
    assert code in {0, 125}, output
    assert not left_of(repro.folder.name)


def test_failures_of_the_scenarios_own(repro: Repro, scenario: Callable[..., str]) -> None:
    """Builds that fail in a row in what was done to their registry do not end the run, nor take its verdict away."""
    refusing = {"registry": "trouble", "answer": 413, "when": {"at": "0s", "lasting": "20s"}}
    build = {"dockerfile": "trivial", "export": "push", "parallel": 4}
    written = scenario(refusing, build=build, stop={"time": "35s"})
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert met(repro), output
    outcomes = [build.outcome for build in repro.folder.read(Iteration)]
    assert outcomes[:11] == [Outcome.FAILED] * 11, "else this shows nothing"
    assert code == 0, output
    assert "of them in what the scenario did to their registry" in repro.summary.because
    assert not left_of(repro.folder.name)


def test_oom(repro: Repro, scenario: Callable[..., str]) -> None:
    """The kernel kills the daemon for want of memory; it is started again, and builds; that is no death of its own."""
    written = scenario(
        {"oom": "short", "when": {"at": "3s"}},
        daemon={"limits": {"memory": "256MiB"}},
        stop={"time": "90s", "on": ["hang", "stall", "death"]},
    )
    process = repro.start("run", written, "--daemon", folder_from("REPRO_FIXED"))
    output = ended_once(process, lambda: came_through_after(repro, "short"))
    assert repro.folder.read(Finding) == [], output
    [act] = met(repro)
    assert act.detail == "the kernel killed 1 at 256.0 MiB; the daemon ended with -9"
    builds = repro.folder.read(Iteration)
    assert any(build.outcome is Outcome.OK and build.started > act.ended for build in builds), output
    assert not repro.summary.outcomes.get("failed"), output
    assert not left_of(repro.folder.name)


def test_clock(repro: Repro) -> None:
    """The daemon writes its log at the time to which its clock has jumped, and later at the right one; builds go on."""
    ahead, back = "actors.resumed.when={at: 2s, lasting: 2s}", "actors.corrected.when={at: 5s, lasting: 2s}"
    scenario = str(SCENARIOS / "clock-jumps.yaml")
    jumps = ("--time", "90s", "--set", ahead, "--set", back)
    process = repro.start("run", scenario, "--daemon", folder_from("REPRO_FIXED"), *jumps)
    output = ended_once(process, lambda: came_through_after(repro, "resumed", "corrected"))
    assert repro.folder.read(Finding) == [], output
    assert [(act.actor, act.effect) for act in met(repro)] == [("resumed", 1), ("corrected", 1)]
    log = (repro.folder.path / "daemon" / "daemon.log").read_text()
    days = [datetime.fromisoformat(time).date() for time in re.findall(r'^time="([^"]+)"', log, re.MULTILINE)]
    assert max(days) - days[0] == timedelta(days=3)
    assert days[-1] - days[0] < timedelta(days=2)
    assert not left_of(repro.folder.name)


def test_slow_collector(repro: Repro, scenario: Callable[..., str]) -> None:
    """A client whose daemon hands its traces to a collector that is slow waits for that after its export."""
    slow = {"collector": "slow", "delay": "1s", "when": {"phase": "solving", "of": "ci", "lasting": "4s"}}
    written = scenario(slow, stop={"iterations": 1})
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert code == 0, output
    assert met(repro), output
    [build] = repro.folder.read(Iteration)
    assert build.exited is not None
    assert build.exported is not None
    assert build.exited - build.exported > 1, "a healthy one takes some milliseconds"
    assert not left_of(repro.folder.name)


@pytest.mark.parametrize(("fault", "outcome"), [({"reset": "0B"}, "cut_off"), ({"cut": "half_open"}, "stall")])
def test_network_faults(repro: Repro, scenario: Callable[..., str], fault: Mapping[str, Any], outcome: str) -> None:
    """A build whose connection is reset is cut off; one whose connection is half-open waits in vain, and is found."""
    broken = {"network": "broken", **fault, "when": {"phase": "solving", "of": "ci", "lasting": "100ms"}}
    quick = {"detect": {"stall": "8s", "export_hang": "8s"}, "on_hang": {"capture": "dumps", "probe": False}}
    stop = {"iterations": 2, "on": ["hang", "stall"]}
    written = scenario(broken, stop=stop, daemon={"driver": "remote"}, **quick)
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert met(repro), output
    builds = repro.folder.read(Iteration)
    assert Outcome(outcome) in {build.outcome for build in builds}, output
    assert "infra" not in repro.summary.outcomes, output
    assert (code == 1) == (outcome == "stall"), output
    assert not left_of(repro.folder.name)


def test_client_hosts(repro: Repro, scenario: Callable[..., str]) -> None:
    """Of two client hosts one has its connections reset: its builds alone are cut off, those of the other are not."""
    other = {"build": "other", "dockerfile": "trivial", "host": "second", "args": {"N": "{iteration}"}}
    broken = {"network": "broken", "host": "first", "reset": "0B"}
    when = {"phase": "solving", "of": "ci", "chance": 0.5, "lasting": "100ms"}
    build = {"dockerfile": "trivial", "host": "first"}
    written = scenario(other, {**broken, "when": when}, build=build, stop={"iterations": 16}, seed=1)
    code, output = repro("run", written, "--daemon", folder_from("REPRO_FIXED"))
    assert code == 0, output
    assert met(repro), output
    outcomes = {(build.actor, build.outcome) for build in repro.folder.read(Iteration)}
    assert outcomes == {("ci", Outcome.OK), ("ci", Outcome.CUT_OFF), ("other", Outcome.OK)}
    assert not left_of(repro.folder.name)
