"""On the user's own daemon the run's images and cache go with it, and nothing goes that may be another's."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from harness.buildkit.messages import BuildEvent, PruneMessage, UsageRecord
from harness.core.files import read_json
from harness.daemons.base import ITERATION_ARG
from harness.daemons.control import ControlError, NotServed
from harness.daemons.dockerd import DockerClient, Images, _names_of
from harness.daemons.visit import Before, Visit, leave, visit
from harness.host.ledger import ELSEWHERE, GivenBack

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
    history: list[BuildEvent] = field(default_factory=lambda: [BuildEvent("complete", "old", {})])
    is_up: bool = True
    address: str = "unix:///run/docker.sock"

    async def answers(self) -> bool:
        """Whether it answers."""
        return self.is_up

    async def builds(self) -> list[BuildEvent]:
        """Return what it remembers."""
        return [*self.history]

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


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what tests leave go with their own folders."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def guest_of(engine: Engine, folder: Path | None = None) -> Visit:
    """Return a visit to a daemon, in a folder of its own."""
    return Visit(engine, engine, folder or Path(tempfile.mkdtemp(prefix="repro-visit-")))  # type: ignore[arg-type]


def visited(engine: Engine, *named: str) -> list[str]:
    """Have a run build images of these names on a daemon; return what it says is left there."""
    left: list[str] = []

    async def run() -> None:
        guest = guest_of(engine)
        async with guest.going_on(left):
            guest.name(named)
            build(engine, *named)
            await anyio.sleep(0.01)

    anyio.run(run)
    return left


def build(engine: Engine, *named: str) -> None:
    """Have images of these names be made, and what comes with them."""
    engine.named |= {*named}
    engine.nameless |= {"sha256:new", *engine.renamed}
    engine.cache |= {"new1", "new2"}
    engine.history += [OURS]


def killed(engine: Engine, folder: Path, *named: str) -> Before:
    """Have a run build images of these names, and be killed; return what was noted of the daemon before."""

    async def run() -> None:
        guest = guest_of(engine, folder)
        with suppress(anyio.get_cancelled_exc_class()):
            async with guest.going_on([]):
                await anyio.sleep(0.01)
                guest.name(named)
                (folder / "kept").mkdir()
                for file in folder.iterdir():
                    if file.is_file():
                        shutil.copy2(file, folder / "kept")

    anyio.run(run)
    for file in (folder / "kept").iterdir():
        shutil.copy2(file, folder)
    build(engine, *named)
    return read_json(folder / ELSEWHERE, Before)


def come_back(engine: Engine, folder: Path, before: Before) -> GivenBack:
    """Give back after a kill."""

    async def run() -> GivenBack:
        return await guest_of(engine, folder).come_back(before)

    return anyio.run(run)


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
        guest = guest_of(engine)
        with anyio.CancelScope() as scope:
            async with guest.going_on(left):
                engine.cache.add("new")
                scope.cancel()
                await anyio.sleep_forever()

    anyio.run(run)
    assert (engine.cache, left) == ({"old1", "old2"}, [])


def test_a_daemon_elsewhere(tmp_path: Path) -> None:
    """Over TCP or ssh nobody tells who builds: nothing is taken for ours that has no name of ours."""
    guest = visit(DockerClient("docker", "tcp://127.0.0.1:1", {}), tmp_path)
    left: list[Any] = []

    async def run() -> None:
        async with guest.going_on(left):
            await anyio.lowlevel.checkpoint()

    anyio.run(run)
    assert "not reached by a socket of this host" in left[0]


def test_a_killed_run_is_given_back(tmp_path: Path) -> None:
    """What a killed run made goes as it would have with the run, as long as the daemon knows of no other's builds."""
    engine = Engine()
    before = killed(engine, tmp_path, "repro-ci-0:latest")
    assert come_back(engine, tmp_path, before) == GivenBack()
    assert (engine.named, engine.nameless, engine.cache) == ({"app:latest"}, {"sha256:old"}, {"old1", "old2"})


@pytest.mark.parametrize(
    ("history", "why"),
    [([THEIRS, OURS], "others have built there since"), ([], "does not remember the run's builds")],
    ids=["others", "forgotten"],
)
def test_after_a_kill_what_may_be_anothers_stays(tmp_path: Path, history: list[BuildEvent], why: str) -> None:
    """Where others built after the kill, or the daemon has forgotten, only what has a name of ours goes; told once."""
    engine = Engine()
    before = killed(engine, tmp_path, "repro-ci-0:latest", "mine:1")
    engine.history = history
    given = come_back(engine, tmp_path, before)
    assert given.problems == ()
    assert "another's by now" in given.told[0]
    assert why in given.told[1]
    assert engine.named == {"app:latest", "mine:1"}
    assert engine.cache == {"old1", "old2", "new1", "new2"}


def test_a_daemon_that_is_down(tmp_path: Path) -> None:
    """A daemon that does not answer is asked again by the next `repro clean`."""
    engine = Engine(is_up=False)
    before = killed(engine, tmp_path, "repro-ci-0:latest")
    assert "gives no answer" in come_back(engine, tmp_path, before).problems[0]


def test_what_others_may_have_written_is_not_believed(tmp_path: Path) -> None:
    """A note that another can write to removes nothing from the user's daemon."""
    (tmp_path / ELSEWHERE).write_text("{}")
    (tmp_path / ELSEWHERE).chmod(0o666)
    assert "is not known" in anyio.run(leave, tmp_path / ELSEWHERE).problems[0]
