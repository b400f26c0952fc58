"""Upstream's static releases, from a real HTTP server in upstream's layout."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from harness.toolchain import NEEDS, cached_toolchains, remove, resolve
from harness.toolchain.base import BadSpec
from harness.toolchain.cached import ToolchainDamaged
from harness.toolchain.published import ChecksumDiffers, NoStatement
from harness.toolchain.release import ArchiveDamaged, DownloadFailed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("host_bin"),
    pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="upstream has no static release for it"),
]

GO_MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")


@dataclass
class Mirror:
    """What the server serves, how it is to misbehave, and what it was asked."""

    folder: Path
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """Answers to give before any file."""
    cut: bool = False
    """Close each connection in the middle of the file."""
    asked: list[str] = field(default_factory=list)

    @property
    def archives(self) -> list[str]:
        """The requests for archives."""
        return [path for path in self.asked if path.endswith("gz")]

    def publish(self, path: str, programs: dict[str, str]) -> Path:
        """Put a gzipped tar of shell scripts that tell their version at `path`."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(file, "w:gz") as tar:
            for name, version in programs.items():
                script = f'#!/bin/sh\necho "{version}"\n'.encode()
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(script), 0o755
                tar.addfile(member, io.BytesIO(script))
        return file

    def publish_docker(self, version: str) -> Path:
        """Put a Docker release where Docker has them; without buildx, as upstream's is."""
        names = ("ctr", "docker-init", *(name for name in NEEDS["dockerd"] if name != "docker-buildx"))
        path = f"linux/static/stable/{platform.machine()}/docker-{version}.tgz"
        return self.publish(path, {f"docker/{name}": f"{name} {version}" for name in names})

    def publish_buildkit(self, version: str) -> Path:
        """Put a BuildKit release where BuildKit has them."""
        path = f"v{version}/buildkit-v{version}.linux-{GO_MACHINE}.tar.gz"
        names = ("buildkitd", "buildctl", "buildkit-runc", "buildkit-qemu-arm")
        return self.publish(path, {f"bin/{name}": f"{name} {version}" for name in names})


def provenance_of(archive: Path) -> Path:
    """Return where the provenance of an archive of BuildKit's is."""
    return archive.with_name(archive.name.removesuffix(".tar.gz") + ".provenance.json")


def state(archive: Path, sha256: str | None = None, name: str | None = None) -> None:
    """Put an archive's provenance beside it, as BuildKit's exporter writes it: true, or with another content."""
    subjects = [
        {"name": "other.tar.gz", "digest": {"sha256": "0" * 64}},
        {"name": name or archive.name, "digest": {"sha256": sha256 or sha256_of(archive)}},
    ]
    statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": subjects, "predicate": {}}
    provenance_of(archive).write_text(json.dumps(statement))


def sha256_of(file: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def list_on_github(mirror: Mirror, version: str, assets: object) -> None:
    """Have the server answer as GitHub does when it is asked for a release."""
    answer = mirror.folder / "repos/moby/buildkit/releases/tags" / f"v{version}"
    answer.parent.mkdir(parents=True)
    answer.write_text(json.dumps({"assets": assets}))


def checked(cache: Path) -> str:
    """Return what is on record of what BuildKit's archive was held against."""
    return str(json.loads((cache / "buildkit-0.25.1/toolchain.json").read_text())["origin"]["checked"])


class Handler(SimpleHTTPRequestHandler):
    """Serves files as `Mirror` says."""

    def __init__(self, mirror: Mirror, *args: Any, **kwargs: Any) -> None:
        self.mirror = mirror
        super().__init__(*args, directory=str(mirror.folder), **kwargs)

    def do_GET(self) -> None:
        """Answer as told, else with the file."""
        self.mirror.asked.append(self.path)
        if self.mirror.statuses:
            status = self.mirror.statuses.pop(0)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.mirror.cut:
            content = (self.mirror.folder / self.path.lstrip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Say nothing."""


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    """Serve `mirror` on a free port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, mirror)) as server:
        mirror.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield mirror
        server.shutdown()
        thread.join()


@pytest.fixture
def mirror(tmp_path: Path, host_bin: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Both projects' mirror, empty as yet."""
    assert host_bin.is_dir()
    with serving(Mirror(tmp_path / "mirror")) as mirror:
        for variable in ("REPRO_DOCKER_MIRROR", "REPRO_BUILDKIT_MIRROR"):
            monkeypatch.setenv(variable, mirror.url + "/")
        yield mirror


async def test_docker_takes_buildx_from_the_host(mirror: Mirror, host_bin: Path, fake: Callable[..., Path]) -> None:
    """Docker's release is completed by the host's buildx, and by nothing else of the host."""
    mirror.publish_docker("28.5.2")
    for name in NEEDS["dockerd"]:
        fake(host_bin, name, "of the host")
    toolchain = await resolve("docker:28.5.2")
    assert toolchain.kinds == ("dockerd",)
    versions = {name: binary.version for name, binary in toolchain.binaries.items()}
    assert versions.pop("docker-buildx") == "docker-buildx of the host"
    assert versions == {name: f"{name} 28.5.2" for name in versions}


@pytest.mark.parametrize("written", ["0.25.1", "v0.25.1"])
async def test_buildkit_with_or_without_v(mirror: Mirror, cache: Path, written: str) -> None:
    """BuildKit's release is whole in itself; its version may be written as the tag is, and is kept as one."""
    mirror.publish_buildkit("0.25.1")
    toolchain = await resolve(f"buildkit:{written}")
    assert toolchain.spec == "buildkit:0.25.1"
    assert toolchain.kinds == ("buildkitd",)
    assert {path.name for path in (cache / "buildkit-0.25.1/bin").iterdir()} == set(NEEDS["buildkitd"])


async def test_the_second_use_asks_nobody_and_the_archive_is_on_record(mirror: Mirror, cache: Path) -> None:
    """What was fetched once is used without the network; the record tells whence, and the archive's SHA-256."""
    archive = mirror.publish_buildkit("0.25.1")
    first = await resolve("buildkit:0.25.1")
    assert await resolve("buildkit:0.25.1") == first
    assert len(mirror.archives) == 1
    assert len(mirror.asked) == 2, "and for its provenance"
    record = json.loads((cache / "buildkit-0.25.1/toolchain.json").read_text())
    assert record["origin"] == {
        "url": mirror.url + mirror.asked[0],
        "sha256": sha256_of(archive),
        "checked": f"by nothing: {mirror.url}/{provenance_of(archive).relative_to(mirror.folder)} has none",
    }


async def test_a_tampered_binary_is_refused(mirror: Mirror) -> None:
    """A binary that was changed in the cache is named, with the command that removes the toolchain."""
    mirror.publish_buildkit("0.25.1")
    path = (await resolve("buildkit:0.25.1")).binaries["buildctl"].path
    path.write_text(path.read_text() + "# changed\n")
    with pytest.raises(ToolchainDamaged, match=r"bin/buildctl: .*`repro toolchain remove buildkit:0\.25\.1`"):
        await resolve("buildkit:0.25.1")


async def test_no_such_release(mirror: Mirror, cache: Path) -> None:
    """404 is the user's error, is not asked again, and leaves nothing."""
    with pytest.raises(BadSpec, match=r"'docker:99\.0\.0': there is no such release at http://127"):
        await resolve("docker:99.0.0")
    assert len(mirror.asked) == 1
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("statuses", [[500], [502, 503], [302]], ids=["one", "two", "redirect"])
async def test_a_passing_failure_is_passed_over(mirror: Mirror, statuses: list[int]) -> None:
    """The server's own failures are retried up to three times in all, and redirects are followed."""
    mirror.publish_buildkit("0.25.1")
    mirror.statuses = statuses.copy()
    assert (await resolve("buildkit:0.25.1")).kinds == ("buildkitd",)
    assert len(mirror.archives) == len(statuses) + 1


async def test_a_lasting_failure_is_reported(mirror: Mirror) -> None:
    """After three tries the server's status is the error, and the mirror's variable is named."""
    mirror.statuses = [500, 500, 503, 500]
    with pytest.raises(DownloadFailed, match=r"status 503; .*REPRO_BUILDKIT_MIRROR"):
        await resolve("buildkit:0.25.1")
    assert len(mirror.asked) == 3


async def test_refusals_are_not_retried(mirror: Mirror) -> None:
    """A 4xx other than 404 is no missing release, and asking again would not help."""
    mirror.statuses = [403]
    with pytest.raises(DownloadFailed, match="status 403"):
        await resolve("buildkit:0.25.1")
    assert len(mirror.asked) == 1


async def test_a_connection_that_breaks_is_retried(mirror: Mirror) -> None:
    """A download cut in the middle is never taken for the whole; it is tried three times."""
    mirror.publish_buildkit("0.25.1")
    mirror.cut = True
    with pytest.raises(DownloadFailed, match="peer closed connection"):
        await resolve("buildkit:0.25.1")
    assert len(mirror.asked) == 3


@pytest.mark.parametrize("content", ["half", "text", "empty"])
async def test_an_archive_that_is_none(mirror: Mirror, cache: Path, content: str) -> None:
    """A truncated archive, a login page or an empty file is named as damaged, and leaves nothing."""
    archive = mirror.publish_buildkit("0.25.1")
    whole = archive.read_bytes()
    archive.write_bytes({"half": whole[: len(whole) // 2], "text": b"<html>log in</html>", "empty": b""}[content])
    with pytest.raises(ArchiveDamaged, match="no whole archive"):
        await resolve("buildkit:0.25.1")
    assert list(cache.iterdir()) == []


async def test_an_archive_cannot_write_elsewhere(mirror: Mirror, tmp_path: Path) -> None:
    """A member that leads out of the folder is refused before anything of it is written."""
    mirror.publish(f"v1.0/buildkit-v1.0.linux-{GO_MACHINE}.tar.gz", {"../../../../outside": "x"})
    with pytest.raises(ArchiveDamaged, match="outside the destination"):
        await resolve("buildkit:1.0")
    assert not list(tmp_path.rglob("outside"))


async def test_no_network() -> None:
    """Without a network the error names the address and the mirror's variable."""
    with pytest.raises(DownloadFailed, match=r"cannot fetch http://127\.0\.0\.1:1/linux.*REPRO_DOCKER_MIRROR"):
        await resolve("docker:28.5.2")


async def test_a_machine_without_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that upstream has no static release for, that is said."""
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(BadSpec, match="no static release for s390x, only for x86_64, aarch64"):
        await resolve("docker:28.5.2")


@pytest.mark.parametrize("spec", ["docker:", "docker:latest", "buildkit:../1", "buildkit:v"])
async def test_a_version_is_a_version(spec: str) -> None:
    """What is no version never becomes part of an address or of a folder's name."""
    with pytest.raises(BadSpec, match="name a version, as in"):
        await resolve(spec)


async def test_upstreams_own_checksums(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive is held against the provenance beside it and GitHub's digest of it; the record names both."""
    monkeypatch.setenv("REPRO_GITHUB_API", mirror.url)
    archive = mirror.publish_buildkit("0.25.1")
    state(archive)
    list_on_github(mirror, "0.25.1", [{"name": archive.name, "digest": f"sha256:{sha256_of(archive)}"}])
    await resolve("buildkit:0.25.1")
    assert checked(cache) == f"by {mirror.url}{mirror.asked[1]} and {mirror.url}"
    assert [each.checked for each in cached_toolchains()] == [checked(cache)]


@pytest.mark.parametrize("who", ["provenance", "github"])
async def test_another_archive_than_was_released(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """Where either says another checksum, the archive is refused, with both, and nothing of it is kept."""
    monkeypatch.setenv("REPRO_GITHUB_API", mirror.url)
    archive, other = mirror.publish_buildkit("0.25.1"), "5" * 64
    state(archive, other if who == "provenance" else None)
    digest = other if who == "github" else sha256_of(archive)
    list_on_github(mirror, "0.25.1", [{"name": archive.name, "digest": f"sha256:{digest}"}])
    with pytest.raises(ChecksumDiffers, match=f"its SHA-256 is {sha256_of(archive)}, and http.* says {other}; try"):
        await resolve("buildkit:0.25.1")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "assets",
    [[], [{"name": "buildkit-v0.25.1.linux-amd64.tar.gz", "digest": None}], {"a": 1}, None],
    ids=["not there", "older than digests", "other", "null"],
)
async def test_github_does_not_say(
    mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch, assets: object
) -> None:
    """Where GitHub has no digest, that of the provenance will do; where neither has one, the record says so."""
    monkeypatch.setenv("REPRO_GITHUB_API", mirror.url)
    archive = mirror.publish_buildkit("0.25.1")
    list_on_github(mirror, "0.25.1", assets)
    await resolve("buildkit:0.25.1")
    assert checked(cache) == f"by nothing: {mirror.url}{mirror.asked[1]} has none, {mirror.url} has none"
    remove("buildkit:0.25.1")
    state(archive)
    await resolve("buildkit:0.25.1")
    assert checked(cache) == f"by {mirror.url}{mirror.asked[1]}"


async def test_github_does_not_answer(mirror: Mirror, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that cannot reach GitHub's API, or was there too often, does without, and the record says so."""
    monkeypatch.setenv("REPRO_GITHUB_API", "http://127.0.0.1:1")
    mirror.publish_buildkit("0.25.1")
    await resolve("buildkit:0.25.1")
    assert "http://127.0.0.1:1 did not answer" in checked(cache)


@pytest.mark.parametrize("statement", ["<html>", "[]", '{"subject": [{}]}', '{"subject": []}', '{"subject": null}'])
async def test_a_statement_that_is_none(mirror: Mirror, cache: Path, statement: str) -> None:
    """A provenance that says nothing of the archive is no reason to believe in it."""
    provenance_of(mirror.publish_buildkit("0.25.1")).write_text(statement)
    with pytest.raises(NoStatement, match=r"provenance\.json is no statement of what was released"):
        await resolve("buildkit:0.25.1")
    assert list(cache.iterdir()) == []


async def test_docker_publishes_none(mirror: Mirror, host_bin: Path, fake: Callable[..., Path]) -> None:
    """Docker's static releases have no checksum to be held against, and that is on record."""
    mirror.publish_docker("28.5.2")
    fake(host_bin, "docker-buildx", "of the host")
    await resolve("docker:28.5.2")
    assert [each.checked for each in cached_toolchains() if each.spec == "docker:28.5.2"] == [
        "by nothing: docker publishes no checksum of it"
    ]
    assert len(mirror.asked) == 1
