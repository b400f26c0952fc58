"""``docker:VERSION`` and ``buildkit:VERSION``: upstream's static releases, with the checksum of what came."""

import os
import platform
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from gzip import BadGzipFile
from pathlib import Path
from typing import Final

import anyio.to_thread
import httpx

from harness.core.errors import InfraError
from harness.toolchain.base import BadSpec, Toolchain, sha256_of
from harness.toolchain.cached import Gathered, kept
from harness.toolchain.http import client, download
from harness.toolchain.programs import complete, programs_below


class DownloadFailed(InfraError):
    """An archive that could not be fetched."""

    def __init__(self, url: str, why: str, mirror_variable: str) -> None:
        super().__init__(f"cannot fetch {url}: {why}; check the network, or name a mirror in {mirror_variable}")


class ArchiveDamaged(InfraError):
    """An archive that came, and cannot be unpacked."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"what {url} sent is no whole archive: {why}; try again, or another mirror")


@dataclass(frozen=True)
class Release:
    """One project's static releases: where they are, and how upstream names machines."""

    kind: str
    mirror: str
    mirror_variable: str
    path: str
    machines: Mapping[str, str]
    example: str

    async def obtain(self, argument: str) -> Toolchain:
        """Return the release of a version, with or without a ``v``."""
        version = argument.removeprefix("v")
        if not re.fullmatch(r"\d[\w.~-]*", version):
            raise BadSpec(f"{self.kind}:{argument}", f"name a version, as in {self.kind}:{self.example}")
        spec = f"{self.kind}:{version}"
        return await kept(spec, partial(self._gather, spec, version))

    async def _gather(self, spec: str, version: str, work: Path) -> Gathered:
        machine = platform.machine()
        if machine not in self.machines:
            raise BadSpec(spec, f"there is no static release for {machine}, only for {', '.join(self.machines)}")
        mirror = os.environ.get(self.mirror_variable, self.mirror).rstrip("/")
        url = f"{mirror}/{self.path.format(version=version, machine=self.machines[machine])}"
        archive, tree = work / "archive", work / "tree"
        try:
            async with client() as asking:
                await download(asking, url, archive)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                raise BadSpec(spec, f"there is no such release at {url}") from error
            raise DownloadFailed(url, f"status {error.response.status_code}", self.mirror_variable) from error
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise DownloadFailed(url, str(error) or type(error).__name__, self.mirror_variable) from error
        try:
            await anyio.to_thread.run_sync(_unpack, archive, tree)
        except (tarfile.TarError, EOFError, zlib.error, BadGzipFile) as error:
            raise ArchiveDamaged(url, str(error)) from error
        programs = await complete(programs_below(tree), from_host=True)
        return Gathered(programs, {"url": url, "sha256": await sha256_of(archive)})


def _unpack(archive: Path, tree: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(tree, filter="data")


DOCKER: Final = Release(
    kind="docker",
    mirror="https://download.docker.com",
    mirror_variable="REPRO_DOCKER_MIRROR",
    path="linux/static/stable/{machine}/docker-{version}.tgz",
    machines={"x86_64": "x86_64", "aarch64": "aarch64"},
    example="28.5.2",
)
"""Has no buildx."""
BUILDKIT: Final = Release(
    kind="buildkit",
    mirror="https://github.com/moby/buildkit/releases/download",
    mirror_variable="REPRO_BUILDKIT_MIRROR",
    path="v{version}/buildkit-v{version}.linux-{machine}.tar.gz",
    machines={"x86_64": "amd64", "aarch64": "arm64"},
    example="0.25.1",
)
