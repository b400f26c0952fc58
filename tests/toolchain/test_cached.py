"""The cache: whole or not there, and what runs is what was kept."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from harness.core.errors import UnknownKind
from harness.toolchain import Toolchain, cached_toolchains, remove
from harness.toolchain.base import BinaryBroken
from harness.toolchain.cached import Gathered, ToolchainDamaged, from_cache

pytestmark = pytest.mark.anyio

SPEC = "debian:trixie"


@pytest.fixture
def keep(cache: Path, fake: Callable[..., Path]) -> Callable[..., Awaitable[Toolchain]]:
    """Keep a runc under a spec, as a source does."""
    assert not cache.exists()

    async def gather(work: Path) -> Gathered:
        return Gathered({"runc": fake(work / "usr/bin", "runc")}, {"runc": "1.0-1"})

    async def keep(spec: str = SPEC) -> Toolchain:
        return await from_cache(spec, gather)

    return keep


async def never(work: Path) -> Gathered:
    """Gather what must not be gathered again."""
    raise AssertionError(work)


async def test_what_is_kept_is_used_again(keep: Callable[..., Awaitable[Toolchain]], cache: Path) -> None:
    """The second use gathers nothing and is the same toolchain, run from the cache."""
    first = await keep()
    assert await from_cache(SPEC, never) == first
    assert first.binaries["runc"].path == cache / "debian-trixie/bin/runc"


async def test_the_list_tells_what_is_there(keep: Callable[..., Awaitable[Toolchain]], cache: Path) -> None:
    """Each entry has its spec, folder, size and versions; what an interrupted fetch left is no entry."""
    await keep("debian:trixie/runc")
    await keep("docker:28.0.0-rc.1")
    await keep("image:127.0.0.1:5000/moby/buildkit:v0.25.1")
    (cache / ".debian-trixie.x1").mkdir()
    one, two, three = cached_toolchains()
    assert (one.spec, two.spec) == ("debian:trixie/runc", "docker:28.0.0-rc.1")
    assert three.spec == "image:127.0.0.1:5000/moby/buildkit:v0.25.1"
    assert ":" not in three.folder.name
    assert one.versions == {"runc": "runc 1.0"}
    assert one.folder.parent == cache
    assert one.size == sum(file.stat().st_size for file in (one.folder / "toolchain.json", one.folder / "bin/runc"))


@pytest.mark.parametrize("name", ["bin/runc", "toolchain.json"])
@pytest.mark.parametrize("fault", ["changed", "gone"])
async def test_a_damaged_toolchain_is_never_started(
    keep: Callable[..., Awaitable[Toolchain]], cache: Path, tmp_path: Path, name: str, fault: str
) -> None:
    """A file that is not what was fetched is named with the command to run, which helps; it is not executed."""
    await keep()
    file = cache / "debian-trixie" / name
    if fault == "changed":
        file.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    else:
        file.unlink()
    with pytest.raises(ToolchainDamaged, match=rf"{name}: .*run `repro toolchain remove {SPEC}`"):
        await keep()
    assert not (tmp_path / "executed").exists()
    assert [cached.spec for cached in cached_toolchains()] == [SPEC]
    remove(SPEC)
    assert (await keep()).binaries["runc"].version == "runc 1.0"


async def test_an_interrupted_fetch_leaves_nothing(cache: Path) -> None:
    """A fetch that is cancelled half-way leaves no folder, so it is never taken for a whole one."""

    async def gather(work: Path) -> Gathered:
        (work / "half").touch()
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.move_on_after(0.01):
        await from_cache(SPEC, gather)
    assert list(cache.iterdir()) == []


async def test_what_does_not_start_is_not_kept(cache: Path, fake: Callable[..., Path]) -> None:
    """A toolchain with a binary that does not start here is an error each time, not a cached failure."""

    async def gather(work: Path) -> Gathered:
        return Gathered({"dockerd": fake(work, "dockerd", starts=False)}, {})

    for _ in range(2):
        with pytest.raises(BinaryBroken, match="dockerd does not start"):
            await from_cache(SPEC, gather)
    assert list(cache.iterdir()) == []


async def test_two_at_once_end_with_one(cache: Path, fake: Callable[..., Path]) -> None:
    """Of two that fetch the same at once, the slower takes what the faster has completed."""
    both_began, began = anyio.Event(), 0

    async def gather(work: Path) -> Gathered:
        nonlocal began
        began += 1
        if began == 2:
            both_began.set()
        await both_began.wait()
        return Gathered({"runc": fake(work, "runc")}, {})

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(from_cache, SPEC, gather)
    assert [folder.name for folder in cache.iterdir()] == ["debian-trixie"]


async def test_remove_names_what_there_is(keep: Callable[..., Awaitable[Toolchain]], cache: Path) -> None:
    """What is not cached cannot be removed, and the error lists what can; leftovers of a killed fetch can."""
    await keep()
    with pytest.raises(UnknownKind, match="'debian:trixi'; did you mean 'debian:trixie'"):
        remove("debian:trixi")
    (cache / ".docker-1.2.abc").mkdir()
    remove("docker:1.2")
    assert [folder.name for folder in cache.iterdir()] == ["debian-trixie"]
