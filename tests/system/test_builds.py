"""What builds ask of real daemons and their clients: a push, caches from outside, several targets, generated files."""

import json
import re
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from anyio import create_task_group, sleep_forever

from harness.actors.build import Build
from harness.buildkit.messages import BuildEvent, PruneMessage
from harness.core.errors import CommandError
from harness.core.outcome import Outcome
from harness.core.records import Iteration
from harness.daemons.api_build import BuildsByApi, api_build
from harness.daemons.base import ITERATION_ARG, BuildRequest, Daemon, ListsRecords, PruneRequest, Slot
from harness.daemons.cache_servers import CACHE_SERVERS, NO_CACHES
from harness.daemons.control import Controlled
from harness.daemons.registry import open_registry
from harness.daemons.table import DAEMONS
from harness.host.ledger import Ledger
from harness.host.proc import Command, run
from harness.scenario import DaemonSpec, Limits, Setting
from harness.scenario.load import PROJECT
from harness.toolchain import resolve
from tests.system.conftest import Repro, folder_from, left_of

pytestmark = [  # docker's Python client leaves a socket open where it asks before the daemon listens
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
]
SETTING = Setting(None, frozenset(), (PROJECT / "dockerfiles",), (Limits(),))
TOOLCHAINS = ["debian:forky", "REPRO_FIXED"]
LOST_RACE = "parent snapshot"
"""Does not exist: dockerd's clean-up of the image that a new one replaces was quicker than the new one."""
LOST_PUSH = "failed to push"
"""And no word why: now and then dockerd says so of one of several targets that it pushes at once."""
LAST_STEP = 'RUN echo "1" > /n'
"""With the first iteration's argument, as progress shows it."""
SLOW_TARGET = """\
FROM base AS quick
ARG N
RUN echo "${N}" > /n

FROM base AS slow
ARG N
RUN echo "${N}" > /n && sleep 10

FROM base AS quiet
ARG N
RUN echo "${N}" > /n
"""


def toolchain_of(name: str) -> str:
    """Return a toolchain, also where an environment variable names its folder."""
    return name if ":" in name else folder_from(name)


@dataclass(frozen=True)
class Workshop:
    """A real daemon, a registry, and a folder for contexts."""

    daemon: Daemon
    registry: str
    folder: Path
    ledger: Ledger

    async def request(self, caches: Mapping[str, str] = NO_CACHES, **options: Any) -> BuildRequest:
        """Return what an actor with a name of its own asks for first, its context prepared."""
        actor = Build.model_validate({"name": f"ci-{secrets.token_hex(3)}", "args": {"N": "{iteration}"}, **options})
        await actor.placed(SETTING).prepare(self.folder)
        return actor.request(1, folder=self.folder, seed=1, registry=self.registry, caches=caches)

    async def cached(self, request: BuildRequest) -> set[str]:
        """Build, which has to succeed; return the steps that were had from a cache, without their numbers."""
        try:
            ran = await _ran(self.daemon.build(request))
        except CommandError as error:
            if LOST_RACE not in error.output:
                raise
            ran = await _ran(self.daemon.build(request))
        return _cached(ran)

    async def prune(self) -> None:
        """Have the daemon forget all that it built."""
        command = self.daemon.prune(PruneRequest(all=True))
        assert command
        await _ran(command)


def _cached(lines: list[str]) -> set[str]:
    told = [json.loads(line) for line in lines if line.startswith("{")]
    vertexes = [vertex for status in told for vertex in status.get("vertexes") or ()]
    return {vertex["name"].rpartition("] ")[2] for vertex in vertexes if vertex.get("cached")}


async def _ran(command: Command) -> list[str]:
    done = await run(command.argv, deadline=120, env=command.env)
    return (done.stdout + done.stderr).splitlines()


@pytest.fixture(params=TOOLCHAINS)
async def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workshop]:
    """A real daemon with a registry beside it."""
    toolchain = await resolve(toolchain_of(request.param))
    ledger = Ledger.open(f"test-{secrets.token_hex(3)}")
    (tmp_path / "contexts").mkdir()
    try:
        async with (
            open_registry(ledger, tmp_path) as registry,
            DAEMONS[toolchain.kinds[0]](toolchain, DaemonSpec(), Slot(ledger.name, tmp_path, ledger)) as daemon,
        ):
            yield Workshop(daemon, registry.address, tmp_path / "contexts", ledger)
    finally:
        assert await ledger.reclaim() == []


@pytest.mark.anyio
async def test_what_was_pushed_is_there(workshop: Workshop) -> None:
    """The image that a build pushed is in the registry: its manifest, and every layer that this names."""
    request = await workshop.request(dockerfile="diamond", export="push", pull=True)
    await workshop.cached(request)
    name, _, version = request.tag.removeprefix(f"{workshop.registry}/").partition(":")
    kinds = ["application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"]
    accept = {"Accept": ", ".join([*kinds, "application/vnd.docker.distribution.manifest.v2+json"])}
    async with httpx.AsyncClient(base_url=f"http://{workshop.registry}/v2/{name}", headers=accept) as client:
        manifest = (await client.get(f"/manifests/{version}")).raise_for_status().json()
        if "manifests" in manifest:
            manifest = (await client.get(f"/manifests/{manifest['manifests'][0]['digest']}")).raise_for_status().json()
        assert len(manifest["layers"]) >= 4, "two of the base, two copies and a step of its own"
        for layer in manifest["layers"]:
            assert (await client.head(f"/blobs/{layer['digest']}")).is_success


@pytest.mark.anyio
async def test_cache_outlives_a_prune(workshop: Workshop) -> None:
    """What was exported is imported after everything was pruned; without the import the steps are run again."""
    for kind, mode in (("registry", "max"), ("local", "max"), ("inline", "min")):
        to = {"type": kind, "mode": mode}
        request = await workshop.request(dockerfile="diamond", export="push", cache_to=to, cache_from=[{"type": kind}])
        assert not await workshop.cached(request), "there is nothing to import yet"
        await workshop.prune()
        assert LAST_STEP in await workshop.cached(request), kind
        await workshop.prune()
    assert not await workshop.cached(replace(request, cache_from=()))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("workshop", "kind"), [(TOOLCHAINS[0], "gha"), (TOOLCHAINS[1], "gha"), (TOOLCHAINS[1], "s3")], indirect=["workshop"]
)
async def test_cache_on_a_server(workshop: Workshop, kind: str, tmp_path: Path) -> None:
    """So it is with caches on servers of other kinds, and one that has another name is not imported."""
    async with CACHE_SERVERS[kind](workshop.ledger, tmp_path) as server:
        to, others = {"type": kind, "mode": "max", "name": "main"}, [{"type": kind, "name": "other"}]
        request = await workshop.request(
            {kind: server},
            dockerfile="diamond",
            export="image",
            cache_to=to,
            cache_from=[{"type": kind, "name": "main"}],
            files={"big": "6MB"},  # more than S3 takes in one piece
        )
        assert not await workshop.cached(request), "there is nothing to import yet"
        await workshop.prune()
        assert LAST_STEP in await workshop.cached(request)
        await workshop.prune()
        elsewhere = await workshop.request({kind: server}, dockerfile="diamond", cache_from=others)
        assert not await workshop.cached(elsewhere)


@pytest.mark.anyio
async def test_no_cache_runs_again(workshop: Workshop) -> None:
    """A build without cache runs its steps again, although the same build was just made."""
    request = await workshop.request(dockerfile="diamond", export="image")
    await workshop.cached(request)
    assert LAST_STEP in await workshop.cached(request)
    assert LAST_STEP not in await workshop.cached(replace(request, no_cache=True))


@pytest.mark.anyio
async def test_a_build_by_the_api_is_the_clients(workshop: Workshop) -> None:
    """The daemon has each of its steps cached where a client built before, and a client's where it was the API."""
    daemon = workshop.daemon
    assert isinstance(daemon, BuildsByApi)
    request = await workshop.request(
        dockerfile="diamond", export="image" if daemon.facts.kind == "buildkitd" else "load"
    )
    for prunes in (False, True):
        by_client = set() if prunes else await workshop.cached(request)
        assert not by_client
        async with api_build(daemon.control, daemon.asked(request)) as build:
            by_api = [piece async for piece in build.output()]
            assert await build.wait() == 0, by_api
        assert (LAST_STEP in _cached(b"".join(by_api).decode().splitlines())) is not prunes
        assert LAST_STEP in await workshop.cached(request)
        await workshop.prune()


@pytest.mark.anyio
async def test_the_control_api_says_what_the_client_says(workshop: Workshop) -> None:
    """The cache's records are the same, a build is seen as it begins and ends, and a prune tells what it removes."""
    daemon = workshop.daemon
    assert isinstance(daemon, Controlled)
    assert isinstance(daemon, ListsRecords)
    request = await workshop.request(dockerfile="diamond", export="image")
    seen: list[BuildEvent] = []
    async with create_task_group() as group, daemon.control.build_events() as events:

        async def listen() -> None:
            async for event in events:
                seen.append(event)
                if event.completed:
                    group.cancel_scope.cancel()

        group.start_soon(listen)
        await workshop.cached(request)
        await sleep_forever()  # until the end is told
    assert [(event.kind, event.attributes[f"build-arg:{ITERATION_ARG}"]) for event in seen[:1]] == [("started", "1")]
    assert seen[-1].completed
    assert not await daemon.control.running_builds()
    text = await daemon.cache_records()
    records = await daemon.control.cache_records()
    assert len(records) == len(re.findall(r"^ID:", text, re.MULTILINE)) > 4
    assert all(record.id in text for record in records)
    async with daemon.control.pruning(PruneMessage(all=True)) as removed:
        gone = {record.id async for record in removed}
    assert gone
    assert gone <= {record.id for record in records}
    assert not gone & {record.id for record in await daemon.control.cache_records()}
    assert await daemon.control.forget_builds() == len(seen[-1:])
    assert not await daemon.control.builds()


@pytest.mark.anyio
@pytest.mark.parametrize("step", ["run", "copy"])
async def test_generated_dockerfile(workshop: Workshop, step: str) -> None:
    """A generated Dockerfile builds offline, and another argument makes its last step another one."""
    generate = {"stages": 4, "steps": 3, "fan_in": 2, "layer": "16KiB", "step": step}
    request = await workshop.request(generate=generate, export="image")
    await workshop.cached(request)
    again = await workshop.cached(request)
    other = await workshop.cached(replace(request, args={"N": "other"}))
    assert {LAST_STEP if step == "run" else "COPY n /n-1"} == again - other
    assert len(other) >= 4 * 3


@pytest.mark.parametrize(
    ("toolchain", "words"), [(TOOLCHAINS[0], ()), (TOOLCHAINS[1], ("--set", "daemon.driver=remote"))]
)
def test_several_targets_at_once(repro: Repro, tmp_path: Path, toolchain: str, words: tuple[str, ...]) -> None:
    """Three targets are one iteration, no hang while one of them is still built; the registry goes with the run."""
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "Dockerfile").write_text(SLOW_TARGET)
    build = {
        "build": "ci",
        "dockerfile": "three",
        "targets": ["quick", "slow", "quiet"],
        "args": {"N": "{iteration}"},
        "export": "push",
        "cache_to": {"type": "registry"},
    }
    detect = {"export_hang": "6s", "stall": "2m"}
    scenario = {"name": "three", "actors": [build], "stop": {"iterations": 2}, "detect": detect}
    file = tmp_path / "three.yaml"
    file.write_text(yaml.safe_dump(scenario))
    code, output = repro("run", str(file), "--daemon", toolchain_of(toolchain), *words)
    assert code == 0, output
    pushed = [build for build in repro.folder.read(Iteration) if LOST_PUSH not in build.error]
    assert pushed
    for iteration in pushed:
        assert iteration.outcome is Outcome.OK
        assert iteration.solving
        assert iteration.exported
        assert iteration.exported - iteration.solving > 9.0, "one target takes longer than the threshold"
    host, _, port = repro.folder.read_json("run.json")["registry"].partition(":")
    with socket.socket() as client:
        assert client.connect_ex((host, int(port))) != 0
    assert not left_of(repro.folder.name)


def test_dockerd_has_no_s3(repro: Repro, tmp_path: Path) -> None:
    """dockerd's own builder knows no S3: the run is refused before it begins, with what to say instead."""
    file = tmp_path / "s3.yaml"
    build = {"build": "ci", "dockerfile": "trivial", "cache_to": {"type": "s3"}}
    file.write_text(yaml.safe_dump({"name": "s3", "actors": [build], "stop": {"iterations": 1}}))
    code, output = repro("run", str(file), "--daemon", TOOLCHAINS[0])
    assert code == 129
    assert "dockerd's own builder has none" in output
    assert not repro.results.exists()


def test_targets_need_buildx(repro: Repro, tmp_path: Path) -> None:
    """buildctl builds one target: the run is refused before it begins, with what to say instead."""
    file = tmp_path / "bake.yaml"
    build = {"build": "ci", "dockerfile": "services", "targets": ["app", "web"]}
    file.write_text(yaml.safe_dump({"name": "bake", "actors": [build], "stop": {"iterations": 1}}))
    code, output = repro("run", str(file), "--daemon", folder_from("REPRO_FIXED"), "--set", "daemon.driver=buildctl")
    assert code == 129
    assert "--set daemon.driver=remote" in output
    assert not repro.results.exists()
