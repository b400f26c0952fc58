"""A daemon that cannot do what its scenario asks is told, with what to do, and is not counted against anybody."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.actors.base import Actor
from harness.cli.kinds import VOCABULARY
from harness.core.manifest import DaemonFacts
from harness.core.outcome import Ending, Verdict
from harness.run.fitness import DaemonCannot, require_able
from harness.scenario import load
from tests.support.stub_runs import run, write_scenario

BUILDS: dict[str, tuple[dict[str, Any], str]] = {
    "cache_to": ({"cache_to": {"type": "local"}}, "export a cache (`cache_to` of ci)"),
    "gha": ({"cache_from": [{"type": "gha"}]}, "keep a cache of type gha (`cache_from` of ci)"),
    "export": ({"export": ["load", "local"]}, "export to several places at once (`export` of ci)"),
    "oci": ({"export": "oci"}, "export an archive of type oci (`export` of ci)"),
    "platforms": ({"platforms": ["linux/amd64", "linux/arm64"]}, "several platforms at once (`platforms` of ci)"),
    "heredoc": (
        {"dockerfile": None, "dockerfile_inline": "FROM scratch\nRUN <<E\ntrue\nE\n"},
        "read a heredoc (<<) (`dockerfile_inline` of ci)",
    ),
}


def test_what_takes_the_same_is_told_together(tmp_path: Path) -> None:
    """Of several things that take the same, and of one that several keys ask for, all is said once."""
    asked = {"cache_to": {"type": "gha"}, "cache_from": [{"type": "gha"}], "export": "oci"}
    with pytest.raises(DaemonCannot) as told:
        require_able(facts("28.5.2"), actors_of(tmp_path, asked))
    assert str(told.value).splitlines()[0] == (
        "dockerd 28.5.2 cannot export a cache (`cache_to` of ci) or keep a cache of type gha (`cache_to` of ci, "
        "`cache_from` of ci) or export an archive of type oci (`export` of ci), which takes containerd's image store "
        "(Engine 24.0.0 or later) where dockerd builds by itself"
    )


NONE: dict[str, dict[str, Any]] = {
    "inline": {"export": "push", "cache_to": {"type": "inline"}},
    "local import": {"cache_from": [{"type": "local"}]},
    "one platform": {"platforms": ["linux/amd64"]},
    "tar": {"export": "tar"},
}


def actors_of(folder: Path, build: dict[str, Any]) -> list[Actor]:
    """Return the actors of a scenario of one build."""
    file = write_scenario(folder, build=build)
    scenario = yaml.safe_load(file.read_text())
    [written] = scenario["actors"]
    scenario["actors"] = [{key: value for key, value in written.items() if value is not None}]
    file.write_text(yaml.safe_dump(scenario))
    return [actor for actor in load(file, VOCABULARY, []).actors if isinstance(actor, Actor)]


def facts(
    version: str = "20.10.24+dfsg1", kind: str = "dockerd", *, private: bool = True, **details: str
) -> DaemonFacts:
    """Return a daemon's facts; without any, those of one of 2020."""
    return DaemonFacts(
        kind, version, "path:/x", "unix:///x", private, details=details or {"image_store": "graphdriver"}
    )


@pytest.mark.parametrize(("build", "said"), BUILDS.values(), ids=[*BUILDS])
def test_each_thing_is_named_with_its_place(tmp_path: Path, build: dict[str, Any], said: str) -> None:
    """The daemon, what it cannot, the actor and the key stand in one line, and what to do in the next."""
    actors = actors_of(tmp_path, build)
    with pytest.raises(DaemonCannot) as told:
        require_able(facts(), actors)
    why, advice = str(told.value).splitlines()
    assert why.startswith("dockerd 20.10.24+dfsg1 cannot ")
    assert said in why
    assert "--daemon docker:" in advice
    require_able(facts("v0.25.1", "buildkitd"), actors)
    require_able(facts("28.5.2", image_store="containerd"), actors)


@pytest.mark.parametrize("build", NONE.values(), ids=[*NONE])
def test_what_every_builder_can(tmp_path: Path, build: dict[str, Any]) -> None:
    """What the oldest engine can is not refused it."""
    require_able(facts(), actors_of(tmp_path, build))


ADVICE: dict[str, tuple[DaemonFacts, str]] = {
    "an old engine": (facts(), "give --daemon docker:24.0.0 or later (debian:trixie has 26.1.5), or a BuildKit"),
    "a setting": (facts("28.5.2"), "say --set daemon.image_store=containerd"),
    "the user's own": (facts("28.5.2", private=False), "turn on containerd's image store"),
}


@pytest.mark.parametrize(("daemon", "said"), ADVICE.values(), ids=[*ADVICE])
def test_what_to_do(tmp_path: Path, daemon: DaemonFacts, said: str) -> None:
    """Who has the setting is told of it; who has an older engine, of a later one."""
    with pytest.raises(DaemonCannot) as told:
        require_able(daemon, actors_of(tmp_path, {"cache_to": {"type": "local"}}))
    assert str(told.value).splitlines()[1].startswith(said)


@pytest.mark.usefixtures("cache")
class TestRun:
    """The real engine, with the stub's clients."""

    def test_a_refusal_that_nobody_foresaw(self, tmp_path: Path) -> None:
        """Clients whose builds are refused end the run after three: 125, the daemon named, and something to do."""
        code, output, folder = run(write_scenario(tmp_path, clients={"default": "unable"}))
        summary = folder.summary()
        assert summary is not None
        assert (code, summary.ending, summary.verdict) == (125, Ending.UNABLE, Verdict.INCONCLUSIVE), output
        assert summary.iterations == 3
        assert "this daemon cannot be tested so: what ci asks of stub" in output
        assert "Cache export is not supported for the docker driver" in output
        assert "the harness or the host broke" not in output
        assert "next       give --daemon docker:24.0.0 or later" in output
        assert "repro resume" not in output

    def test_an_actor_that_builds(self, tmp_path: Path) -> None:
        """What an actor's other builds can do is no matter of its daemon: its refusals are counted as before."""
        clients = {"1": "ok", "default": "unable"}
        _, output, folder = run(write_scenario(tmp_path, clients=clients, stop={"iterations": 5}))
        summary = folder.summary()
        assert summary is not None
        assert summary.ending is not Ending.UNABLE, output
