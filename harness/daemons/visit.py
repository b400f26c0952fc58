"""A visit to the user's own daemon: what the run has made there is given back, and nothing else is touched.

An image is the run's where its builds named it, by a name of ours or one that nobody had before. Nothing says whose a
record of the cache is, or an image without a name. What has come since the run began is the run's where the daemon has
told of every build meanwhile, and each was one of ours; else it is left, and that is said.

What was there before is on disk before the first build, and so is each name before it is used: where the harness was
killed, `leave` gives back. Then only a name of ours says whose an image is, and the daemon's records of builds who has
built since.
"""

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from harness.buildkit.messages import BuildEvent, PruneMessage
from harness.core.errors import StoreError
from harness.core.files import read_json, write_json
from harness.daemons.base import ITERATION_ARG, OF_OURS
from harness.daemons.control import Control, ControlError
from harness.daemons.dockerd import DockerClient, Images
from harness.host.ledger import ELSEWHERE, GivenBack
from harness.host.proof import Disbelieved, read_ours

_NAMES: Final = "names"
"""Beside what was there before: the images that builds have named, a line each."""
_OTHERS: Final = "others"
"""Is there once others have built meanwhile."""
_OURS: Final = f"build-arg:{ITERATION_ARG}"
_LEAVE_SECONDS: Final = 60.0
_AT_ONCE: Final = 100
"""Records of the cache in one request."""
_BY_HAND: Final = "`docker buildx prune` and `docker image prune` remove it, with all that others have there"


@dataclass(frozen=True)
class Before:
    """What was on a daemon before a run came: written down in the run's ledger."""

    address: str
    images: Images
    cache: frozenset[str]
    """The ids of its records."""
    builds: frozenset[str]
    """The refs of the builds that it had records of."""


@dataclass
class Visit:
    """One run on a daemon that is not ours."""

    client: DockerClient
    control: Control | None
    """Its control API; None where it is not to be reached."""
    folder: Path
    """Of the run's ledger: what is known of the visit is kept here until all is given back."""
    named: set[str] = field(default_factory=set)
    """The images that builds have named."""
    others: str = ""
    """Why what has come meanwhile may be another's; nothing where it is not."""
    _before: Before = Before("", Images(), frozenset(), frozenset())

    def name(self, images: Iterable[str]) -> None:
        """Note what a build is to name, before it is asked for."""
        if new := {*images} - self.named:
            self.named |= new
            with open(self.folder / _NAMES, "a", opener=partial(os.open, mode=0o600)) as names:
                names.writelines(f"{each}\n" for each in sorted(new))

    @asynccontextmanager
    async def going_on(self, left: list[str]) -> AsyncIterator[None]:
        """See what is there, watch who else builds, and give back what was made meanwhile.

        Args:
            left: gets a sentence for each thing that could not be given back.
        """
        self._before = Before(
            self.client.address, await self.client.images(), await self._records(), await self._builds()
        )
        write_json(self.folder / ELSEWHERE, asdict(self._before))
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
                        (self.folder / ELSEWHERE).unlink()
                    if patience.cancelled_caught:
                        left.append(f"the daemon did not give back what the run made in {_LEAVE_SECONDS:g} s")
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
                    if _is_anothers(event) and not self.others:
                        self.others = "others built there meanwhile"
                        (self.folder / _OTHERS).touch()
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

    async def _builds(self) -> frozenset[str]:
        try:
            return frozenset(each.ref for each in await self.control.builds()) if self.control else frozenset()
        except ControlError as error:
            self.others = f"the daemon does not tell who builds ({error})"
            return frozenset()

    async def come_back(self, before: Before) -> GivenBack:
        """Give back what a run made whose harness was killed: who has built since, the daemon's records say."""
        if not await self.client.answers():
            return GivenBack((f"the daemon at {before.address} has images and cache of the run, and gives no answer",))
        self._before = before
        with suppress(FileNotFoundError):
            self.named = {*read_ours(self.folder / _NAMES).splitlines()}
        if (self.folder / _OTHERS).exists():
            self.others = "others built there meanwhile"
        told = await self._leave(was_killed=True)
        if self.control:
            self.control.close()
        return GivenBack(told=tuple(told))

    async def _built_since(self) -> str:
        """Return why what has come since may be another's; nothing where the daemon remembers builds of ours alone."""
        if self.control is None:
            return "the daemon is not reached by a socket of this host, and so does not tell who has built"
        try:
            builds = [each for each in await self.control.builds() if each.ref not in self._before.builds]
        except ControlError as error:
            return f"the daemon does not tell who has built ({error})"
        if any(_is_anothers(each) for each in builds):
            return "others have built there since"
        # it forgets the oldest first: as long as it knows of ours, it knows of all that came after
        return "" if builds else "the daemon does not remember the run's builds"

    async def _leave(self, *, was_killed: bool = False) -> list[str]:
        """Give back what was made; return what was not, a sentence each."""
        images, made = await self.client.images(), await self._records() - self._before.cache
        unsure: set[str] = set()
        if was_killed:
            self.others = self.others or await self._built_since()
            unsure = {name for name in self.named & images.named if not name.startswith(OF_OURS)}
        theirs = {name for name in self.named & self._before.images.named if not name.startswith(OF_OURS)}
        wanted = sorted(self.named & images.named - theirs - unsure)
        # one that was there has lost its name to a pull, and is another's
        nameless = images.nameless - self._before.images.ids
        refused = await self.client.remove_images([*wanted, *(() if self.others else sorted(nameless))])
        problems = [f"image {name} stays on the host's daemon: {why}" for name, why in refused.items()]
        if theirs:
            problems.append(f"the run's builds took the names of images that were there: {', '.join(sorted(theirs))}")
        if unsure := unsure - theirs:
            problems.append(f"images that may be another's by now were left on the daemon: {', '.join(sorted(unsure))}")
        if not was_killed:
            made = await self._records() - self._before.cache
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


def visit(client: DockerClient, folder: Path) -> Visit:
    """Return a visit to a daemon, with its control API where its address is a socket of this host.

    Args:
        client: asks the daemon.
        folder: of the run's ledger.
    """
    scheme, _, place = client.address.partition("://")
    return Visit(client, Control(Path(place), engine=True) if scheme == "unix" else None, folder)


async def leave(file: Path) -> GivenBack:
    """Give back what a killed run made on the user's daemon, as its ledger's file says."""
    try:
        read_ours(file)
        before = read_json(file, Before)
    except (Disbelieved, OSError, StoreError) as error:
        return GivenBack((f"what the run made on the host's daemon is not known: {error}",))
    with anyio.move_on_after(_LEAVE_SECONDS):
        return await visit(DockerClient("docker", before.address, {}), file.parent).come_back(before)
    return GivenBack((f"the daemon at {before.address} did not give back what the run made in {_LEAVE_SECONDS:g} s",))


def _is_anothers(event: BuildEvent) -> bool:
    return event.kind != "deleted" and _OURS not in event.attributes


def _batches(records: Sequence[str]) -> Iterable[Sequence[str]]:
    return [records[at : at + _AT_ONCE] for at in range(0, len(records), _AT_ONCE)]
