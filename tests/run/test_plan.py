"""What a run is planned on: the programs that builds need, and that they are new enough to be read."""

from pathlib import Path

import pytest

from harness.cli.kinds import VOCABULARY
from harness.core.errors import UsageError
from harness.core.manifest import Binary
from harness.run import plan
from harness.run.plan import NoApi, OldBuildx, RunOptions, plan_run
from harness.scenario import load
from harness.toolchain.base import PROGRAMS, Toolchain
from tests.support.stub_runs import write_scenario

pytestmark = pytest.mark.anyio

_WHILE = {"interval": "1s", "lasting": "1s"}


@pytest.mark.parametrize(
    ("kind", "said", "is_old"),
    [
        ("dockerd", "github.com/docker/buildx v0.10.4 c513d34049e499c53468deac6c4267ee72948f02", True),
        ("dockerd", "github.com/docker/buildx 0.12.1+ds1 0.12.1+ds1-1", True),
        ("dockerd", "github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3", False),
        ("dockerd", "github.com/docker/buildx v1.0.0 0000000", False),
        ("dockerd", "github.com/docker/buildx 2c3f5a7", False),
        ("buildkitd", "github.com/docker/buildx v0.10.4 c513d34", False),
    ],
)
async def test_an_old_buildx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, said: str, is_old: bool
) -> None:
    """A buildx before v0.13 prints no progress that a program reads: it is refused before a daemon is started."""
    had = {name: Binary(Path("/x", name), said if name == "docker-buildx" else "1.0", "0" * 64) for name in PROGRAMS}
    toolchain = Toolchain("path:/x", had)

    async def resolve(_: str) -> Toolchain:
        return toolchain

    async def equip(given: Toolchain, _: str | None) -> Toolchain:
        return given

    monkeypatch.setattr(plan, "resolve", resolve)
    monkeypatch.setattr(plan, "equip", equip)
    monkeypatch.setattr(plan, "require_private_daemons", lambda _: None)
    scenario = load(write_scenario(tmp_path, daemon={"kind": kind}), VOCABULARY, [])
    planned = plan_run("", scenario, RunOptions(tmp_path), lambda _: None)
    if not is_old:
        assert (await planned).toolchain == toolchain
        return
    with pytest.raises(OldBuildx, match=r"^buildx v?0\.1\d\.\d is too old: .* v0\.13\.0; .* /x/docker-buildx$"):
        await planned


@pytest.mark.parametrize(
    ("daemon", "compose", "buildx", "env", "why"),
    [
        ("dockerd", "v2.40.3", "v0.25.0", {}, ""),
        ("dockerd", "v2.40.3", "v0.13.1", {"COMPOSE_BAKE": "false"}, ""),
        ("dockerd", "v2.40.3", "v0.13.1", {}, ""),
        (
            "dockerd",
            "v2.40.3",
            "v0.13.1",
            {"COMPOSE_BAKE": "true"},
            r"buildx v0\.17 .* /x/docker-buildx is v0\.13\.1: .*leave COMPOSE_BAKE out",
        ),
        ("dockerd", "2.26.1-4", "v0.25.0", {}, r"2\.26\.1-4 is too old: .* v2\.33\.0; .* /x/docker-compose"),
        ("buildkitd", "v2.40.3", "v0.25.0", {}, "the builds of ci by compose .* go to a private dockerd's own builder"),
    ],
)
async def test_compose(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    daemon: str,
    compose: str,
    buildx: str,
    env: dict[str, str],
    why: str,
) -> None:
    """Builds by compose go to a private dockerd, by a compose and a buildx that know each other and print progress."""
    versions = {"docker-compose": compose, "docker-buildx": buildx}
    had = {name: Binary(Path("/x", name), versions.get(name, "1.0"), "0" * 64) for name in PROGRAMS}

    async def resolve(_: str) -> Toolchain:
        return Toolchain("path:/x", had)

    monkeypatch.setattr(plan, "resolve", resolve)
    monkeypatch.setattr(plan, "require_private_daemons", lambda _: None)
    build = {"dockerfile": "services", "targets": ["app"], "via": "compose", "env": env}
    scenario = load(write_scenario(tmp_path, build=build, daemon={"kind": daemon}), VOCABULARY, [])
    told: list[str] = []
    planned = plan_run("", scenario, RunOptions(tmp_path), told.append)
    if not why:
        assert (await planned).toolchain.binaries == had
        assert ("COMPOSE_BAKE=false" in " ".join(told)) == (buildx == "v0.13.1"), "what is chosen is said"
        return
    with pytest.raises(UsageError, match=why):
        await planned


@pytest.mark.parametrize(
    ("daemon", "beside", "why"),
    [
        ({"kind": "stub"}, [], "the stub is a client"),
        (
            {"kind": "dockerd", "driver": "docker-container", "image": "moby/buildkit:v0.25.1"},
            [],
            "a private dockerd's own builder",
        ),
        ({"kind": "buildkitd"}, [{"network": "slow", "delay": "1s", "when": _WHILE}], "that slow disturbs"),
    ],
)
async def test_builds_without_a_client_where_they_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: dict[str, object], beside: list[object], why: str
) -> None:
    """A daemon that we do not reach by its own socket is refused by name, before it is started."""

    async def resolve(_: str) -> Toolchain:
        return Toolchain("path:/x", {name: Binary(Path("/x", name), "1.0", "0" * 64) for name in PROGRAMS})

    monkeypatch.setattr(plan, "resolve", resolve)
    monkeypatch.setattr(plan, "require_private_daemons", lambda _: None)
    build = {"export": "image", "via": "api"}
    scenario = load(write_scenario(tmp_path, build=build, daemon=daemon, actors=beside), VOCABULARY, [])
    with pytest.raises(NoApi, match=f"builds of ci cannot go without a client.*{why}"):
        await plan_run("", scenario, RunOptions(tmp_path), lambda _: None)
