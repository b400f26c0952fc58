"""Toolchains in the cache: a folder of programs with a record of what each is, there as a whole or not at all.

``toolchains/debian-trixie/`` holds ``toolchain.json`` and ``bin/``. It is filled in a temporary folder beside it and
renamed, and every use checks each program against the record, so what runs is what was fetched.
"""

import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import InfraError, UnknownKind
from harness.core.manifest import Binary
from harness.host.cache import cache_folder
from harness.host.scratch import scratch
from harness.toolchain.base import Toolchain, inspect, sha256_of, side_by_side, version_of

_RECORD: Final = "toolchain.json"


class ToolchainDamaged(InfraError):
    """A cached toolchain that is not what was fetched."""

    def __init__(self, spec: str, file: Path, why: str) -> None:
        super().__init__(f"{file}: {why}; run `repro toolchain remove {spec}`, and it is fetched anew")


@dataclass(frozen=True)
class Gathered:
    """What a source has found for a toolchain: each program's file, and what these came from, for the record."""

    programs: Mapping[str, Path]
    origin: Mapping[str, str]


@dataclass(frozen=True)
class Cached:
    """One entry of the cache as its record tells it; its programs are not checked."""

    toolchain: Toolchain
    folder: Path
    size: int
    """Bytes on disk."""
    made: float
    """When it was completed, in seconds since the epoch."""
    checked: str = ""
    """What it was held against as it was fetched, as in ``by https://…``; empty where that is not on record."""

    @property
    def spec(self) -> str:
        """The toolchain's name, such as ``debian:trixie``."""
        return self.toolchain.spec

    @property
    def versions(self) -> dict[str, str]:
        """What each program says it is; empty where the record cannot be read."""
        return {name: binary.version for name, binary in self.toolchain.binaries.items()}


class _Program(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    version: str
    sha256: str
    source: str


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1
    origin: dict[str, str]
    programs: dict[str, _Program]


async def from_cache(spec: str, gather: Callable[[Path], Awaitable[Gathered]]) -> Toolchain:
    """Return the toolchain that the cache has under `spec`; where it has none, fill it.

    Args:
        spec: the toolchain's name, which names its folder.
        gather: finds the programs; it may work in the folder that it is given, which is gone afterwards.

    Raises:
        ToolchainDamaged: the cache's is not what was fetched.
        BinaryBroken: one of its programs does not start on this host; then nothing is kept.
    """
    folder = _folder_of(spec)
    if not folder.exists():
        with scratch(folder.parent) as temporary:
            work, whole = temporary / "work", temporary / "whole"
            work.mkdir()
            (whole / "bin").mkdir(parents=True)
            record = await _settle(await gather(work), work, whole / "bin")
            (whole / _RECORD).write_text(record.model_dump_json(indent=2) + "\n")
            try:
                whole.rename(folder)
            except OSError:  # unless another process has just completed the same
                if not folder.exists():
                    raise
    return await _checked(spec, folder)


async def _settle(gathered: Gathered, work: Path, into: Path) -> _Record:
    """Copy the programs to their place, start each, and return the record of them."""
    programs = {}
    for name, path in gathered.programs.items():
        await anyio.to_thread.run_sync(shutil.copy2, path, into / name)
        binary = await inspect(name, into / name)
        source = path.relative_to(work) if path.is_relative_to(work) else path
        programs[name] = _Program(version=binary.version, sha256=binary.sha256, source=str(source))
    return _Record(origin=dict(gathered.origin), programs=programs)


async def _checked(spec: str, folder: Path) -> Toolchain:
    """Return a cached toolchain after checking each program; one that was changed is never started."""

    async def check(name: str, program: _Program) -> Binary:
        path = folder / "bin" / name
        if not path.is_file():
            raise ToolchainDamaged(spec, path, "it is gone")
        if await sha256_of(path) != program.sha256:
            raise ToolchainDamaged(spec, path, f"its SHA-256 is not {program.sha256}, so it is not what was fetched")
        return Binary(path, await version_of(name, path), program.sha256)

    return Toolchain(spec, await side_by_side(check, _recorded(spec, folder).programs))


def _recorded(spec: str, folder: Path) -> _Record:
    try:
        return _Record.model_validate_json((folder / _RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        raise ToolchainDamaged(spec, folder / _RECORD, "the record cannot be read") from error


def cached_toolchains() -> list[Cached]:
    """Return what the cache has, by name; single programs that complete others are entries too."""
    return [_entry(folder) for folder in sorted(_cache().iterdir()) if not folder.name.startswith(".")]


def _entry(folder: Path) -> Cached:
    spec = _spec_of(folder)
    try:
        record = _recorded(spec, folder)
        programs, checked = record.programs, record.origin.get("checked", "")
    except ToolchainDamaged:
        programs, checked = {}, ""
    binaries = {name: Binary(folder / "bin" / name, told.version, told.sha256) for name, told in programs.items()}
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Cached(Toolchain(spec, binaries), folder, size, folder.stat().st_mtime, checked)


def remove(spec: str) -> None:
    """Remove a toolchain from the cache, whole or damaged, with what interrupted fetches of it left.

    Raises:
        UnknownKind: the cache has none of that name.
    """
    folder = _folder_of(spec)
    doomed = [*folder.parent.glob(f".{folder.name}.*"), *([folder] if folder.exists() else [])]
    if not doomed:
        raise UnknownKind("cached toolchain", spec, (cached.spec for cached in cached_toolchains()))
    for path in doomed:
        shutil.rmtree(path)


def _cache() -> Path:
    return cache_folder("toolchains")


def _folder_of(spec: str) -> Path:
    """``debian:trixie`` → ``debian-trixie``, ``debian:trixie/runc`` → ``debian-trixie+runc``.

    A further colon, as in ``image:moby/buildkit:v0.25.1``, is written as ``=``: in ``PATH`` it would divide folders.
    """
    return _cache() / spec.replace(":", "-", 1).replace("/", "+").replace(":", "=")


def _spec_of(folder: Path) -> str:
    return folder.name.replace("-", ":", 1).replace("+", "/").replace("=", ":")
