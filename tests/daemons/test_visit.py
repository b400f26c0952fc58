"""On the user's own daemon the run's images and cache go with it, and nothing goes that may be another's."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from harness.buildkit.messages import BuildEvent, PruneMessage, UsageRecord
from harness.daemons.base import ITERATION_ARG
from harness.daemons.control import ControlError, NotServed
from harness.daemons.dockerd import DockerClient, Images, _names_of
from harness.daemons.visit import Visit, visit

OURS = BuildEvent("started", "a", {f"build-arg:{ITERATION_ARG}": "1"})
THEIRS = BuildEvent("started", "b", {"build-arg:N": "1"})


@dataclass
class Engine:
    """A daemon with images and a cache, and clients that it refuses nothing but what is in use."""

    named: set[str] = field(default_factory=lambda: {"app:latest"})
    nameless: set[str] = field(default_factory=lambda: {"sha256:old"})
    renamed: frozenset[str] = frozenset()
    """Images that have a name at first, and lose it to a pull of a newer one."""
    cache: set[str] = field(default_factory=lambda: {"old1", "old2"})
    in_use: frozenset[str] = frozenset()
    events: Sequence[BuildEvent] = (OURS,)
    error: ControlError | None = None
    filters: list[str] = field(default_factory=list)

    async def images(self) -> Images:
        """Return them."""
        return Images(frozenset(self.named), frozenset(self.nameless), frozenset({*self.nameless, *self.renamed}))

    async def remove_images(self, images: Sequence[str]) -> dict[str, str]:
        """Remove them."""
        self.named -= {*images} - self.in_use
        self.nameless -= {*images} - self.in_use
        return dict.fromkeys(self.in_use.intersection(images), "in use")

    async def cache_records(self) -> list[UsageRecord]:
        """Return them."""
        return [UsageRecord(each) for each in self.cache]

    @asynccontextmanager
    async def build_events(self) -> AsyncIterator[AsyncIterator[BuildEvent]]:
        """Tell of builds, and then of nothing any more."""
        if self.error:
            raise self.error

        async def events() -> AsyncIterator[BuildEvent]:
            for event in self.events:
                yield event
            await anyio.sleep_forever()

        yield events()

    @asynccontextmanager
    async def pruning(self, request: PruneMessage) -> AsyncIterator[AsyncIterator[UsageRecord]]:
        """Remove what is asked for."""
        self.filters += request.filters

        async def removed() -> AsyncIterator[UsageRecord]:
            for each in request.filters:
                self.cache -= {each.removeprefix("id==")} - self.in_use
                yield UsageRecord(each)

        yield removed()

    def close(self) -> None:
        """Close nothing."""


def visited(engine: Engine, *named: str) -> list[str]:
    """Have a run build images of these names on a daemon; return what it says is left there."""
    left: list[str] = []

    async def run() -> None:
        guest = Visit(engine, engine)  # type: ignore[arg-type]  # as far as it is asked
        async with guest.going_on(left):
            guest.named.update(named)
            engine.named |= {*named}
            engine.nameless |= {"sha256:new", *engine.renamed}
            engine.cache |= {"new1", "new2"}
            await anyio.sleep(0.01)

    anyio.run(run)
    return left


def test_what_was_made_goes() -> None:
    """Images, those that lost their names, and cache of the run are gone; what was there before is there."""
    engine = Engine()
    assert visited(engine, "repro-ci-0:latest", "repro-ci-1:latest") == []
    assert (engine.named, engine.nameless) == ({"app:latest"}, {"sha256:old"})
    assert engine.cache == {"old1", "old2"}
    assert engine.filters == ["id==new1", "id==new2"]


def test_an_image_that_has_lost_its_name() -> None:
    """An image of the user's that a newer one has taken the name of is the user's, though it has no name any more."""
    engine = Engine(renamed=frozenset({"sha256:theirs"}))
    visited(engine, "app:latest")
    assert engine.nameless == {"sha256:old", "sha256:theirs"}


def test_a_digest_is_a_name() -> None:
    """An image that was pulled by its digest is somebody's; a digest of a name of ours says nothing."""
    assert [*_names_of({"RepoTags": None, "RepoDigests": ["debian@sha256:1"]})] == ["debian@sha256:1"]
    unnamed = {"RepoTags": ["<none>:<none>"], "RepoDigests": ["repro-ci-0@sha256:1", "<none>@<none>"]}
    assert not [*_names_of(unnamed)]


def test_a_name_that_was_there() -> None:
    """An image of a name that the user had is the user's, also where the run has built another of that name: told."""
    engine = Engine()
    (told,) = visited(engine, "app:latest")
    assert engine.named == {"app:latest"}
    assert told == "the run's builds took the names of images that were there: app:latest"


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (Engine(events=(OURS, THEIRS)), "others built there meanwhile"),
        (Engine(error=NotServed("ListenBuildHistory", "unknown method")), "does not tell who builds"),
    ],
    ids=["others", "silent"],
)
def test_what_may_be_anothers_stays(engine: Engine, why: str) -> None:
    """Where others build too, or that cannot be known, cache and nameless images stay, and that is said."""
    (told,) = visited(engine, "repro-ci-0:latest")
    assert engine.named == {"app:latest"}
    assert engine.nameless == {"sha256:old", "sha256:new"}
    assert engine.cache == {"old1", "old2", "new1", "new2"}
    assert why in told
    assert "docker buildx prune" in told


def test_what_is_deleted_is_no_build() -> None:
    """A record of another's build that the daemon drops for its age is no build meanwhile."""
    engine = Engine(events=(BuildEvent("deleted", "b", {}),))
    assert visited(engine) == []
    assert engine.cache == {"old1", "old2"}


def test_what_is_in_use_stays() -> None:
    """What the daemon does not give up is named, and the rest goes."""
    engine = Engine(in_use=frozenset({"new1", "repro-ci-0:latest"}))
    image, cache = visited(engine, "repro-ci-0:latest")
    assert image == "image repro-ci-0:latest stays on the host's daemon: in use"
    assert "they are in use" in cache
    assert engine.cache == {"old1", "old2", "new1"}


def test_also_where_the_run_breaks() -> None:
    """A run that ends in an error, or is interrupted, gives back as well."""
    engine, left = Engine(), list[str]()

    async def run() -> None:
        guest = Visit(engine, engine)  # type: ignore[arg-type]  # as far as it is asked
        with anyio.move_on_after(0.01):
            async with guest.going_on(left):
                engine.cache.add("new")
                await anyio.sleep_forever()

    anyio.run(run)
    assert (engine.cache, left) == ({"old1", "old2"}, [])


def test_a_daemon_elsewhere() -> None:
    """Over TCP or ssh nobody tells who builds: nothing is taken for ours that has no name of ours."""
    guest = visit(DockerClient("docker", "tcp://127.0.0.1:1", {}))
    left: list[Any] = []

    async def run() -> None:
        async with guest.going_on(left):
            await anyio.lowlevel.checkpoint()

    anyio.run(run)
    assert "not reached by a socket of this host" in left[0]
