"""``build``: one build after the other, in any number of lines at once; each build is an iteration."""

import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

import anyio
from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from harness.actors.base import ActorEnv, Ask, CouldNot
from harness.actors.cache import CacheFrom, CacheTo, ExternalCache
from harness.actors.git_server import serving
from harness.actors.inputs import Inputs
from harness.actors.kill import TimeOut
from harness.actors.template import Text, filled
from harness.actors.verify import READABLE, place_for, readable, written_by, wrong_in
from harness.buildkit.abilities import ARCHIVE, CACHE_EXPORT, GHA, S3, SEVERAL
from harness.buildkit.failures import signature_of
from harness.client.detectors.base import Detection
from harness.client.watched_build import ClientVerdict, Watch, judge_client
from harness.core.outcome import FAILURES, Outcome, Phase, Symptom
from harness.core.records import Iteration
from harness.core.rng import Dice
from harness.core.trace import environment_of, parent_of
from harness.core.units import format_duration, ordinal
from harness.daemons.api_build import BuildsByApi, api_build
from harness.daemons.base import (
    COMPOSED_IMAGE,
    OF_OURS,
    BuildClient,
    BuildRequest,
    BuildsByCompose,
    Cache,
    Daemon,
    Relayed,
    TellsBuilds,
    of_target,
)
from harness.daemons.cache_servers import CACHE_SERVERS, NO_CACHES
from harness.daemons.collector import traced_to
from harness.host.client_host import ClientHost
from harness.host.proc import Command, child
from harness.scenario import Name, Scenario, Setting, Violation
from harness.scenario.environment import Environment
from harness.scenario.triggers import Firing, When

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
Export = Literal["load", "image", "oci", "tar", "local", "push"]
Exports = Annotated[
    Annotated[Export, Tag("one")] | Annotated[tuple[Export, ...], Field(min_length=1, max_length=6), Tag("several")],
    Discriminator(lambda written: "several" if isinstance(written, list | tuple) else "one"),
]
"""Where a result goes, or several such."""


class Build(Inputs):
    """Builds, one after the other."""

    builds: ClassVar[bool] = True

    args: dict[str, Text] = Field(default_factory=dict)
    """Build arguments; `{iteration}` and `{iteration % 7}` stand for numbers."""
    env: Environment = Field(default_factory=dict)
    """Variables that its clients have, beside our own: `{OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9"}`."""
    tag: str | None = None
    """The image's name; without it, one for each line, as clients that tag one name at once make each other fail."""
    export: Exports = "load"
    """Where the result goes: into the daemon's images (docker's `--load`), an image, an OCI archive, a tar of its
    files, a folder of the client's, or the run's own registry; a list: to each of them at once.
    """
    verify: bool | dict[Annotated[str, Field(pattern=r"^/\S+$")], Text] = False
    """Read each result back, and look whether its files hold what was asked for: `{/n: "{iteration}"}`. `true`: each
    file that a step of the last stage writes an argument to (`RUN echo "${N}" > /n`).
    """
    no_cache: Annotated[
        float,
        BeforeValidator(lambda value: float(value) if isinstance(value, bool) else value),
        Field(strict=True, ge=0, le=1),
        WithJsonSchema(_BOOLEAN_OR_SHARE),
    ] = 0.0
    """Whether the build uses no cache; or how likely each iteration uses none."""
    pull: bool = False
    """Have images of registries looked up again for each build."""
    cache_to: CacheTo | None = None
    cache_from: tuple[CacheFrom, ...] = ()
    network: Literal["none", "host"] = "none"
    """The network of `RUN` steps."""
    via: Literal["client", "compose", "api"] = "client"
    """`client`: a client program is run, as users do. `compose`: it is `docker compose build`, to which `targets` are
    services. `api`: the daemon is asked itself, over BuildKit's control API, and sent the context by us, so that a
    build costs no process; for one result, `export: image` or `load`.
    """
    host: Name | None = None
    """The client host that its clients are on: a network namespace of that name, from which they reach the daemon over
    TCP, and nothing else. Without it, ours.
    """
    parallel: Annotated[int, Field(ge=1, le=256)] = 1
    """How many lines of builds at once."""
    kill: TimeOut | None = None
    """Time out some of them."""
    when: When | None = None
    """When each build of a line begins: after a pause, or as another build reaches something, or another actor acts."""

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        if "push" not in self.exports and any(cache.type == "inline" for cache in self.cache_from):
            yield Violation(("cache_from",), "`inline` is read from the image that was pushed: say `export: push`")
        yield from self._faults_of_verify(setting)
        yield from self._faults_of_api()
        yield from self._faults_of_compose()
        limit = setting.stop.iterations if setting.stop else None
        if self.kill and self.kill.every and limit and self.kill.every > limit:
            yield Violation(("kill", "every"), f"never fires: the run ends after {limit} iterations (stop.iterations)")

    def _faults_of_api(self) -> Iterator[Violation]:
        """Yield what only a client's program does."""
        if not self.needs_api:
            return
        if self.export not in {"image", "load"}:
            yield Violation(("export",), "with `via: api` a result is an image, or is loaded: `image` or `load`")
        ours = ("targets", "env", "host", "secrets", "ssh", "verify", "cache_to", "cache_from")
        for key in (key for key in ours if getattr(self, key)):
            yield Violation((key,), f"is of a client's program: leave out `{key}`, or `via: api`")

    def _faults_of_compose(self) -> Iterator[Violation]:
        """Yield what is no service's in the file that compose is given."""
        if not self.needs_compose:
            return
        if not self.targets:
            yield Violation(("targets",), "compose builds services: name the stages that it is to build")
        if self.export != "load":
            yield Violation(("export",), "compose loads what it builds: say `load`, or leave `export` out")
        others = ("contexts", "secrets", "ssh", "platforms", "cache_to", "cache_from")
        for key in (key for key in others if getattr(self, key)):
            yield Violation((key,), f"is not told to compose: leave out `{key}`, or `via: compose`")
        if self.context == "git":
            yield Violation(("context",), "is a folder of the client's for compose: leave out `context`")

    def _faults_of_verify(self, setting: Setting) -> Iterator[Violation]:
        if not self.verify:
            return
        if self.targets:
            yield Violation(("verify",), "reads one result back: leave out `targets`")
        elif self.tag and self.parallel > 1 and not {*self.exports} & {"local", "tar", "oci"}:
            why = "reads what another line has put under this name by then: leave out `tag`, or say `export: oci`"
            yield Violation(("verify",), why)
        elif self.verify is True:
            texts = self.texts(setting)
            if any(not {*written_by(text).values()} & self.args.keys() for text in texts):
                why = "no step of the last stage writes an argument of `args` to a file: say `verify: {FILE: TEXT}`"
                yield Violation(("verify",), why)

    def asks(self) -> Iterator[Ask]:
        """Yield what it asks that not every builder can do, once its folders are placed."""
        yield from super().asks()
        if self.cache_to and self.cache_to.type != "inline":
            yield Ask("cache_to", CACHE_EXPORT)
        kept = (("cache_to", self.cache_to), *(("cache_from", cache) for cache in self.cache_from))
        served = {"gha": GHA, "s3": S3}
        yield from dict.fromkeys(Ask(key, served[cache.type]) for key, cache in kept if cache and cache.type in served)
        if "oci" in self.exports:
            yield Ask("export", ARCHIVE)
        if len(self.exports) > 1:
            yield Ask("export", SEVERAL)

    @property
    def exports(self) -> tuple[str, ...]:
        """Where the result goes, each."""
        return (self.export,) if isinstance(self.export, str) else self.export

    @property
    def needs_registry(self) -> bool:
        """Whether it pushes an image or a cache, or imports one."""
        kept = (self.cache_to, *self.cache_from)
        return "push" in self.exports or any(cache.type == "registry" for cache in kept if cache)

    @property
    def needs_caches(self) -> frozenset[str]:
        """The types of caches that it exports to a server, or imports from one."""
        return frozenset(cache.type for cache in (self.cache_to, *self.cache_from) if cache) & CACHE_SERVERS.keys()

    @property
    def needs_hosts(self) -> frozenset[str]:
        """The one that its clients are on."""
        return frozenset({self.host} if self.host else ())

    @property
    def needs_buildx(self) -> bool:
        """Only bake builds several targets at once."""
        return bool(self.targets)

    @property
    def needs_api(self) -> bool:
        """Whether the daemon is asked without a client."""
        return self.via == "api"

    @property
    def needs_compose(self) -> bool:
        """Whether compose is the client."""
        return self.via == "compose"

    @property
    def client_env(self) -> Mapping[str, str]:
        """The scenario's."""
        return self.env

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        lines = f", {self.parallel} at once" if self.parallel > 1 else ""
        kept = f", cache {self.cache_to.type}" if self.cache_to else ""
        fresh = f", {100 * self.no_cache:.3g}% without cache" if self.no_cache else ""
        where = " and ".join(_WHERE[each] for each in self.exports)
        read = ", and read back" if self.verify else ""
        way = {"client": "", "compose": ", by docker compose", "api": ", asked of the daemon itself"}[self.via]
        return f"builds {self.made_from}{lines}{way}, result {where}{read}{kept}{fresh}{self._kills_in_words}"

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

    async def prepare(self, folder: Path) -> None:
        """Stage the contexts, and what bake reads."""
        await super().prepare(folder)
        for index in range(len(self.sources) if self.targets else 0):
            definition = _services(self.targets, self.context_of(folder, index), self.network, self.needs_compose)
            self._definition(folder, index).write_text(definition)

    async def perform(self, stage: ActorEnv) -> None:
        """Build in every line until this daemon gets no more iterations."""
        async with AsyncExitStack() as stack:
            git = await stack.enter_async_context(serving(stage.folder)) if self.context == "git" else ""
            lines = await stack.enter_async_context(anyio.create_task_group())
            for number in range(self.parallel):
                lines.start_soon(self._line, stage, number, git)

    async def _line(self, stage: ActorEnv, number: int, git: str) -> None:
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
                await self._iterate(stage, iteration, number, git)

    async def _iterate(self, stage: ActorEnv, iteration: int, line: int, git: str) -> None:
        """Run one client from its start to its outcome."""
        registry = stage.registry.address if stage.registry else ""
        request = self.request(
            iteration,
            line,
            folder=stage.folder,
            seed=stage.seed,
            registry=registry,
            git=git,
            caches=stage.caches,
        )
        if self.verify:
            request = readable(stage.daemon, request)
        delay = self.kill.delay(iteration, stage.dice(self.name).throw(iteration)) if self.kill else None
        async with self._started(stage, request) as client:
            watch = Watch(self.name, request, client, stage.attention)
            try:
                with stage.board.watching(watch):
                    await self._accompany(stage, watch, delay)
            finally:  # a build in flight when the run ends is recorded too
                verdict = judge_client(watch, stage.daemon.facts.pid)
                stage.board.record(_record(watch, verdict, stage))
        if verdict.outcome is Outcome.INFRA:
            await anyio.sleep(_INFRA_PAUSE_SECONDS)

    def _started(self, stage: ActorEnv, request: BuildRequest) -> AbstractAsyncContextManager[BuildClient]:
        """Return what starts a client, and ends it on leaving.

        Raises:
            CouldNot: the daemon cannot be asked without one, or from its host.
        """
        if self.via == "api":
            if not isinstance(stage.daemon, BuildsByApi):
                raise CouldNot("we cannot speak this daemon's control API; `via: client` can build on it")
            asked = stage.daemon.asked(request)
            return api_build(stage.daemon.control, asked, parent_of(self.name, request.iteration))
        command = self._command(stage.daemon, request)
        traced = traced_to(stage.collector.address) if stage.collector else {}
        environment = {**command.env, **traced, **self.env, **environment_of(self.name, request.iteration)}
        command = replace(command, env=environment, cores=stage.cores)
        return child(_host_of(stage, self.host).running(command) if self.host else command)

    def _command(self, daemon: Daemon, request: BuildRequest) -> Command:
        """Return the command of a build's client.

        Raises:
            CouldNot: it cannot build on this daemon.
        """
        if not self.needs_compose:
            return daemon.build(request)
        if not isinstance(daemon, BuildsByCompose):
            raise CouldNot(
                "compose builds on a private dockerd's own builder alone; `via: client` can build on this one"
            )
        return daemon.composed(request)

    def request(
        self,
        iteration: int,
        line: int = 0,
        *,
        folder: Path,
        seed: int,
        registry: str,
        git: str = "",
        caches: Mapping[str, str] = NO_CACHES,
    ) -> BuildRequest:
        """Return the build that an iteration asks for, every time the same.

        Args:
            iteration: its number.
            line: which of the actor's lines.
            folder: what `prepare` got.
            seed: the run's.
            registry: the address of the run's own registry.
            git: the address of the run's own git server, where it has one.
            caches: what caches are told of the run's own servers, by their type.
        """
        pushed, index = "push" in self.exports, self.chosen(iteration, seed)
        context = self.context_of(folder, index)
        tag = self.tag or f"{'' if pushed else OF_OURS}{self.name}-{line}:latest"
        image = f"{registry}/{tag}" if pushed else tag

        def place(kept: ExternalCache) -> str:
            name = filled(kept.name or self.name, iteration)
            local, remote = folder / f"{name}-{line}.cache", f"{registry}/cache/{name}"
            return {"inline": image, "local": str(local), "registry": remote}.get(kept.type, name)

        def cache(kept: ExternalCache, mode: str | None = None, ignore_error: bool = False) -> Cache:
            return Cache(kept.type, place(kept), mode, ignore_error, server=caches.get(kept.type, ""))

        to = self.cache_to
        return BuildRequest(
            iteration=iteration,
            context=context,
            args={key: filled(value, iteration) for key, value in self.args.items()},
            tag=image,
            exports=self.exports,
            places={kind: place_for(kind, folder, f"{self.name}-{line}") for kind in self._kept_exports},
            no_cache=Dice(seed, f"{self.name}/no_cache").throw(iteration).random() < self.no_cache,
            pull=self.pull,
            network=self.network,
            cache_to=cache(to, to.mode, ignore_error=to.ignore_error) if to else None,
            cache_from=tuple(cache(kept) for kept in self.cache_from),
            targets=self.targets,
            definition=self._definition(folder, index) if self.targets else None,
            git=f"{git}/{context.name}" if git else "",
            contexts=self.named_contexts(folder),
            secrets=self.offered(folder),
            ssh_key=self.ssh_key(folder) if self.ssh else None,
            platforms=self.platforms,
            host=self.host,
        )

    @property
    def _kept_exports(self) -> tuple[str, ...]:
        """The exports whose files stay until the line's next build."""
        return READABLE if self.verify else ("local",)

    def _definition(self, folder: Path, index: int) -> Path:
        return self.context_of(folder, index).with_suffix(".yaml")

    async def _accompany(self, stage: ActorEnv, watch: Watch, kill_after: float | None) -> None:
        """Stay with a client until it has ended, is found to hang or to stall, or is cut off."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.listen)
            if self.kill and kill_after is not None:
                tasks.start_soon(self._kill, watch, self.kill, kill_after)
            with watch.patience:
                await watch.wait()
            if not watch.found:
                verdict = judge_client(watch, stage.daemon.facts.pid)
                watch.weigh(verdict)
                if self.verify and verdict.outcome is Outcome.OK and not watch.found:
                    watch.found = await self._wrong(stage, watch.request)
            if watch.found:
                await stage.board.found(watch)
            tasks.cancel_scope.cancel()

    async def _wrong(self, stage: ActorEnv, request: BuildRequest) -> Detection | None:
        """Return a finding where a result does not hold what it must."""
        registry = stage.registry.address if stage.registry else ""
        wrong = await wrong_in(stage.daemon, request, self._expected(request), registry)
        return Detection(Symptom.CONTENT, error=wrong) if wrong else None

    def _expected(self, request: BuildRequest) -> Mapping[str, str]:
        """Return what files of a result must hold."""
        if isinstance(self.verify, dict):
            return {name: filled(text, request.iteration) for name, text in self.verify.items()}
        written = written_by((request.context / "Dockerfile").read_text(errors="replace"))
        return {name: request.args[arg] for name, arg in written.items() if arg in request.args}

    async def _kill(self, watch: Watch, rule: TimeOut, after: float) -> None:
        watch.kill_due = await watch.enters(rule.since) + after
        await anyio.sleep_until(watch.kill_due)
        if not watch.found and watch.client.returncode is None:
            watch.killed = anyio.current_time()
            watch.killed_at, watch.killed_after = watch.progress.point, watch.killed - watch.progress.point_at
            await rule.send(watch.client)


def _host_of(stage: ActorEnv, name: str) -> ClientHost:
    relay = stage.daemon.relay if isinstance(stage.daemon, Relayed) else None
    if relay is None:
        raise CouldNot("from another host only a private daemon can be reached: leave out `host`")
    return relay.hosts[name]


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


def _services(targets: Iterable[str], context: Path, network: str, composed: bool) -> str:
    """Return what bake reads: a compose file, for of JSON and HCL buildx 0.13 does not take the network.

    Args:
        targets: the services.
        context: the folder that all are built from.
        network: that of their steps.
        composed: whether compose reads it, which has no other way to learn their images' names.
    """

    def service(target: str) -> dict[str, object]:
        image = {"image": of_target(f"${{{COMPOSED_IMAGE}}}", target)} if composed else {}
        return {**image, "build": {"context": str(context), "target": target, "network": network}}

    services = {target: service(target) for target in targets}
    return json.dumps({"services": services}, indent=1)
