"""A visit to the user's own daemon: what the run has made there is given back, and nothing else is touched.

An image is the run's where its builds named it, by a name of ours or one that nobody had before. Nothing says whose a
record of the cache is, or an image without a name. What has come since the run began is the run's where the daemon has
told of every build meanwhile, and each was one of ours; else it is left, and that is said.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio

from harness.buildkit.messages import BuildEvent, PruneMessage
from harness.daemons.base import ITERATION_ARG, OF_OURS
from harness.daemons.control import Control, ControlError
from harness.daemons.dockerd import DockerClient, Images

_OURS: Final = f"build-arg:{ITERATION_ARG}"
_LEAVE_SECONDS: Final = 60.0
_AT_ONCE: Final = 100
"""Records of the cache in one request."""
_BY_HAND: Final = "`docker buildx prune` and `docker image prune` remove it, with all that others have there"


@dataclass
class Visit:
    """One run on a daemon that is not ours."""

    client: DockerClient
    control: Control | None
    """Its control API; None where it is not to be reached."""
    named: set[str] = field(default_factory=set)
    """The images that builds have named; whoever asks for builds keeps it up to date."""
    others: str = ""
    """Why what has come meanwhile may be another's; nothing where it is not."""
    _images: Images = field(default_factory=Images)
    _cache: frozenset[str] = frozenset()

    @asynccontextmanager
    async def going_on(self, left: list[str]) -> AsyncIterator[None]:
        """See what is there, watch who else builds, and give back what was made meanwhile.

        Args:
            left: gets a sentence for each thing that could not be given back.
        """
        self._images, self._cache = await self.client.images(), await self._records()
        async with anyio.create_task_group() as beside:
            listens = anyio.Event()
            beside.start_soon(self._watch, listens)
            await listens.wait()
            try:
                yield
            finally:
                beside.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    with anyio.move_on_after(_LEAVE_SECONDS) as patience:
                        left += await self._leave()
                    if patience.cancelled_caught:
                        left.append(
                            f"the daemon did not give back what the run made in {_LEAVE_SECONDS:g} s; {_BY_HAND}"
                        )
                if self.control:
                    self.control.close()

    async def _watch(self, listens: anyio.Event) -> None:
        """Notice builds that are not ours."""
        try:
            if self.control is None:
                self.others = "the daemon is not reached by a socket of this host, and so does not tell who builds"
                return
            async with self.control.build_events() as events:
                listens.set()
                async for event in events:
                    if _is_anothers(event):
                        self.others = "others built there meanwhile"
            self.others = self.others or "the daemon ceased to tell who builds"
        except ControlError as error:
            self.others = f"the daemon does not tell who builds ({error})"
        finally:
            listens.set()

    async def _records(self) -> frozenset[str]:
        try:
            return frozenset(each.id for each in await self.control.cache_records()) if self.control else frozenset()
        except ControlError as error:
            self.others = f"the daemon does not tell of its cache ({error})"
            return frozenset()

    async def _leave(self) -> list[str]:
        """Give back what was made; return what was not, a sentence each."""
        images = await self.client.images()
        theirs = {name for name in self.named & self._images.named if not name.startswith(OF_OURS)}
        wanted = sorted(self.named & images.named - theirs)
        nameless = (
            images.nameless - self._images.ids
        )  # one that was there has lost its name to a pull, and is another's
        refused = await self.client.remove_images([*wanted, *(() if self.others else sorted(nameless))])
        problems = [f"image {name} stays on the host's daemon: {why}" for name, why in refused.items()]
        if theirs:
            problems.append(f"the run's builds took the names of images that were there: {', '.join(sorted(theirs))}")
        made = await self._records() - self._cache
        if made and not self.others:
            await self._prune(made)
            made &= await self._records()
        if made or (self.others and (nameless or self.control is None)):
            why = self.others or "they are in use"
            problems.append(f"build cache of the run may be left on the host's daemon, for {why}; {_BY_HAND}")
        return problems

    async def _prune(self, records: Iterable[str]) -> None:
        """Remove records of the cache, those that others hang on with them."""
        for some in _batches(sorted(records)):
            request = PruneMessage(tuple(f"id=={each}" for each in some), all=True)
            try:
                async with self.control.pruning(request) as removed:  # type: ignore[union-attr]  # else none are known
                    async for _ in removed:
                        continue
            except ControlError as error:
                self.others = f"the daemon did not prune ({error})"
                return


def visit(client: DockerClient) -> Visit:
    """Return a visit to a daemon, with its control API where its address is a socket of this host."""
    scheme, _, place = client.address.partition("://")
    return Visit(client, Control(Path(place), engine=True) if scheme == "unix" else None)


def _is_anothers(event: BuildEvent) -> bool:
    return event.kind != "deleted" and _OURS not in event.attributes


def _batches(records: Sequence[str]) -> Iterable[Sequence[str]]:
    return [records[at : at + _AT_ONCE] for at in range(0, len(records), _AT_ONCE)]
