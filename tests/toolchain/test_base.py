"""Toolchains and binaries: what runs what, and what does not start."""

from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from harness.core.manifest import Binary
from harness.toolchain.base import (
    NEEDS,
    BinaryBroken,
    Toolchain,
    ToolchainIncomplete,
    inspect,
    side_by_side,
    version_of,
)

pytestmark = pytest.mark.anyio

SOME = Binary(Path("/bin/x"), "1", "00")


def test_kinds_are_those_whose_programs_are_all_there() -> None:
    """A toolchain runs exactly the kinds that it lacks nothing for, and says what the others lack."""
    toolchain = Toolchain("path:/x", dict.fromkeys((*NEEDS["buildkitd"], "dockerd", "docker"), SOME))
    assert toolchain.kinds == ("buildkitd",)
    assert toolchain.missing("dockerd") == ("docker-buildx", "containerd", "containerd-shim-runc-v2")
    toolchain.require("buildkitd")
    with pytest.raises(ToolchainIncomplete, match="'path:/x' cannot run dockerd: it lacks docker-buildx, containerd,"):
        toolchain.require("dockerd")


def test_a_running_daemon_needs_clients_only() -> None:
    """With an endpoint the clients are enough for dockerd, and nothing makes it a buildkitd."""
    toolchain = Toolchain("host", dict.fromkeys(("docker", "docker-buildx"), SOME), "unix:///run/docker.sock")
    assert toolchain.kinds == ("dockerd",)


async def test_a_binary_is_known_by_version_and_hash(tmp_path: Path, fake: Callable[..., Path]) -> None:
    """The version is what the program says, the hash is that of its bytes: equal files have equal hashes."""
    one, same = [await inspect("runc", fake(tmp_path / folder, "runc", "1.2")) for folder in ("a", "b")]
    other = await inspect("runc", fake(tmp_path / "c", "runc", "1.3"))
    assert (one.version, other.version) == ("runc 1.2", "runc 1.3")
    assert one.sha256 == same.sha256 != other.sha256


@pytest.mark.parametrize(
    ("name", "argument"), [("runc", "--version"), ("docker-buildx", "version"), ("containerd-shim-runc-v2", "-v")]
)
async def test_each_program_is_asked_in_its_own_way(tmp_path: Path, name: str, argument: str) -> None:
    """The argument that makes a program tell its version is the program's own; a heading above it is passed over."""
    program = tmp_path / name
    program.write_text(f'#!/bin/sh\n[ "$*" = {argument} ] || exit 1\necho\necho "{name}:"\necho "  Version:   7"\n')
    program.chmod(0o755)
    assert await version_of(name, program) == "Version: 7"


async def test_the_loaders_words_are_passed_on(tmp_path: Path, fake: Callable[..., Path]) -> None:
    """A binary that fails to load is named with what the loader said."""
    with pytest.raises(BinaryBroken, match=r"runc does not start on this host: .*GLIBC_9.99' not found \(in /"):
        await version_of("runc", fake(tmp_path, "runc", starts=False))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\x7fELF of another machine", "Exec format error"), (b"#!/no/such/loader\n", "built for another system")],
    ids=["machine", "loader"],
)
async def test_what_the_kernel_refuses_is_broken_and_not_missing(tmp_path: Path, content: bytes, said: str) -> None:
    """A file of another architecture, or for another loader, is no program that one could install."""
    program = tmp_path / "runc"
    program.write_bytes(content)
    program.chmod(0o755)
    with pytest.raises(BinaryBroken, match=said):
        await version_of("runc", program)


async def test_programs_are_looked_at_at_once() -> None:
    """Each look begins before any is over, and what comes of them is in the order of what was given."""
    order = ["runc", "buildctl", "buildkitd"]
    begun: list[str] = []

    async def look(name: str, path: Path) -> Binary:
        begun.append(name)
        while len(begun) < len(order):
            await anyio.lowlevel.checkpoint()
        for _ in range(order.index(name)):
            await anyio.lowlevel.checkpoint()
        return Binary(path, name, "")

    with anyio.fail_after(5):
        found = await side_by_side(look, {name: Path(name) for name in reversed(order)})
    assert [*found] == [*reversed(order)]
    assert [binary.version for binary in found.values()] == [*found]


async def test_the_first_that_is_broken_is_told() -> None:
    """Of several that cannot be obtained, the first of what was given is told, whichever failed first."""

    async def look(name: str, path: Path) -> Binary:
        for _ in range(3 if name == "first" else 0):
            await anyio.lowlevel.checkpoint()
        raise BinaryBroken(path, name)

    with pytest.raises(BinaryBroken, match="first"):
        await side_by_side(look, {"first": Path("a"), "second": Path("b")})
