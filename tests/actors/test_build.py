"""The build actor's own options; what its clients do is tested with the engine."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.actors.build import Build
from harness.daemons.base import BuildRequest, Cache
from harness.scenario import DaemonSpec, Limits, Setting
from harness.scenario.load import PROJECT

SETTING = Setting(None, frozenset({"ci"}), (PROJECT / "dockerfiles",), (Limits(),))
STAGED, REGISTRY = Path("/staged"), "127.0.0.1:5000"


def build(**options: object) -> Build:
    """Return a build actor of the services' Dockerfile."""
    return Build.model_validate({"name": "ci", "dockerfile": "services", **options})


def request(actor: Build, iteration: int = 1, line: int = 0) -> BuildRequest:
    """Return what an actor asks for in a run of seed 7."""
    return actor.request(iteration, line, folder=STAGED, seed=7, registry=REGISTRY)


@pytest.mark.parametrize(
    ("written", "text"),
    [(True, "true"), (False, "false"), (3, "3"), (0, "0"), (-1, "-1"), (1.5, "1.5"), ("on", "on"), ("", "")],
)
def test_args_are_text(written: object, text: str) -> None:
    """A bare number or truth is what it looks like in YAML, and what is text stays as it is."""
    actor = build(args={"N": written})
    assert actor.args == {"N": text}
    assert type(actor.args["N"]) is str
    assert Build.model_validate(actor.model_dump(mode="json")) == actor


@pytest.mark.parametrize("written", [None, [1], {"a": 1}], ids=["nothing", "list", "mapping"])
def test_args_that_are_no_text(written: object) -> None:
    """What cannot be the value of one argument is refused, at that argument."""
    with pytest.raises(ValidationError) as caught:
        build(args={"N": written})
    assert [error["loc"] for error in caught.value.errors()] == [("args", "N")]


@pytest.mark.parametrize(
    ("written", "least", "most"), [(True, 400, 400), (False, 0, 0), (0.5, 160, 240), (0.1, 20, 60)]
)
def test_how_likely_no_cache_is(written: float, *, least: int, most: int) -> None:
    """Always, never, or for a share of the iterations, and for one iteration the same every time."""
    actor = build(no_cache=written)
    chosen = [request(actor, iteration).no_cache for iteration in range(400)]
    assert least <= sum(chosen) <= most
    assert chosen == [request(actor, iteration, line=3).no_cache for iteration in range(400)]


@pytest.mark.parametrize("written", [-0.1, 1.1, "often"])
def test_no_share(written: object) -> None:
    """What is no truth and no share is refused."""
    with pytest.raises(ValidationError):
        build(no_cache=written)


def test_pushed_image() -> None:
    """A pushed image is named in the run's registry, one for each line, or as the scenario says."""
    assert request(build(), line=2).tag == "repro-ci-2:latest"
    assert request(build(export="push"), line=2).tag == "127.0.0.1:5000/ci-2:latest"
    assert request(build(export="push", tag="app:v1")).tag == "127.0.0.1:5000/app:v1"


def test_where_caches_are() -> None:
    """A cache is the actor's own or has a name that counts; folders are each line's own, a registry is shared."""
    actor = build(
        export="push",
        cache_to={"type": "registry", "mode": "max", "ignore_error": True},
        cache_from=[{"type": "registry", "name": "pr-{iteration % 3}"}, {"type": "local"}, {"type": "inline"}],
    )
    asked = request(actor, iteration=5, line=2)
    assert asked.cache_to == Cache("registry", "127.0.0.1:5000/cache/ci", "max", ignore_error=True)
    assert asked.cache_to.exported() == "type=registry,ref=127.0.0.1:5000/cache/ci,mode=max,ignore-error=true"
    assert asked.cache_from == (
        Cache("registry", "127.0.0.1:5000/cache/pr-2"),
        Cache("local", "/staged/ci-2.cache"),
        Cache("inline", "127.0.0.1:5000/ci-2:latest"),
    )


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, False),
        ({"export": "push"}, True),
        ({"cache_to": {"type": "registry"}}, True),
        ({"cache_from": [{"type": "local"}, {"type": "registry"}]}, True),
        ({"cache_to": {"type": "local"}, "cache_from": [{"type": "local"}]}, False),
        ({"cache_to": {"type": "inline"}}, False),
    ],
)
def test_who_needs_a_registry(options: dict[str, Any], *, needed: bool) -> None:
    """The run has a registry where something is pushed to one, or had from one."""
    assert build(**options).needs_registry is needed


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"dockerfile": None}, ("dockerfile",), "is missing"),
        ({"generate": {}}, ("generate",), "leave out either"),
        ({"dockerfile": "nosuch"}, ("dockerfile",), "there is no Dockerfile"),
        ({"targets": ["app", "wep"]}, ("targets", 1), "no stage is named 'wep'; stages: worker, app, web"),
        ({"cache_from": [{"type": "inline"}]}, ("cache_from",), "say `export: push`"),
        ({"via": "api", "export": "local"}, ("export",), "`image` or `load`"),
        ({"via": "api", "env": {"TZ": "UTC"}}, ("env",), "leave out `env`, or `via: api`"),
        ({"via": "api", "targets": ["web"]}, ("targets",), "leave out `targets`, or `via: api`"),
    ],
)
def test_what_cannot_work(options: dict[str, Any], path: tuple[str | int, ...], message: str) -> None:
    """What is well-formed and cannot work is told at its place, with what to do."""
    [fault] = build(**options).faults(SETTING)
    assert fault.path == path
    assert message in fault.message


@pytest.mark.parametrize(
    "options",
    [
        {"targets": ["worker", "web"]},
        {"dockerfile": None, "generate": {"stages": 2}, "targets": ["s1", "result"]},
        {"export": "push", "cache_from": [{"type": "inline"}]},
        {"via": "api", "no_cache": 0.5, "kill": {"every": 3, "after": "1s"}},
    ],
)
def test_what_works(options: dict[str, Any]) -> None:
    """Stages of either kind of Dockerfile can be targets, and what was pushed can be read back."""
    assert [*build(**options).faults(SETTING)] == []


@pytest.mark.anyio
async def test_prepared_for_bake(tmp_path: Path) -> None:
    """The context lies in the staging folder, and beside it what bake reads: each target by name."""
    actor = build(targets=["app", "web"], base="alpine").placed(SETTING)
    await actor.prepare(tmp_path)
    asked = actor.request(1, folder=tmp_path, seed=7, registry="")
    assert asked.definition
    services = json.loads(asked.definition.read_text())["services"]
    context = str(tmp_path / "ci")
    assert services == {
        name: {"build": {"context": context, "target": name, "network": "none"}} for name in ("app", "web")
    }
    assert (asked.context / "Dockerfile").read_text().startswith("# The services")
    assert "FROM alpine AS base\nFROM base AS worker" in (asked.context / "Dockerfile").read_text()


@pytest.mark.anyio
async def test_prepared_from_numbers(tmp_path: Path) -> None:
    """A generated context needs no file of the scenario's, and says what it takes of the disk."""
    generate = {"stages": 2, "steps": 3, "layer": "2KiB", "step": "copy"}
    actor = build(dockerfile=None, generate=generate).placed(SETTING)
    await actor.prepare(tmp_path)
    assert (tmp_path / "ci" / "s1-2").stat().st_size == 2048
    assert [burden.disk for burden in actor.burdens(DaemonSpec())] == [2 * 3 * 2048]
    assert [*tmp_path.iterdir()] == [tmp_path / "ci"]
