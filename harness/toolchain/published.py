"""The checksums that upstream publishes of its releases, and what an archive is held against.

BuildKit puts a provenance beside each archive since v0.11 (an in-toto statement, whose subjects are the archive's name
and its SHA-256), and GitHub has a digest of each file that was uploaded since June 2025. Docker publishes none of its
static releases (docker/roadmap#188). Nobody's signature is checked: what is held against each other is what two
places say.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import httpx

from harness.core.errors import InfraError
from harness.toolchain.http import get

_MOST_BYTES: Final = 2**24
"""A provenance has some 100 kB."""


class ChecksumDiffers(InfraError):
    """An archive that is not what upstream says that it is."""

    def __init__(self, url: str, came: str, said: str, where: str) -> None:
        super().__init__(
            f"what {url} sent is not what was released, and was deleted: its SHA-256 is {came}, and {where} says "
            f"{said}; try again, or another mirror, and tell upstream where it stays so"
        )


class NoStatement(InfraError):
    """A file of checksums that says nothing of an archive."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url} is no statement of what was released: {why}; try again, or another mirror")


@dataclass(frozen=True)
class Published:
    """Where the checksums of one project's releases are."""

    provenance: str
    """What stands in its name in the place of the archive's ending."""
    repository: str
    """On GitHub, such as ``moby/buildkit``."""


async def of_provenance(asking: httpx.AsyncClient, url: str, archive: str) -> str | None:
    """Return the SHA-256 that a provenance has for an archive; None where there is no provenance.

    Raises:
        NoStatement: it is none, or says nothing of it.
        httpx.HTTPError: it could not be fetched.
    """
    answer = await _asked(asking, url)
    if answer is None:
        return None
    try:
        for subject in _json(answer)["subject"]:
            if PurePosixPath(subject["name"]).name == archive:
                return str(subject["digest"]["sha256"])
    except (ValueError, LookupError, TypeError) as error:
        raise NoStatement(url, "it is no in-toto statement") from error
    raise NoStatement(url, f"it does not name {archive}")


async def of_github(asking: httpx.AsyncClient, api: str, repository: str, tag: str, archive: str) -> str | None:
    """Return the SHA-256 that GitHub has for a file of a release; None where it has none, or does not say.

    Raises:
        httpx.HTTPError: it could not be asked.
    """
    answer = await _asked(asking, f"{api}/repos/{repository}/releases/tags/{tag}")
    if answer is None:
        return None
    try:
        digests = {asset["name"]: asset.get("digest") for asset in _json(answer)["assets"]}
        kind, _, digest = str(digests.get(archive) or "").partition(":")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return digest if kind == "sha256" else None


async def _asked(asking: httpx.AsyncClient, url: str) -> httpx.Response | None:
    try:
        return await get(asking, url)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.NOT_FOUND:
            return None
        raise


def _json(answer: httpx.Response) -> Any:
    if len(answer.content) > _MOST_BYTES:
        raise ValueError(answer.url)
    return answer.json()
