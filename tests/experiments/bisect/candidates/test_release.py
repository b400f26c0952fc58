"""``buildkit:`` and ``docker:``: upstream's lists and archives, from a real HTTP server in upstream's layout."""

import io
import json
import platform
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from harness.experiments.bisect.candidates import CannotBeHad, Options, require_ends, resolve_range
from harness.experiments.bisect.candidates.base import BadRange, ListUnavailable, NoSuchEnd

MACHINE = platform.machine()
GO_MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(MACHINE, "")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("cache"),
    pytest.mark.skipif(not GO_MACHINE, reason="upstream has no static release for it"),
]

TAGS = ("v0.25.1", "dockerfile/1.19.0", "v0.24.0", "v0.25.0", "v0.25.0-rc1", "v0.23.2", "buildx-stuff", "v0.23.0")
DOCKER_PAGE = "".join(
    f'<a href="{name}">{name}</a>  2025-09-03 21:01  80M\n'
    for name in (
        *("../", "docker-27.5.1.tgz", "docker-28.0.0.tgz", "docker-28.0.1.tgz", "docker-28.10.0.tgz"),
        "docker-28.5.0.tgz",
        *("docker-28.5.2.tgz", "docker-29.0.0-rc.1.tgz", "docker-rootless-extras-28.5.2.tgz", "docker-17.12.0-ce.tgz"),
    )
)


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; with ``?page=N`` the page of that number, and a link to the next one, as GitHub does."""

    def do_GET(self) -> None:
        """Answer a page, or the file."""
        path, _, page = self.path.partition("?page=")
        file = Path(self.directory, path.lstrip("/") + f".{page or 1}")
        if not file.is_file():
            super().do_GET()
            return
        self.send_response(200)
        following = int(page or 1) + 1
        if file.with_suffix(f".{following}").exists():
            self.send_header("Link", f'<http://{self.headers["Host"]}{path}?page={following}>; rel="next"')
        self.end_headers()
        self.wfile.write(file.read_bytes())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Both projects' mirror, empty as yet; what is in this folder is served."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        for variable in ("REPRO_DOCKER_MIRROR", "REPRO_BUILDKIT_MIRROR"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{server.server_port}/")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def api(tags: tuple[str, ...], **more: bool) -> str:
    """Return what GitHub's API answers of releases, in so far as it counts."""
    return json.dumps([{"tag_name": tag, "draft": False, "prerelease": "-rc" in tag, **more} for tag in tags])


def publish_buildkit(mirror: Path, version: str) -> None:
    """Put an archive of scripts where BuildKit has its releases."""
    file = mirror / f"v{version}/buildkit-v{version}.linux-{GO_MACHINE}.tar.gz"
    file.parent.mkdir()
    with tarfile.open(file, "w:gz") as tar:
        for name in ("buildkitd", "buildctl", "buildkit-runc"):
            script = f'#!/bin/sh\necho "{name} {version}"\n'.encode()
            member = tarfile.TarInfo(f"bin/{name}")
            member.size, member.mode = len(script), 0o755
            tar.addfile(member, io.BytesIO(script))


async def names(text: str, *, prereleases: bool = False) -> list[str]:
    """Return the names of a range's candidates."""
    return [each.name for each in (await resolve_range(text, Options(prereleases=prereleases))).candidates]


async def test_the_list_of_githubs_api(mirror: Path) -> None:
    """Releases of the daemon are found on all pages, in the order of versions; drafts and other parts' are none."""
    (mirror / "releases.json.1").write_text(api(TAGS[:4]))
    (mirror / "releases.json.2").write_text(api(TAGS[4:]))
    (mirror / "releases.json.3").write_text(api(("v0.24.9",), draft=True))
    assert await names("buildkit:v0.23.0..v0.25.1") == ["v0.23.0", "v0.23.2", "v0.24.0", "v0.25.0", "v0.25.1"]
    assert await names("buildkit:0.24..0.25") == ["v0.24.0", "v0.25.0", "v0.25.1"]


async def test_prereleases(mirror: Path) -> None:
    """Pre-releases count where they are asked for, or are an end themselves."""
    (mirror / "releases.json").write_text(api(TAGS))
    assert await names("buildkit:v0.24.0..v0.25.0", prereleases=True) == ["v0.24.0", "v0.25.0-rc1", "v0.25.0"]
    assert await names("buildkit:v0.24.0..v0.25.0") == ["v0.24.0", "v0.25.0"]
    assert await names("buildkit:v0.25.0-rc1..v0.25.1") == ["v0.25.0-rc1", "v0.25.0", "v0.25.1"]


async def test_a_mirror_without_a_list(mirror: Path) -> None:
    """A mirror that has no releases.json is asked for its index page; a release is fetched as any toolchain is."""
    for version in ("0.23.2", "0.24.0", "0.25.1"):
        publish_buildkit(mirror, version)
    (mirror / "v0.24.0").rename(mirror / "v0.24.1")
    found = await resolve_range("buildkit:v0.23.2..v0.25.1", Options())
    assert [each.name for each in found.candidates] == ["v0.23.2", "v0.24.1", "v0.25.1"]
    assert "also brought to an older line" in found.note
    assert await require_ends(found) == ("buildkit:0.23.2", "buildkit:0.25.1")
    with pytest.raises(CannotBeHad, match=r"v0\.24\.1 cannot be obtained: .*there is no such release at http"):
        await found.toolchain(1)


async def test_dockers_index(mirror: Path) -> None:
    """Docker's index page is its list; two numbers span a line, and other archives beside are none."""
    folder = mirror / f"linux/static/stable/{MACHINE}"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text(f"<html><pre>{DOCKER_PAGE}</pre></html>")
    assert await names("docker:28.0..28.5") == ["28.0.0", "28.0.1", "28.5.0", "28.5.2"]
    assert await names("docker:17.12.0-ce..28.0.0") == ["17.12.0-ce", "27.5.1", "28.0.0"]
    assert await names("docker:28.5.2..29.0", prereleases=True) == ["28.5.2", "28.10.0", "29.0.0-rc.1"]
    with pytest.raises(NoSuchEnd, match=r"there is no '28\.5\.3'; did you mean '28\.5\.\d'"):
        await names("docker:28.0..28.5.3")


async def test_lists_that_are_none(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is no list, a status, and a server that is not there, are each told with their address."""
    (mirror / "releases.json").write_text('{"message": "API rate limit exceeded"}')
    with pytest.raises(ListUnavailable, match=r"releases\.json: it is no list of GitHub's API"):
        await names("buildkit:v1..v2")
    with pytest.raises(ListUnavailable, match=r"linux/static/.*: status 404; check the network, or .*DOCKER_MIRROR"):
        await names("docker:28.0..28.5")
    monkeypatch.setenv("REPRO_BUILDKIT_MIRROR", "http://127.0.0.1:1")
    with pytest.raises(ListUnavailable, match=r"http://127\.0\.0\.1:1/releases.json: .*REPRO_BUILDKIT_MIRROR"):
        await names("buildkit:v1..v2")


async def test_no_list_is_asked_for_what_is_no_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that names no two ends is refused without the network."""
    monkeypatch.setenv("REPRO_BUILDKIT_MIRROR", "http://127.0.0.1:1")
    with pytest.raises(BadRange, match="name two ends"):
        await names("buildkit:v0.25.1")
