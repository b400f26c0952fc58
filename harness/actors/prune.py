"""``prune``: has the daemon remove what it keeps, while builds are in flight."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, Literal

from harness.actors.answered import Request, answered
from harness.actors.base import ActorEnv, CouldNot, Effect
from harness.actors.kill import KillRule
from harness.buildkit import messages
from harness.core.quantities import Size
from harness.core.trace import parent_of
from harness.core.units import counted, format_duration, format_size, parse_duration
from harness.daemons.base import PruneRequest
from harness.daemons.control import ControlError, Controlled
from harness.scenario import Scenario, Setting, Violation
from harness.scenario.triggers import Firing

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


class Prune(Request):
    """Prune the build cache, the images, or everything; or remove the image that a build has just made."""

    what: Literal["cache", "images", "everything", "tag"] = "cache"
    """`tag`: the image of the build that `when` follows."""
    all: bool = False
    """Also what later builds could still use, not only what is dangling."""
    filters: tuple[str, ...] = ()
    """In the client's own form, such as `type=regular` or `until=1h`."""
    keep_storage: Size | None = None
    """How much of the build cache is left."""
    kill: KillRule | None = None
    """Have its client killed in the middle of some of its acts; `every` counts those."""
    via: Literal["client", "api", "auto"] = "client"
    """`client` is what users run; `api` asks the daemon itself (`what: cache`), at a tenth of the cost, without a wait
    for a client to start; `auto` is `api` where we can speak to the daemon, else `client`.
    """

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        if self.what == "tag" and self.when.listens_to is None:
            yield Violation(("what",), "`tag` removes what a build has just made, so `when` has to follow one (`of`)")
        if self.keep_storage is not None and self.what != "cache":
            yield Violation(("keep_storage",), "only of the build cache (`what: cache`) can a part be kept")
        if self.via != "client" and self.kill:
            yield Violation(("kill",), f"`via: {self.via}` starts no client that could be killed")
        if self.via != "client" and self.what != "cache":
            yield Violation(("via",), "BuildKit's API prunes the build cache alone (`what: cache`)")

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        what = {"cache": "the build cache", "images": "the images", "everything": "everything", "tag": "that image"}
        used = ", also what later builds could use" if self.all else ""
        kept = f", down to {format_size(self.keep_storage)}" if self.keep_storage is not None else ""
        filtered = f" of {' and '.join(self.filters)}" if self.filters else ""
        cut = "; some of its clients are killed in the middle" if self.kill else ""
        return f"prunes {what[self.what]}{filtered}{kept}{used}{cut}"

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

    async def perform(self, stage: ActorEnv) -> None:
        """Act at every moment of the trigger; the connection that an act needs is made before the first one."""
        if self._asks_itself(stage) and isinstance(stage.daemon, Controlled):
            with suppress(ControlError):  # the act will say so
                await stage.daemon.control.connect()
        await super().perform(stage)

    def _asks_itself(self, stage: ActorEnv) -> bool:
        """Whether no client is started."""
        return self.via == "api" or (self.via == "auto" and isinstance(stage.daemon, Controlled))

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Ask the daemon, itself or by its client, and wait until it is done.

        Raises:
            CouldNot: the daemon keeps nothing of the kind, said no, or did not end in time.
        """
        images = moment.build.images if moment.build else ()
        request = PruneRequest(self.what, self.all, self.filters, self.keep_storage, images)
        way = self._over_api(stage, moment) if self._asks_itself(stage) else self._by_client(stage, moment, request)
        async with way as effect:
            yield effect

    def _by_client(self, stage: ActorEnv, moment: Firing, request: PruneRequest) -> AbstractAsyncContextManager[Effect]:
        return self.asked(stage, moment, stage.daemon.prune(request), removed, self.kill)

    @asynccontextmanager
    async def _over_api(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        if not isinstance(stage.daemon, Controlled):
            raise CouldNot("we cannot speak this daemon's control API; `via: client` can prune it")
        effect = Effect()
        request, parent = (
            messages.PruneMessage(self.filters, self.all, self.keep_storage),
            parent_of(self.name, moment.count),
        )
        try:
            async with stage.daemon.control.pruning(request, parent) as asked:
                yield effect

                async def removed_all() -> list[int]:
                    return [record.size async for record in asked]

                sizes = await answered(stage, self, "prune, over the control API", removed_all)
        except ControlError as error:
            raise CouldNot(str(error)) from error
        effect.detail = f"{counted(len(sizes), 'record')}, {format_size(sum(sizes))}"
        effect.effect = sum(sizes) or len(sizes)
