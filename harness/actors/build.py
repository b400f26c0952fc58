"""``build``: one build after the other, in any number of lines at once; each build is an iteration."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

import anyio
from pydantic import BeforeValidator, Field, WithJsonSchema

from harness.actors.base import Actor, Stage
from harness.actors.context import OFFLINE, find_dockerfile, stage_context, uses_base
from harness.actors.kill import Kill
from harness.actors.watch import ClientVerdict, Watch, judge_client
from harness.base_image import static_busybox
from harness.daemons.base import BuildRequest
from harness.outcome import Outcome, Phase
from harness.proc import child
from harness.records import Iteration
from harness.scenario import Fault, Setting
from harness.triggers import IntervalTrigger

_ITERATION: Final = re.compile(r"\{iteration(?:\s*%\s*([1-9]\d*))?\}")
_INFRA_PAUSE_SECONDS: Final = 1.0
"""Between a failure that is ours or the host's and the next build, so that thousands do not fail in vain."""


def _text(value: object) -> object:
    """Return what a person means by a bare number or truth in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]


class Build(Actor):
    """Builds, one after the other."""

    builds: ClassVar[bool] = True

    dockerfile: str
    """A folder with a Dockerfile: a name in `dockerfiles/`, or a path beside the scenario."""
    base: str = OFFLINE
    """What the stage `base` is: a static busybox, or an image of a registry such as `alpine:3.22`."""
    args: dict[str, Text] = Field(default_factory=dict)
    """Build arguments; `{iteration}` and `{iteration % 7}` stand for numbers."""
    tag: str | None = None
    """The image's name; without it, one for each line, as clients that tag one name at once make each other fail."""
    export: Literal["load", "image", "oci"] = "load"
    """Where the result goes: into the daemon's images (docker's `--load`), an image, or an OCI archive."""
    no_cache: bool = False
    network: Literal["none", "host"] = "none"
    """The network of `RUN` steps."""
    parallel: Annotated[int, Field(ge=1, le=256)] = 1
    """How many lines of builds at once."""
    kill: Kill | None = None
    """Time out some of them."""
    when: IntervalTrigger | None = None
    """A pause before each build of a line."""

    def faults(self, setting: Setting) -> Iterator[Fault]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        if find_dockerfile(self.dockerfile, setting.folders) is None:
            looked = ", ".join(str(folder / self.dockerfile) for folder in dict.fromkeys(setting.folders))
            yield Fault(("dockerfile",), f"there is no Dockerfile in any of {looked}")
        limit = setting.stop.iterations if setting.stop else None
        if self.kill and self.kill.every and limit and self.kill.every > limit:
            yield Fault(("kill", "every"), f"never fires: the run ends after {limit} iterations (stop.iterations)")

    def placed(self, setting: Setting) -> Self:
        """Return it with the Dockerfile's folder as an absolute path."""
        source = find_dockerfile(self.dockerfile, setting.folders)
        return self.model_copy(update={"dockerfile": str(source.resolve())}) if source else self

    async def prepare(self, folder: Path) -> None:
        """Stage the context."""
        source = Path(self.dockerfile)
        needs_busybox = self.base == OFFLINE and uses_base((source / "Dockerfile").read_text())
        busybox = await static_busybox() if needs_busybox else None
        stage_context(source, folder / self.name, self.base, busybox)

    async def perform(self, stage: Stage) -> None:
        """Build in every line until this daemon gets no more iterations."""
        async with anyio.create_task_group() as lines:
            for number in range(self.parallel):
                lines.start_soon(self._line, stage, number)

    async def _line(self, stage: Stage, number: int) -> None:
        pauses = stage.dice(f"{self.name}/{stage.generation}/{number}")
        turn = 0
        while True:
            turn += 1
            if self.when:
                await anyio.sleep(self.when.interval.draw(pauses.throw(turn)))
            iteration = await stage.board.next_iteration()
            if iteration is None:
                return
            await self._iterate(stage, iteration, number)

    async def _iterate(self, stage: Stage, iteration: int, line: int) -> None:
        """Run one client from its start to its outcome."""
        request = self.request(stage.folder, iteration, line)
        delay = self.kill.delay(iteration, stage.dice(self.name).throw(iteration)) if self.kill else None
        async with child(stage.daemon.build(request)) as client:
            watch = Watch(self.name, request, client, stage.attention)
            try:
                with stage.board.watching(watch):
                    await self._accompany(stage, watch, delay)
            finally:  # a build in flight when the run ends is recorded too
                verdict = judge_client(watch, stage.daemon.facts.pid)
                stage.board.record(_record(watch, verdict, stage.began))
        if verdict.outcome is Outcome.INFRA:
            await anyio.sleep(_INFRA_PAUSE_SECONDS)

    def request(self, folder: Path, iteration: int, line: int = 0) -> BuildRequest:
        """Return the build that an iteration asks for; `folder` is what `prepare` got."""
        return BuildRequest(
            iteration=iteration,
            context=folder / self.name,
            args={key: _filled(value, iteration) for key, value in self.args.items()},
            tag=self.tag or f"repro-{self.name}-{line}:latest",
            export=self.export,
            no_cache=self.no_cache,
            network=self.network,
        )

    async def _accompany(self, stage: Stage, watch: Watch, kill_after: float | None) -> None:
        """Stay with a client until it has ended, is found to hang or to stall, or is cut off."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.listen)
            if kill_after is not None:
                tasks.start_soon(self._kill, watch, kill_after)
            with watch.patience:
                await watch.wait()
            if watch.found:
                await stage.board.found(watch)
            tasks.cancel_scope.cancel()

    async def _kill(self, watch: Watch, after: float) -> None:
        await anyio.sleep_until(watch.progress.reached[Phase.STARTED] + after)
        if self.kill and not watch.found and watch.client.returncode is None:
            watch.killed = anyio.current_time()
            await self.kill.strike(watch.client)


def _record(watch: Watch, verdict: ClientVerdict, began: float) -> Iteration:
    reached = watch.progress.reached

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
    )


def _filled(text: str, iteration: int) -> str:
    """Return `text` with ``{iteration}`` and ``{iteration % N}`` as numbers."""
    return _ITERATION.sub(lambda match: str(iteration % int(match[1]) if match[1] else iteration), text)
