"""``buildkit:v0.20.0..v0.25.1``, ``docker:28.0..28.5``: upstream's releases, from its own list or a mirror's.

BuildKit's list is what GitHub's API answers (``releases``, page by page); a mirror has it as ``releases.json`` beside
the releases, or is asked for its index page. Docker's is the index page of its folder of archives.
"""

import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from packaging.version import Version

from harness.experiments.bisect.candidates.base import BadRange, Chain, ListUnavailable, Options, Range, chain
from harness.experiments.bisect.candidates.versions import between_versions, parse_ends, version_in
from harness.toolchain.http import client, get
from harness.toolchain.release import BUILDKIT, DOCKER, UpstreamReleases

_PAGES: Final = 50
"""More than upstream will have in years, at a hundred releases a page."""
_LINK: Final = re.compile(r"""href=["']?(?:[^"'\s>]*/)?([^"'/\s>]+)/?["'\s>]""", re.IGNORECASE)
_API: Final = "https://api.github.com/repos/moby/buildkit/releases?per_page=100"
_NOTE: Final = (
    "Releases are searched in the order of their versions: where a change was also brought to an older line, that line"
    " does not fit the order."
)


@dataclass(frozen=True)
class ListedRelease:
    """A release in upstream's list."""

    version: str
    """Without a ``v``."""
    prerelease: bool


@dataclass(frozen=True)
class Releases:
    """The releases of one project that a range may be named of."""

    release: UpstreamReleases
    named: str
    """How a release is named, by its ``{version}``."""

    async def find(self, argument: str, options: Options) -> Range:
        """Return the range of releases from one version to another; pre-releases only where the options say so."""
        text = f"{self.release.kind}:{argument}"
        older, newer = parse_ends(text, argument)
        machine = platform.machine()
        if machine not in self.release.machines:
            raise BadRange(text, f"there is no static release for {machine}")
        versions: dict[str, Version] = {}
        for listed in await self._list():
            version = version_in(f"v{listed.version}")
            wanted = options.prereleases or not listed.prerelease
            if version and (wanted or listed.version in {older.removeprefix("v"), newer.removeprefix("v")}):
                versions[self.named.format(version=listed.version)] = version
        names = between_versions(text, versions, older, newer)
        return Chain(chain(names), tuple(f"{self.release.kind}:{name.removeprefix('v')}" for name in names), _NOTE)

    async def _list(self) -> list[ListedRelease]:
        mirror = os.environ.get(self.release.mirror_variable, "").rstrip("/")
        async with client() as asking:
            try:
                return await self._read(asking, mirror)
            except httpx.HTTPStatusError as error:
                why = f"status {error.response.status_code}"
                raise ListUnavailable(str(error.request.url), why, self.release.mirror_variable) from error
            except (httpx.RequestError, httpx.InvalidURL) as error:
                where = str(error.request.url) if isinstance(error, httpx.RequestError) else mirror
                why = str(error) or type(error).__name__
                raise ListUnavailable(where, why, self.release.mirror_variable) from error

    async def _read(self, asking: httpx.AsyncClient, mirror: str) -> list[ListedRelease]:
        folder, _, archive = self.release.path.rpartition("/")
        if "{version}" not in folder:  # the archives of all versions lie in one
            below = folder.format(machine=self.release.machines[platform.machine()])
            page = await get(asking, f"{mirror or self.release.mirror}/{below}/")
            prefix, suffix = archive.split("{version}")
            return [*_in_index(page.text, re.escape(prefix), re.escape(suffix))]
        if not mirror:
            return await self._from_api(asking, _API)
        try:
            return await self._from_api(asking, f"{mirror}/releases.json")
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
        return [*_in_index((await get(asking, f"{mirror}/")).text, "v", "")]

    async def _from_api(self, asking: httpx.AsyncClient, url: str) -> list[ListedRelease]:
        found: list[ListedRelease] = []
        following: str | None = url
        for _ in range(_PAGES):
            if following is None:
                break
            page = await get(asking, following)
            try:
                found += _in_api(page.json())
            except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
                raise ListUnavailable(
                    following, "it is no list of GitHub's API", self.release.mirror_variable
                ) from error
            following = page.links.get("next", {}).get("url")
        return found


def _in_api(releases: Iterable[Mapping[str, Any]]) -> Iterator[ListedRelease]:
    """Yield the releases of an answer; tags of other parts, such as ``dockerfile/1.18.0``, are none."""
    for release in releases:
        tag = str(release["tag_name"])
        if re.match(r"v\d", tag) and not release.get("draft", False):
            version = version_in(tag)
            yield ListedRelease(
                tag[1:], bool(release.get("prerelease", False)) or bool(version and version.is_prerelease)
            )


def _in_index(page: str, prefix: str, suffix: str) -> Iterator[ListedRelease]:
    for name in dict.fromkeys(_LINK.findall(page)):
        if match := re.fullmatch(rf"{prefix}(\d[\w.~-]*){suffix}", name):
            version = version_in(f"v{match[1]}")
            yield ListedRelease(match[1], bool(version and version.is_prerelease))


BUILDKIT_RELEASES: Final = Releases(BUILDKIT, "v{version}")
DOCKER_RELEASES: Final = Releases(DOCKER, "{version}")
