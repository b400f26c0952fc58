"""``prune``: has the daemon remove what it keeps, while builds are in flight."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, Literal

import anyio

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect, NothingOfTheKind
from harness.buildkit import messages
from harness.core.errors import CommandError, CommandTimeout
from harness.core.trace import environment_of, parent_of
from harness.core.units import Size, format_duration, format_size, parse_duration
from harness.daemons.base import PruneRequest
from harness.daemons.control import ControlError, Controlled
from harness.host.proc import running
from harness.scenario import Scenario, Setting, Violation
from harness.scenario.triggers import Firing

_DEADLINE_SECONDS: Final = 60.0


_TOTAL: Final = re.compile(r"^Total(?: reclaimed space)?:\s*([\d.]+)\s*([kKMGTP]?)i?B\s*$")
_UNTIL: Final = re.compile(r"(?:until|unused-for)=(\S+)")
_POWERS: Final = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def removed(printed: str) -> int | None:
    """Return how many bytes a client says that its prune has removed, or how many records where those were empty.

    None where it does not say: then nobody knows. Both ``buildctl`` and ``docker`` print a line a record, and the total
    in decimal units last.
    """
    lines = printed.strip().splitlines()
    total = _TOTAL.match(lines[-1]) if lines else None
    if total is None:
        return None
    size = round(float(total[1]) * 1000 ** _POWERS[total[2]])
    records = sum(bool(line.strip()) and not line.startswith(("ID", "Deleted", "Total")) for line in lines)
    return size or records


class Prune(Disturbance):
    """Prune the build cache, the images, or everything; or remove the image that a build has just made."""

    what: Literal["cache", "images", "everything", "tag"] = "cache"
    """`tag`: the image of the build that `when` follows."""
    all: bool = False
    """Also what later builds could still use, not only what is dangling."""
    filters: tuple[str, ...] = ()
    """In the client's own form, such as `type=regular` or `until=1h`."""
    keep_storage: Size | None = None
    """How much of the build cache is left."""
    via: Literal["client", "api"] = "client"
    """`client` is what users run; `api` asks the daemon itself (`what: cache`), at a tenth of the cost."""

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        if self.what == "tag" and self.when.listens_to is None:
            yield Violation(("what",), "`tag` removes what a build has just made, so `when` has to follow one (`of`)")
        if self.keep_storage is not None and self.what != "cache":
            yield Violation(("keep_storage",), "only of the build cache (`what: cache`) can a part be kept")
        if self.via == "api" and self.what != "cache":
            yield Violation(("via",), "BuildKit's API prunes the build cache alone (`what: cache`)")

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        what = {"cache": "the build cache", "images": "the images", "everything": "everything", "tag": "that image"}
        used = ", also what later builds could use" if self.all else ""
        kept = f", down to {format_size(self.keep_storage)}" if self.keep_storage is not None else ""
        filtered = f" of {' and '.join(self.filters)}" if self.filters else ""
        return f"prunes {what[self.what]}{filtered}{kept}{used}"

    def doubts(self, scenario: Scenario) -> Iterator[Violation]:
        """Yield what can be run, and yet will hardly ever, or never, have an effect."""
        yield from super().doubts(scenario)
        for spec in (scenario.daemons or {"": scenario.daemon}).values():
            if self.what in {"images", "tag"} and spec.wanted_kind == "buildkitd":
                yield Violation(("what",), f"removes nothing: buildkitd keeps no images, as {self.what!r} would need")
            if self.keep_storage and spec.limits.disk and self.keep_storage >= spec.limits.disk:
                yield Violation(("keep_storage",), "removes nothing: daemon.limits.disk has no room for more than that")
        for index, filter_ in enumerate(self.filters):
            age = _UNTIL.fullmatch(filter_)
            with suppress(ValueError):
                if age and scenario.stop.time is not None and parse_duration(age[1]) >= scenario.stop.time:
                    ends = format_duration(scenario.stop.time)
                    yield Violation(("filters", index), f"matches nothing: the run ends after {ends}, on a new daemon")

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Ask the daemon, itself or by its client, and wait until it is done.

        Raises:
            CouldNot: the daemon keeps nothing of the kind, said no, or did not end in time.
        """
        async with self._asked(stage, moment) if self.via == "api" else self._run(stage, moment) as effect:
            yield effect

    @asynccontextmanager
    async def _asked(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        if not isinstance(stage.daemon, Controlled):
            raise CouldNot("we cannot speak this daemon's control API; `via: client` can prune it")
        effect = Effect()
        request, parent = messages.Prune(self.filters, self.all, self.keep_storage), parent_of(self.name, moment.count)
        try:
            async with stage.daemon.control.pruning(request, parent) as asked:
                yield effect
                with anyio.fail_after(_DEADLINE_SECONDS):
                    sizes = [record.size async for record in asked]
        except TimeoutError as error:
            raise CouldNot(f"did not end within {_DEADLINE_SECONDS:g} s") from error
        except ControlError as error:
            raise CouldNot(str(error)) from error
        effect.detail = f"{len(sizes)} records, {sum(sizes)} B"
        effect.effect = sum(sizes) or len(sizes)

    @asynccontextmanager
    async def _run(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Start the client; what was reclaimed is the last line that it prints."""
        images = moment.build.images if moment.build else ()
        command = stage.daemon.prune(PruneRequest(self.what, self.all, self.filters, self.keep_storage, images))
        if command is None:
            raise NothingOfTheKind("this daemon keeps no images")
        environment = {**command.env, **environment_of(self.name, moment.count)}
        async with running(replace(command, env=environment)) as client:
            deed = Effect()
            yield deed
            try:
                done = await client.completed(_DEADLINE_SECONDS)
            except CommandTimeout as error:
                raise CouldNot(f"did not end within {_DEADLINE_SECONDS:g} s") from error
            except CommandError as error:
                raise CouldNot(" ".join(error.output.split())[-200:]) from error
            deed.detail = " ".join((done.stdout.strip().splitlines() or [""])[-1].split())
            deed.effect = removed(done.stdout)
