"""The table of toolchain kinds: what may stand before the colon of a spec."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.core.errors import UnknownKind, UsageError
from harness.toolchain.auto import Auto
from harness.toolchain.base import Source, Toolchain
from harness.toolchain.debian import Debian
from harness.toolchain.host import HostToolchain
from harness.toolchain.image import Image
from harness.toolchain.path import PathFolder
from harness.toolchain.release import BUILDKIT, DOCKER

PRIVATE: Final[Mapping[str, Source]] = {
    "path": PathFolder(),
    "debian": Debian(),
    "docker": DOCKER,
    "buildkit": BUILDKIT,
    "image": Image(),
}
"""The kinds whose daemons are ours to start and to harm; `auto` chooses among these alone."""
SOURCES: Final[Mapping[str, Source]] = {"auto": Auto(PRIVATE), **PRIVATE, "host": HostToolchain()}

_VERSION: Final = re.compile(r"v?\d+(\.\d+)+(-[\w.]+)?")


class VersionAlone(UsageError):
    """A version in the place of a toolchain; BuildKit's begin with a zero, and no Engine's does."""

    def __init__(self, version: str) -> None:
        number = version.removeprefix("v")
        spec = f"buildkit:v{number}" if number.startswith("0.") else f"docker:{number}"
        super().__init__(f"{version!r} is a version, and does not say of what: say {spec}")


async def resolve(spec: str) -> Toolchain:
    """Return the toolchain that a spec such as ``auto``, ``debian:trixie`` or ``path:DIR`` names; a folder is one, too.

    Raises:
        UnknownKind: nothing of that kind; the message lists the known ones.
        VersionAlone: it is but a version.
        UsageError: there is no such toolchain.
        InfraError: it cannot be obtained here and now.
    """
    kind, _, argument = spec.partition(":")
    if kind not in SOURCES:
        if spec.startswith(("/", "./", "../", "~")) or (spec and Path(spec).is_dir()):
            return await SOURCES["path"].obtain(spec)
        raise VersionAlone(spec) if _VERSION.fullmatch(spec) else UnknownKind("toolchain", kind, SOURCES)
    return await SOURCES[kind].obtain(argument)
