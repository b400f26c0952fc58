"""``build``: one build after the other, in any number of lines at once; each build is an iteration."""

import json
import shutil
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

import anyio
from pydantic import ConfigDict, Field, WithJsonSchema

from harness.actors.base import Actor, ActorEnv
from harness.actors.cache import CacheFrom, CacheTo, Kept
from harness.actors.context import OFFLINE, find_dockerfile, lay_base, stages, uses_base
from harness.actors.generate import Generate, fill
from harness.actors.kill import TimeOut
from harness.actors.template import Text, filled
from harness.buildkit.failures import signature_of
from harness.client.watched_build import ClientVerdict, Watch, judge_client
from harness.core.outcome import FAILURES, Outcome, Phase
from harness.core.records import Iteration
from harness.core.rng import Dice
from harness.core.trace import environment_of
from harness.core.units import Size, format_duration, ordinal
from harness.daemons.base import BuildRequest, Cache, TellsBuilds
from harness.host.hostinfo import ResourceDemand
from harness.host.proc import child
from harness.scenario import DaemonSpec, Scenario, Setting, Violation
from harness.scenario.environment import Environment
from harness.scenario.triggers import Firing, When
from harness.toolchain.base_image import static_busybox

_INFRA_PAUSE_SECONDS: Final = 1.0
"""Between a failure that is ours or the host's and the next build, so that thousands do not fail in vain."""
_BOOLEAN_OR_SHARE: Final = {"anyOf": [{"type": "boolean"}, {"type": "number", "minimum": 0, "maximum": 1}]}


_WHERE: Final = {
    "load": "loaded into the daemon's images",
    "image": "kept as an image",
    "oci": "an archive",
    "push": "pushed to the run's own registry",
    "local": "written to a folder of the client's",
    "tar": "written to a tar of the client's",
}
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""The name of a file in a context."""


class Build(Actor):
    """Builds, one after the other."""

    builds: ClassVar[bool] = True

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in ("dockerfile", "generate")]})

    dockerfile: str | None = None
    """A folder with a Dockerfile: a name in `dockerfiles/`, or a path beside the scenario. Or `generate`."""
    generate: Generate | None = None
    """A Dockerfile made to measure."""
    files: dict[FileName, Size] = Field(default_factory=dict)
    """Extra files in the build context, by name and size; their content does not compress."""
    targets: tuple[str, ...] = ()
    """Stages that one client builds at once, each to a result of its own, as `docker buildx bake` does."""
    base: str = OFFLINE
    """What the stage `base` is: a static busybox, or an image of a registry such as `alpine:3.22`."""
    args: dict[str, Text] = Field(default_factory=dict)
    """Build arguments; `{iteration}` and `{iteration % 7}` stand for numbers."""
    env: Environment = Field(default_factory=dict)
    """Variables that its clients have, beside our own: `{OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9"}`."""
    tag: str | None = None
    """The image's name; without it, one for each line, as clients that tag one name at once make each other fail."""
    export: Literal["load", "image", "oci", "tar", "local", "push"] = "load"
    """Where the result goes: into the daemon's images (docker's `--load`), an image, an OCI archive, a tar of its
    files, a folder of the client's, or the run's own registry.
    """
    no_cache: Annotated[float, Field(ge=0, le=1), WithJsonSchema(_BOOLEAN_OR_SHARE)] = 0.0
    """Whether the build uses no cache; or how likely each iteration uses none."""
    pull: bool = False
    """Have images of registries looked up again for each build."""
    cache_to: CacheTo | None = None
    cache_from: tuple[CacheFrom, ...] = ()
    network: Literal["none", "host"] = "none"
    """The network of `RUN` steps."""
    parallel: Annotated[int, Field(ge=1, le=256)] = 1
    """How many lines of builds at once."""
    kill: TimeOut | None = None
    """Time out some of them."""
    when: When | None = None
    """When each build of a line begins: after a pause, or as another build reaches something, or another actor acts."""

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        text = ""
        if self.dockerfile is None and self.generate is None:
            yield Violation(
                ("dockerfile",), "is missing: name a Dockerfile's folder, or say `generate` for one of our own"
            )
        elif self.dockerfile is not None and self.generate is not None:
            yield Violation(("generate",), "a build has one Dockerfile: leave out either `dockerfile` or `generate`")
        elif self.generate:
            text = self.generate.dockerfile
        elif self.dockerfile and (source := find_dockerfile(self.dockerfile, setting.folders)):
            text = (source / "Dockerfile").read_text(errors="replace")
        else:
            looked = ", ".join(str(folder / str(self.dockerfile)) for folder in dict.fromkeys(setting.folders))
            yield Violation(("dockerfile",), f"there is no Dockerfile in any of {looked}")
        for index, target in enumerate(self.targets if text else ()):
            if target not in stages(text):
                yield Violation(("targets", index), f"no stage is named {target!r}; stages: {', '.join(stages(text))}")
        if self.export != "push" and any(cache.type == "inline" for cache in self.cache_from):
            yield Violation(("cache_from",), "`inline` is read from the image that was pushed: say `export: push`")
        limit = setting.stop.iterations if setting.stop else None
        if self.kill and self.kill.every and limit and self.kill.every > limit:
            yield Violation(("kill", "every"), f"never fires: the run ends after {limit} iterations (stop.iterations)")

    def placed(self, setting: Setting) -> Self:
        """Return it with the Dockerfile's folder as an absolute path."""
        source = find_dockerfile(self.dockerfile, setting.folders) if self.dockerfile else None
        return self.model_copy(update={"dockerfile": str(source.resolve())}) if source else self

    @property
    def needs_registry(self) -> bool:
        """Whether it pushes an image or a cache, or imports one."""
        kept = (self.cache_to, *self.cache_from)
        return self.export == "push" or any(cache.type == "registry" for cache in kept if cache)

    @property
    def needs_buildx(self) -> bool:
        """Only bake builds several targets at once."""
        return bool(self.targets)

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        source = (
            Path(self.dockerfile).name
            if self.dockerfile
            else f"a Dockerfile of {self.generate.stages if self.generate else 0} stages"
        )
        lines = f", {self.parallel} at once" if self.parallel > 1 else ""
        kept = f", cache {self.cache_to.type}" if self.cache_to else ""
        fresh = f", {100 * self.no_cache:.3g}% without cache" if self.no_cache else ""
        return f"builds {source}{lines}, result {_WHERE[self.export]}{kept}{fresh}{self._kills_in_words}"

    @property
    def _kills_in_words(self) -> str:
        if self.kill is None:
            return ""
        kill = self.kill
        counted = f"every {ordinal(kill.every)}is" if kill.every and kill.every > 1 else "each is"
        which = f"{100 * kill.chance:.3g}% of them are" if kill.chance else counted
        return f"; {which} killed after {kill.after.in_words} ({kill.signal})"

    def doubts(self, scenario: Scenario) -> Iterator[Violation]:
        """Yield what can be run, and yet will hardly ever, or never, have an effect."""
        yield from super().doubts(scenario)
        if self.no_cache == 1 and self.cache_from:
            yield Violation(("cache_from",), "imports nothing: each build is without cache (`no_cache`)")
        stop = scenario.stop
        if self.kill and stop.time is not None and self.kill.after.least >= stop.time:
            yield Violation(("kill", "after"), f"kills nothing: the run ends after {format_duration(stop.time)}")
        elif self.kill and self.kill.chance and (stop.iterations or inf) * self.kill.chance < 1:
            yield Violation(("kill", "chance"), "will hardly kill: less than one of the run's builds")

    def burdens(self, daemon: DaemonSpec) -> Iterator[ResourceDemand]:  # noqa: ARG002 — the context is on our side
        """Yield what a generated context takes."""
        if self.generate:
            yield ResourceDemand(f"{self.name}.generate", disk=self.generate.context_bytes)
        if self.files:
            yield ResourceDemand(f"{self.name}.files", disk=sum(self.files.values()))

    async def prepare(self, folder: Path) -> None:
        """Stage the context, and what bake reads."""
        context = folder / self.name
        if self.generate:
            self.generate.write(context)
        else:
            shutil.copytree(str(self.dockerfile), context)
        for name, size in self.files.items():
            fill(context / name, size)
        needs_busybox = self.base == OFFLINE and uses_base((context / "Dockerfile").read_text())
        lay_base(context, self.base, await static_busybox() if needs_busybox else None)
        if self.targets:
            self._definition(folder).write_text(_services(self.targets, context, self.network))

    async def perform(self, stage: ActorEnv) -> None:
        """Build in every line until this daemon gets no more iterations."""
        async with anyio.create_task_group() as lines:
            for number in range(self.parallel):
                lines.start_soon(self._line, stage, number)

    async def _line(self, stage: ActorEnv, number: int) -> None:
        """Build again and again: at once, or at each moment of the trigger."""
        moments = (
            self.when.moments(stage.dice(f"{self.name}/{stage.generation}/{number}"), stage.signals)
            if self.when
            else None
        )
        async with AsyncExitStack() as stack:
            if moments:
                await stack.enter_async_context(aclosing(moments))
            while moments is None or await _comes(moments, stage.exhausted):
                iteration = await stage.board.next_iteration()
                if iteration is None:
                    return
                await self._iterate(stage, iteration, number)

    async def _iterate(self, stage: ActorEnv, iteration: int, line: int) -> None:
        """Run one client from its start to its outcome."""
        registry = stage.registry.address if stage.registry else ""
        request = self.request(iteration, line, folder=stage.folder, seed=stage.seed, registry=registry)
        delay = self.kill.delay(iteration, stage.dice(self.name).throw(iteration)) if self.kill else None
        command = stage.daemon.build(request)
        environment = {**command.env, **self.env, **environment_of(self.name, iteration)}
        async with child(replace(command, env=environment, cores=stage.cores)) as client:
            watch = Watch(self.name, request, client, stage.attention)
            try:
                with stage.board.watching(watch):
                    await self._accompany(stage, watch, delay)
            finally:  # a build in flight when the run ends is recorded too
                verdict = judge_client(watch, stage.daemon.facts.pid)
                stage.board.record(_record(watch, verdict, stage))
        if verdict.outcome is Outcome.INFRA:
            await anyio.sleep(_INFRA_PAUSE_SECONDS)

    def request(self, iteration: int, line: int = 0, *, folder: Path, seed: int, registry: str) -> BuildRequest:
        """Return the build that an iteration asks for, every time the same.

        Args:
            iteration: its number.
            line: which of the actor's lines.
            folder: what `prepare` got.
            seed: the run's.
            registry: the address of the run's own registry.
        """
        pushed = self.export == "push"
        tag = self.tag or f"{'' if pushed else 'repro-'}{self.name}-{line}:latest"
        image = f"{registry}/{tag}" if pushed else tag

        def place(kept: Kept) -> str:
            name = filled(kept.name or self.name, iteration)
            local, remote = folder / f"{name}-{line}.cache", f"{registry}/cache/{name}"
            return {"inline": image, "local": str(local), "registry": remote}[kept.type]

        to = self.cache_to
        return BuildRequest(
            iteration=iteration,
            context=folder / self.name,
            args={key: filled(value, iteration) for key, value in self.args.items()},
            tag=image,
            export=self.export,
            folder=folder / f"{self.name}-{line}.out" if self.export == "local" else None,
            no_cache=Dice(seed, f"{self.name}/no_cache").throw(iteration).random() < self.no_cache,
            pull=self.pull,
            network=self.network,
            cache_to=Cache(to.type, place(to), to.mode) if to else None,
            cache_from=tuple(Cache(kept.type, place(kept)) for kept in self.cache_from),
            targets=self.targets,
            definition=self._definition(folder) if self.targets else None,
        )

    def _definition(self, folder: Path) -> Path:
        return folder / f"{self.name}.yaml"

    async def _accompany(self, stage: ActorEnv, watch: Watch, kill_after: float | None) -> None:
        """Stay with a client until it has ended, is found to hang or to stall, or is cut off."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.listen)
            if self.kill and kill_after is not None:
                tasks.start_soon(self._kill, watch, self.kill, kill_after)
            with watch.patience:
                await watch.wait()
            if not watch.found:
                watch.weigh(judge_client(watch, stage.daemon.facts.pid))
            if watch.found:
                await stage.board.found(watch)
            tasks.cancel_scope.cancel()

    async def _kill(self, watch: Watch, rule: TimeOut, after: float) -> None:
        watch.kill_due = await watch.enters(rule.since) + after
        await anyio.sleep_until(watch.kill_due)
        if not watch.found and watch.client.returncode is None:
            watch.killed = anyio.current_time()
            watch.killed_at, watch.killed_after = watch.progress.point, watch.killed - watch.progress.point_at
            await rule.send(watch.client)


async def _comes(moments: AsyncGenerator[Firing, None], exhausted: anyio.Event) -> bool:
    """Wait for the next moment; return whether there is one before the daemon gets no more iterations."""
    came = False

    async def listen() -> None:
        nonlocal came
        came = await anext(moments, None) is not None
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await exhausted.wait()
        tasks.cancel_scope.cancel()
    return came


def _record(watch: Watch, verdict: ClientVerdict, stage: ActorEnv) -> Iteration:
    reached, began = watch.progress.reached, stage.began
    tells = isinstance(stage.daemon, TellsBuilds)  # a hang behind the kill would be seen

    def at(time: float | None) -> float | None:
        return None if time is None else time - began

    return Iteration(
        number=watch.iteration,
        actor=watch.actor,
        args=watch.request.args,
        outcome=verdict.outcome,
        started=reached[Phase.STARTED] - began,
        solving=at(reached.get(Phase.SOLVING)),
        exporting=at(reached.get(Phase.EXPORTING)),
        exported=at(reached.get(Phase.EXPORTED)),
        exited=at(reached.get(Phase.EXITED)),
        killed=at(watch.killed),
        returncode=watch.client.returncode if watch.progress.phase is Phase.EXITED else None,
        error=verdict.error,
        failure=signature_of(verdict.error) if verdict.outcome in FAILURES else "",
        generation=stage.generation,
        kill_due=None if tells else at(watch.kill_due),
        cut=stage.now() if verdict.outcome is Outcome.CUT_OFF else None,
        merged=(*watch.progress.merged,),
        killed_at=watch.killed_at,
        killed_after=watch.killed_after,
    )


def _services(targets: Iterable[str], context: Path, network: str) -> str:
    """Return what bake reads: a compose file, for of JSON and HCL buildx 0.13 does not take the network."""
    services = {t: {"build": {"context": str(context), "target": t, "network": network}} for t in targets}
    return json.dumps({"services": services}, indent=1)
