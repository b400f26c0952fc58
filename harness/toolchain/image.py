"""``image:REPOSITORY:TAG``: the programs in an image, taken from its registry layer by layer; no Docker is asked.

Names are Docker's: ``moby/buildkit:v0.25.1`` is Docker Hub's, ``127.0.0.1:5000/x:1`` a registry on this host, which is
spoken to in plain HTTP. No login is used, so the image has to be public. What came is checked against its digests.
"""

import platform
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from gzip import BadGzipFile
from pathlib import Path, PurePosixPath
from typing import Any, Final

import anyio.to_thread
import httpx

from harness.core.errors import InfraError
from harness.toolchain.base import PROGRAMS, BadSpec, Toolchain, sha256_of
from harness.toolchain.cached import Gathered, from_cache
from harness.toolchain.http import asked_by, client, download, get
from harness.toolchain.programs import OTHER_NAMES, PROGRAM_FOLDERS, complete, programs_below

_HUB: Final = "registry-1.docker.io"
_MACHINES: Final[Mapping[str, str]] = {"x86_64": "amd64", "aarch64": "arm64"}
_REFERENCE: Final = re.compile(
    r"(?:(?P<host>localhost(?::\d+)?|[\w-]+(?:\.[\w-]+)+(?::\d+)?|[\w-]+:\d+)/)?"
    r"(?P<repository>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*):(?P<tag>\w[\w.-]{0,127})"
)
_TYPES: Final = (
    *("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"),
    *("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"),
)
_LOCAL: Final = re.compile(r"(localhost|127\.\d+\.\d+\.\d+)(:\d+)?")
_WANTED: Final = frozenset((*PROGRAMS, *(name for names in OTHER_NAMES.values() for name in names)))
_WHITEOUT: Final = ".wh."


class ImageUnavailable(InfraError):
    """An image that its registry did not give."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"cannot fetch {url}{asked_by()}: {why}; check the network, and that the image is public")


class ImageDamaged(InfraError):
    """A part of an image that is not what its manifest says, or that cannot be read."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"what {url} sent cannot be used: {why}")


class Image:
    """Takes the programs of an image as they stand; its libraries are left behind, so only static ones start."""

    async def obtain(self, argument: str) -> Toolchain:
        """Return the toolchain of a tag; a tag that was fetched once is not looked up again."""
        spec = f"image:{argument}"
        match = _REFERENCE.fullmatch(argument)
        if match is None:
            raise BadSpec(spec, "name a repository and a tag, as in image:moby/buildkit:v0.25.1")
        return await from_cache(
            spec, partial(_gather, spec, _Repository.of(match["host"], match["repository"]), match["tag"])
        )


@dataclass(frozen=True)
class _Repository:
    """One repository of a registry."""

    url: str
    name: str

    @classmethod
    def of(cls, host: str | None, name: str) -> "_Repository":
        if host in {None, "docker.io", "index.docker.io"}:
            host, name = _HUB, name if "/" in name else f"library/{name}"
        scheme = "http" if _LOCAL.fullmatch(host or "") else "https"
        return cls(f"{scheme}://{host}/v2/{name}", name)


async def _gather(spec: str, repository: _Repository, tag: str, work: Path) -> Gathered:
    tree = work / "tree"
    tree.mkdir()
    url = f"{repository.url}/manifests/{tag}"
    try:
        async with client() as asking:
            await _introduce(asking, repository, url)
            index, digest = await _manifest(asking, url)
            if "manifests" in index:
                url = f"{repository.url}/manifests/{_for_this_machine(spec, index['manifests'])}"
                index, digest = await _manifest(asking, url)
            for layer in index["layers"]:
                url = f"{repository.url}/blobs/{layer['digest']}"
                await download(asking, url, work / "layer")
                if f"sha256:{await sha256_of(work / 'layer')}" != layer["digest"]:
                    raise ImageDamaged(url, "its SHA-256 is another")
                await anyio.to_thread.run_sync(_unpack, work / "layer", tree)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            raise BadSpec(spec, f"there is no such image at {url}") from error
        raise ImageUnavailable(url, f"status {error.response.status_code}") from error
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise ImageUnavailable(url, str(error) or type(error).__name__) from error
    except (KeyError, TypeError, ValueError, tarfile.TarError, EOFError, zlib.error, BadGzipFile) as error:
        raise ImageDamaged(url, f"{type(error).__name__}: {error}") from error
    programs = await complete(programs_below(tree), from_host=True)
    return Gathered(programs, {"url": url, "digest": digest})


async def _introduce(asking: httpx.AsyncClient, repository: _Repository, url: str) -> None:
    """Add the registry's credentials to every later request, where the registry asks for any.

    It answers the first one with where a token is to be had (``docs/spec/auth/token.md`` of docker/distribution).
    """
    asking.headers["Accept"] = ", ".join(_TYPES)
    answer = await asking.get(url)
    challenge = answer.headers.get("WWW-Authenticate", "")
    if answer.status_code != httpx.codes.UNAUTHORIZED:
        return
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not challenge.startswith("Bearer ") or "realm" not in fields:
        raise ImageUnavailable(url, "its registry wants a login")
    question = {"service": fields.get("service", ""), "scope": f"repository:{repository.name}:pull"}
    token = (await get(asking, str(httpx.URL(fields["realm"], params=question)))).json()
    asking.headers["Authorization"] = f"Bearer {token.get('token') or token['access_token']}"


async def _manifest(asking: httpx.AsyncClient, url: str) -> tuple[dict[str, Any], str]:
    answer = await get(asking, url)
    return answer.json(), answer.headers.get("Docker-Content-Digest", "")


def _for_this_machine(spec: str, manifests: Iterable[Mapping[str, Any]]) -> str:
    """Return the digest of the manifest for this machine."""
    machine = _MACHINES.get(platform.machine(), platform.machine())
    offered = {f"{each['platform']['os']}/{each['platform']['architecture']}": each["digest"] for each in manifests}
    if f"linux/{machine}" not in offered:
        raise BadSpec(spec, f"there is no image for linux/{machine}, only for {', '.join(sorted(offered))}")
    return str(offered[f"linux/{machine}"])


def _unpack(layer: Path, tree: Path) -> None:
    """Put a layer's programs over those of the layers before; what it takes away goes."""
    with tarfile.open(layer) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.name.startswith(_WHITEOUT) and path.parent.name in PROGRAM_FOLDERS:
                gone = path.name.removeprefix(_WHITEOUT)
                (tree / path.parent / gone).unlink(missing_ok=True)
            elif member.isfile() and path.name in _WANTED and path.parent.name in PROGRAM_FOLDERS:
                tar.extract(member, tree, filter="data")
