"""``image:``: programs of images in a real registry, Debian's ``docker-registry``; one that wants tokens is ours."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from harness.daemons.registry import open_registry
from harness.host.ledger import Ledger
from harness.toolchain import image, resolve
from harness.toolchain.base import BadSpec
from harness.toolchain.image import ImageDamaged, ImageUnavailable

pytestmark = pytest.mark.anyio

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def layer(files: Mapping[str, str]) -> bytes:
    """Return a gzipped tar of executable files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
        tar.addfile(link)
    return packed.getvalue()


def digest(content: bytes) -> str:
    """Return how a registry names content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def buildkit(version: str, folder: str = "usr/bin") -> dict[str, str]:
    """Return the programs of a BuildKit image that tell a version."""
    names = ("buildkitd", "buildctl", "buildkit-runc", "buildkit-qemu-arm")
    return {f"{folder}/{name}": f"#!/bin/sh\necho '{name} {version}'\n" for name in names}


@dataclass(frozen=True)
class Registry:
    """A registry that images can be put into."""

    address: str

    def push(self, repository: str, tag: str, *layers: bytes, machine: str | None = MACHINE) -> dict[str, Any]:
        """Put an image under a tag, as one of an index unless there is no machine; return its manifest."""
        with httpx.Client(base_url=f"http://{self.address}/v2/{repository}", trust_env=False) as client:

            def put(content: bytes) -> dict[str, Any]:
                where = client.post("/blobs/uploads/").raise_for_status().headers["Location"]
                client.put(httpx.URL(where).copy_merge_params({"digest": digest(content)}), content=content)
                return {"mediaType": "application/octet-stream", "digest": digest(content), "size": len(content)}

            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": put(b"{}") | {"mediaType": "application/vnd.oci.image.config.v1+json"},
                "layers": [put(one) | {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"} for one in layers],
            }
            written = json.dumps(manifest).encode()
            name = tag if machine is None else digest(written)
            client.put(f"/manifests/{name}", content=written, headers={"Content-Type": MANIFEST}).raise_for_status()
            if machine is not None:
                entry = {"mediaType": MANIFEST, "digest": digest(written), "size": len(written)}
                listed = [entry | {"platform": {"os": "linux", "architecture": machine}}]
                index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
                client.put(f"/manifests/{tag}", content=index, headers={"Content-Type": INDEX}).raise_for_status()
            return manifest


@pytest.fixture
async def registry(tmp_path: Path, cache: Path) -> AsyncIterator[Registry]:
    """A registry that is empty as yet."""
    assert not cache.exists()
    ledger = Ledger.open("images")
    async with open_registry(ledger, tmp_path) as opened:
        yield Registry(opened.address)
    await ledger.reclaim()


async def test_the_programs_of_an_image(registry: Registry, tmp_path: Path) -> None:
    """What the last layer has of a program counts, the rest of the image stays where it is, and the digest is kept."""
    upper = {name: text for name, text in buildkit("new").items() if name.endswith("buildkitd")}
    registry.push("moby/buildkit", "v1", layer(buildkit("old") | {"etc/bin/passwd": "root"}), layer(upper))
    spec = f"image:{registry.address}/moby/buildkit:v1"
    toolchain = await resolve(spec)
    assert (toolchain.spec, toolchain.kinds) == (spec, ("buildkitd",))
    versions = {name: binary.version for name, binary in toolchain.binaries.items()}
    assert versions == {"buildkitd": "buildkitd new", "buildctl": "buildctl old", "runc": "buildkit-runc old"}
    folder = toolchain.binaries["runc"].path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["buildctl", "buildkitd", "runc"]
    assert folder.is_relative_to(tmp_path / "cache")
    assert '"digest": "sha256:' in (folder.parent / "toolchain.json").read_text()


async def test_what_a_layer_takes_away(registry: Registry) -> None:
    """A program that a later layer removes is not there; a single manifest, without an index, serves as well."""
    gone = {"usr/bin/.wh.buildctl": "", "usr/bin/.wh.never-there": ""}
    registry.push("bk", "v1", layer(buildkit("1")), layer(gone), machine=None)
    toolchain = await resolve(f"image:{registry.address}/bk:v1")
    assert toolchain.missing("buildkitd") == ("buildctl",)


async def test_images_that_are_none(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tag, another machine's image, one that lies about its layers, and no registry, are each told."""
    registry.push("bk", "other", layer(buildkit("1")), machine="s390x")
    registry.push("bk", "torn", gzip.compress(b"no tar"))
    for tag, error, said in (
        ("none", BadSpec, r"there is no such image at http://.*/v2/bk/manifests/none"),
        ("other", BadSpec, f"no image for linux/{MACHINE}, only for linux/s390x"),
        ("torn", ImageDamaged, "cannot be used: ReadError"),
    ):
        with pytest.raises(error, match=said):
            await resolve(f"image:{registry.address}/bk:{tag}")
    with pytest.raises(ImageUnavailable, match=r"cannot fetch http://127\.0\.0\.1:1/v2/bk/manifests/v1"):
        await resolve("image:127.0.0.1:1/bk:v1")

    async def other_hash(path: Path) -> str:
        return path.name

    registry.push("bk", "v1", layer(buildkit("1")))
    monkeypatch.setattr(image, "sha256_of", other_hash)
    with pytest.raises(ImageDamaged, match="its SHA-256 is another"):
        await resolve(f"image:{registry.address}/bk:v1")


@pytest.mark.parametrize("argument", ["", "moby/buildkit", "Moby/x:1", "x:", "x:a b", "host.example/x", "../x:1"])
async def test_names_that_are_none(argument: str) -> None:
    """A name without a repository or a tag is refused, and no registry asked."""
    with pytest.raises(BadSpec, match="name a repository and a tag"):
        await resolve(f"image:{argument}")


@pytest.mark.parametrize(
    ("host", "name", "url"),
    [
        (None, "moby/buildkit", "https://registry-1.docker.io/v2/moby/buildkit"),
        (None, "docker", "https://registry-1.docker.io/v2/library/docker"),
        ("docker.io", "docker", "https://registry-1.docker.io/v2/library/docker"),
        ("ghcr.io", "some/one", "https://ghcr.io/v2/some/one"),
        ("localhost:5000", "x", "http://localhost:5000/v2/x"),
        ("127.0.0.1:5000", "x/y", "http://127.0.0.1:5000/v2/x/y"),
        ("127.0.0.1.example.org", "x", "https://127.0.0.1.example.org/v2/x"),
    ],
)
def test_where_a_repository_is(host: str | None, name: str, url: str) -> None:
    """Docker's short names are Docker Hub's; plain HTTP is spoken to this host alone."""
    assert image._Repository.of(host, name).url == url


async def test_a_registry_that_wants_a_token(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is had from where the registry's challenge says, with its service and scope, and then carried along."""
    assert not cache.exists()
    content = layer(buildkit("1"))
    manifest = {"schemaVersion": 2, "layers": [{"digest": digest(content)}]}
    asked: list[str] = []

    async def serve(request: Request) -> Response:
        asked.append(str(request.url))
        if request.url.path == "/token":
            return JSONResponse({"access_token": "secret"})
        if request.headers.get("Authorization") != "Bearer secret":
            challenge = 'Bearer realm="http://127.0.0.1/token",service="here",scope="repository:bk:pull"'
            return Response(status_code=401, headers={"WWW-Authenticate": challenge})
        return JSONResponse(manifest) if "manifests" in request.url.path else Response(content)

    transport = httpx.ASGITransport(Starlette(routes=[Route("/{rest:path}", serve)]))
    monkeypatch.setattr(image, "client", lambda: httpx.AsyncClient(transport=transport))
    toolchain = await resolve("image:127.0.0.1/bk:v1")
    assert toolchain.binaries["buildkitd"].version == "buildkitd 1"
    assert "http://127.0.0.1/token?service=here&scope=repository%3Abk%3Apull" in asked
    assert [path for path in asked if "manifests" in path] == ["http://127.0.0.1/v2/bk/manifests/v1"] * 2


async def test_a_registry_that_wants_a_login(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that takes nothing but a login is told to be one."""
    assert not cache.exists()

    async def refuse(_: Request) -> Response:
        return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="mine"'})

    transport = httpx.ASGITransport(Starlette(routes=[Route("/{rest:path}", refuse)]))
    monkeypatch.setattr(image, "client", lambda: httpx.AsyncClient(transport=transport))
    with pytest.raises(ImageUnavailable, match="its registry wants a login"):
        await resolve("image:127.0.0.1/bk:v1")
