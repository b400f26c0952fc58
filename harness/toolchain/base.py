"""What a toolchain is: the daemon binaries under test, each started once to learn its version, and hashed."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Protocol, TypeVar

import anyio
import anyio.to_thread

from harness.core.errors import CommandError, CommandMissing, CommandTimeout, HarnessError, SubjectError, UsageError
from harness.core.manifest import Binary
from harness.host.proc import run

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "dockerd": ("dockerd", "docker", "docker-buildx", "containerd", "containerd-shim-runc-v2", "runc"),
    "buildkitd": ("buildkitd", "buildctl", "runc"),
}
"""The kinds of daemon, and the programs that each needs; the first is the daemon itself."""
CLIENTS: Final = ("docker", "docker-buildx")
"""What builds need where the daemon is not ours to start."""
DRIVER_NEEDS: Final[Mapping[str, str]] = {"docker-container": "docker-init", "remote": "docker-buildx"}
"""The program that a driver needs beside those of its kind of daemon."""
COMPOSE: Final = "docker-compose"
"""What builds `via: compose` need beside those of a dockerd."""
PROGRAMS: Final = tuple(dict.fromkeys((*chain.from_iterable(NEEDS.values()), *DRIVER_NEEDS.values(), COMPOSE)))

BAKE: Final = (0, 17)
"""The first buildx whose bake compose builds by."""

_NUMBER: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?")
_VERSION_ARGUMENT: Final = {"docker-buildx": "version", COMPOSE: "version", "containerd-shim-runc-v2": "-v"}
_START_SECONDS: Final = 30.0
Known = TypeVar("Known")
"""What is known of a program before it is looked at: where it is, or what it is to be."""


class BadSpec(UsageError):
    """A toolchain that its name does not lead to."""

    def __init__(self, spec: str, why: str) -> None:
        super().__init__(f"toolchain {spec!r}: {why}")


class ToolchainIncomplete(UsageError):
    """A toolchain that cannot run the kind of daemon asked for."""

    def __init__(self, spec: str, kind: str, lacking: tuple[str, ...]) -> None:
        super().__init__(f"toolchain {spec!r} cannot run {kind}: it lacks {', '.join(lacking)}")


class BinaryBroken(SubjectError):
    """A binary that does not start on this host; the message has what the loader or the program said."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path.name} does not start on this host: {why} (in {path.parent})")


@dataclass(frozen=True)
class Toolchain:
    """A set of daemon binaries under test, by program name out of `PROGRAMS`."""

    spec: str
    """How to name the very same toolchain again."""
    binaries: Mapping[str, Binary]
    endpoint: str | None = None
    """Address of the daemon that runs already; only of the host's own."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of daemon that it can run."""
        return tuple(kind for kind in NEEDS if not self.missing(kind))

    def missing(self, kind: str) -> tuple[str, ...]:
        """Return the programs that it lacks to run `kind`."""
        needs = CLIENTS if self.endpoint and kind == "dockerd" else NEEDS[kind]
        return tuple(name for name in needs if name not in self.binaries)

    def require(self, kind: str) -> None:
        """Make sure that it can run `kind`.

        Raises:
            ToolchainIncomplete: it cannot; the message names what it lacks.
        """
        if lacking := self.missing(kind):
            raise ToolchainIncomplete(self.spec, kind, lacking)


class Source(Protocol):
    """Where one kind of toolchain comes from."""

    async def obtain(self, argument: str) -> Toolchain:
        """Return the toolchain that `argument` names: what stands behind the colon of the spec, or nothing.

        Raises:
            UsageError: there is no such toolchain.
            InfraError: it cannot be obtained here and now.
        """
        ...


def number_of(program: Binary) -> str:
    """Return the number in what a program says of its version; empty where there is none."""
    found = _NUMBER.search(program.version)
    return found[0] if found else ""


def is_before(program: Binary, version: tuple[int, int]) -> bool:
    """Whether a program is older than a version; of an unknown version it is not."""
    found = _NUMBER.search(program.version)
    return found is not None and tuple(map(int, found.groups())) < version


async def inspect(name: str, path: Path) -> Binary:
    """Return what `path`, a program of that name, is.

    Raises:
        BinaryBroken: it does not start.
    """
    return Binary(path, await version_of(name, path), await sha256_of(path))


async def side_by_side(
    look: Callable[[str, Known], Awaitable[Binary]], programs: Mapping[str, Known]
) -> dict[str, Binary]:
    """Look at some programs at once, for each is started and read; return what they are, by name, in the same order.

    Args:
        look: is given a program's name, and what is known of it.
        programs: what is known of each, by name.

    Raises:
        HarnessError: what came of the first of them that cannot be obtained.
    """
    found: dict[str, Binary] = {}
    failed: dict[str, HarnessError] = {}

    async def look_at(name: str, known: Known) -> None:
        try:
            found[name] = await look(name, known)
        except HarnessError as error:
            failed[name] = error

    async with anyio.create_task_group() as tasks:
        for name, known in programs.items():
            tasks.start_soon(look_at, name, known)
    if failed:
        raise next(failed[name] for name in programs if name in failed)
    return {name: found[name] for name in programs}


async def version_of(name: str, path: Path) -> str:
    """Return the first line in which a program says its version; a heading above it does not count.

    Raises:
        BinaryBroken: it does not start.
    """
    try:
        argv: list[str | Path] = [path, _VERSION_ARGUMENT.get(name, "--version")]
        completed = await run(argv, deadline=_START_SECONDS, dies_with_us=False)
    except CommandMissing as error:
        raise BinaryBroken(path, _kernel_error(error)) from error
    except CommandError as error:
        raise BinaryBroken(path, error.output.strip() or f"exit {error.returncode}") from error
    except CommandTimeout as error:
        raise BinaryBroken(path, f"it did not tell its version within {error.seconds:g} s") from error
    lines = (" ".join(line.split()) for line in completed.stdout.splitlines())
    return next((line for line in lines if line and not line.endswith(":")), "unknown")


def _kernel_error(error: CommandMissing) -> str:
    if isinstance(error.__cause__, FileNotFoundError):
        return "the loader that it names is not there; it is built for another system"
    return error.__cause__.strerror or str(error) if isinstance(error.__cause__, OSError) else str(error)


async def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""

    def digest() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return await anyio.to_thread.run_sync(digest)
