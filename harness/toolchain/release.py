"""``docker:VERSION`` and ``buildkit:VERSION``: upstream's static releases, checked against upstream's own checksums."""

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
from harness.toolchain.cached import Gathered, from_cache
from harness.toolchain.http import asked_by, client, download
from harness.toolchain.programs import complete, programs_below
from harness.toolchain.published import ChecksumDiffers, Published, of_github, of_provenance

_ARCHIVE: Final = ".tar.gz"
_GITHUB_API: Final = "https://api.github.com"


class DownloadFailed(InfraError):
    """An archive that could not be fetched."""

    def __init__(self, url: str, why: str, mirror_variable: str) -> None:
        super().__init__(
            f"cannot fetch {url}{asked_by()}: {why}; check the network, or name a mirror in {mirror_variable}"
        )


class ArchiveDamaged(InfraError):
    """An archive that came, and cannot be unpacked."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"what {url} sent is no whole archive: {why}; try again, or another mirror")


@dataclass(frozen=True)
class UpstreamReleases:
    """One project's static releases: where they are, and how upstream names machines."""

    kind: str
    mirror: str
    mirror_variable: str
    path: str
    machines: Mapping[str, str]
    example: str
    published: Published | None = None
    """Where its checksums are; None where there are none."""

    async def obtain(self, argument: str) -> Toolchain:
        """Return the release of a version, with or without a ``v``."""
        version = argument.removeprefix("v")
        if not re.fullmatch(r"\d[\w.~-]*", version):
            raise BadSpec(f"{self.kind}:{argument}", f"name a version, as in {self.kind}:{self.example}")
        spec = f"{self.kind}:{version}"
        return await from_cache(spec, partial(self._gather, spec, version))

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
                sha256 = await sha256_of(archive)
                checked = await self._check(asking, url, version, sha256)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                raise BadSpec(spec, f"there is no such release at {url}") from error
            raise DownloadFailed(
                str(error.request.url), f"status {error.response.status_code}", self.mirror_variable
            ) from error
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise DownloadFailed(url, str(error) or type(error).__name__, self.mirror_variable) from error
        try:
            await anyio.to_thread.run_sync(_unpack, archive, tree)
        except (tarfile.TarError, EOFError, zlib.error, BadGzipFile) as error:
            raise ArchiveDamaged(url, str(error)) from error
        programs = await complete(programs_below(tree), from_host=True)
        return Gathered(programs, {"url": url, "sha256": sha256, "checked": checked})

    async def _check(self, asking: httpx.AsyncClient, url: str, version: str, came: str) -> str:
        """Hold an archive against the checksums that upstream publishes; return what it was held against.

        Raises:
            ChecksumDiffers: it is another.
            NoStatement: what should name it does not.
            httpx.HTTPError: the server that had the archive does not answer.
        """
        if self.published is None:
            return f"by nothing: {self.kind} publishes no checksum of it"
        archive, agree, silent = url.rpartition("/")[2], [], []
        provenance = url.removesuffix(_ARCHIVE) + self.published.provenance
        api = os.environ.get("REPRO_GITHUB_API", "" if self.mirror_variable in os.environ else _GITHUB_API)
        said = {provenance: await of_provenance(asking, provenance, archive)}
        if api:  # not where a mirror is named: such a host need not reach anything else
            try:
                said[api] = await of_github(asking, api, self.published.repository, f"v{version}", archive)
            except httpx.HTTPError:
                silent.append(f"{api} did not answer")
        for where, digest in said.items():
            if digest is None:
                silent.append(f"{where} has none")
            elif digest != came:
                raise ChecksumDiffers(url, came, digest, where)
            else:
                agree.append(where)
        return f"by {' and '.join(agree)}" if agree else f"by nothing: {', '.join(silent)}"


def _unpack(archive: Path, tree: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(tree, filter="data")


DOCKER: Final = UpstreamReleases(
    kind="docker",
    mirror="https://download.docker.com",
    mirror_variable="REPRO_DOCKER_MIRROR",
    path="linux/static/stable/{machine}/docker-{version}.tgz",
    machines={"x86_64": "x86_64", "aarch64": "aarch64"},
    example="28.5.2",
)
"""Has no buildx."""
BUILDKIT: Final = UpstreamReleases(
    kind="buildkit",
    mirror="https://github.com/moby/buildkit/releases/download",
    mirror_variable="REPRO_BUILDKIT_MIRROR",
    path="v{version}/buildkit-v{version}.linux-{machine}.tar.gz",
    machines={"x86_64": "amd64", "aarch64": "arm64"},
    example="0.25.1",
    published=Published(".provenance.json", "moby/buildkit"),
)
