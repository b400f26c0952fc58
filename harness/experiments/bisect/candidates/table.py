"""The table of kinds of ranges: what may stand before the colon."""

from collections.abc import Mapping
from typing import Final

from harness.core.errors import UnknownKind
from harness.experiments.bisect.candidates.base import Options, Range, RangeKind
from harness.experiments.bisect.candidates.debian import Suites
from harness.experiments.bisect.candidates.git import Commits
from harness.experiments.bisect.candidates.image import Tags
from harness.experiments.bisect.candidates.path import Folders
from harness.experiments.bisect.candidates.release import BUILDKIT_RELEASES, DOCKER_RELEASES

RANGES: Final[Mapping[str, RangeKind]] = {
    "path": Folders(),
    "buildkit": BUILDKIT_RELEASES,
    "docker": DOCKER_RELEASES,
    "image": Tags(),
    "debian": Suites(),
    "git": Commits(),
}


async def resolve_range(text: str, options: Options) -> Range:
    """Return the range that a text such as ``buildkit:v0.20.0..v0.25.1`` names; nothing is built or fetched yet.

    Raises:
        UnknownKind: nothing of that kind; the message lists the known ones.
        UsageError: there is no such range.
        InfraError: it cannot be obtained here and now.
    """
    kind, _, argument = text.partition(":")
    if kind not in RANGES:
        raise UnknownKind("kind of range", kind, RANGES)
    return await RANGES[kind].find(argument, options)
