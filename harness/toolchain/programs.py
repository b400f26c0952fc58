"""Where the programs of a toolchain are found: in a folder, on this host, or alone in Debian's archive."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from harness.core.errors import InfraError
from harness.toolchain.apt import PackageMissing, UnknownSuite, fetch_packages, suites_to_try
from harness.toolchain.base import COMPOSE, DRIVER_NEEDS, NEEDS, PROGRAMS, BinaryBroken, Toolchain, inspect, version_of
from harness.toolchain.cached import Gathered, from_cache

PLUGIN_FOLDERS: Final = (
    Path("/usr/local/lib/docker/cli-plugins"),
    Path("/usr/local/libexec/docker/cli-plugins"),
    Path("/usr/lib/docker/cli-plugins"),
    Path("/usr/libexec/docker/cli-plugins"),
)
"""The system's folders in the Docker CLI's own order (``cli-plugins/manager/manager_unix.go``)."""
PROGRAM_FOLDERS: Final = ("bin", "sbin", "cli-plugins", "docker")  # the last is all that Docker's releases hold
OTHER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "runc": ("runc", "buildkit-runc"),  # BuildKit's archive names its own so
    "docker-init": ("docker-init", "tini-static"),  # Debian's docker.io has a link of that name to the other package's
}
_PACKAGES: Final = {
    "runc": "runc",
    "docker-buildx": "docker-buildx",
    "docker-init": "tini",
    COMPOSE: "docker-compose",
}
"""What is fetched from Debian's archive where nothing else has it, and the package that it is in."""
_SUITES: Final[Mapping[str, tuple[str, ...]]] = {COMPOSE: ("testing", "unstable")}
"""Where that of this host's own suite is too old; see `run.plan`."""


class ProgramUnavailable(InfraError):
    """A program that a toolchain lacks and that nothing here can complete."""

    def __init__(self, name: str, reasons: Mapping[str, str]) -> None:
        reasons_text = "".join(f"\n    {where}: {why}" for where, why in reasons.items())
        super().__init__(f"no {name} that starts on this host; put one on PATH. Tried:{reasons_text}")


def programs_in(*folders: Path) -> dict[str, Path]:
    """Return the programs of toolchains that lie in `folders`; the first folder that has one counts."""
    found: dict[str, Path] = {}
    for name in PROGRAMS:
        for candidate in _candidates(name, *folders):
            found.setdefault(name, candidate)
    return found


def programs_below(tree: Path) -> dict[str, Path]:
    """Return the programs of toolchains in an unpacked package or release; start scripts in ``etc/`` are none."""
    return programs_in(*(path for path in sorted(tree.rglob("*")) if path.name in PROGRAM_FOLDERS and path.is_dir()))


def _candidates(name: str, *folders: Path) -> Iterator[Path]:
    for other in OTHER_NAMES.get(name, (name,)):
        for folder in folders:
            if found := shutil.which(other, path=str(folder)):
                yield Path(found).absolute()


async def on_host(name: str) -> Path | None:
    """Return the first program of that name that starts here, from ``PATH`` or Docker's plugin folders."""
    own_plugins = Path(os.environ.get("DOCKER_CONFIG", "~/.docker")).expanduser() / "cli-plugins"
    folders = (*map(Path, os.get_exec_path()), own_plugins, *PLUGIN_FOLDERS)
    for candidate in _candidates(name, *folders):
        if await _starts(name, candidate):
            return candidate
    return None


async def complete(found: Mapping[str, Path], *, from_host: bool) -> dict[str, Path]:
    """Return `found` with what its daemons lack: from this host where that may be, else from Debian's archive.

    A runc that does not start here (Debian's newer ones need a newer glibc) counts as lacking. What cannot be
    completed by design, such as a daemon's own client, stays lacking.

    Raises:
        ProgramUnavailable: there is none to complete it with.
        InfraError: Debian's archive cannot be reached.
    """
    programs = dict(found)
    if "runc" in programs and not await _starts("runc", programs["runc"]):
        del programs["runc"]
    daemons = [kind for kind in NEEDS if kind in programs]
    for name in dict.fromkeys(name for kind in daemons for name in NEEDS[kind] if name not in programs):
        path = await on_host(name) if from_host else None
        if path is None and name in _PACKAGES:
            path = await _from_debian(name)
        if path:
            programs[name] = path
    return programs


async def equip(toolchain: Toolchain, driver: str | None) -> Toolchain:
    """Return `toolchain` with what `driver` needs beside it: from this host, else from Debian's archive.

    Raises:
        ProgramUnavailable, InfraError: see `complete`.
    """
    name = DRIVER_NEEDS.get(driver or "")
    return toolchain if name is None else await with_program(toolchain, name)


async def with_program(toolchain: Toolchain, name: str) -> Toolchain:
    """Return `toolchain` with a program: its own, else this host's, else that of Debian's archive.

    Raises:
        ProgramUnavailable, InfraError: see `complete`.
    """
    if name in toolchain.binaries:
        return toolchain
    path = await on_host(name) or await _from_debian(name)
    return replace(toolchain, binaries={**toolchain.binaries, name: await inspect(name, path)})


async def _from_debian(name: str) -> Path:
    """Return a program from Debian's archive that starts here: of the host's suite, else of the newest stable one; of
    later ones where these are too old.
    """
    reasons = {}
    for suite in _SUITES.get(name) or suites_to_try():
        spec = f"debian:{suite}/{name}"
        try:
            return (await from_cache(spec, partial(_gather, suite, name))).binaries[name].path
        except (UnknownSuite, PackageMissing, BinaryBroken) as error:
            reasons[spec] = str(error)
    raise ProgramUnavailable(name, reasons)


async def _gather(suite: str, name: str, work: Path) -> Gathered:
    package = _PACKAGES[name]
    versions = await fetch_packages(suite, [package], work / "tree")
    programs = programs_below(work / "tree")
    if name not in programs:
        raise PackageMissing(suite, [f"{package} with {name} in it"])
    return Gathered({name: programs[name]}, versions)


async def _starts(name: str, path: Path) -> bool:
    try:
        await version_of(name, path)
    except BinaryBroken:
        return False
    return True
