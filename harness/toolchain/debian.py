"""``debian:SUITE``: the Docker of a Debian suite, fetched and verified by apt; nothing is installed."""

from functools import partial
from pathlib import Path
from typing import Final

from harness.toolchain.apt import SUITE_NAME, fetch_packages
from harness.toolchain.base import BadSpec, Toolchain
from harness.toolchain.cached import Gathered, from_cache
from harness.toolchain.programs import complete, programs_below

_PACKAGES: Final = ("docker.io", "containerd", "runc")
_OPTIONAL: Final = ("docker-cli", "docker-buildx")  # older suites have the client in docker.io, and no buildx


class Debian:
    """Takes a suite's packages as they stand, but a runc that starts on this host."""

    async def obtain(self, argument: str) -> Toolchain:
        """Return the toolchain of a suite; the second time without any network."""
        spec = f"debian:{argument}"
        if not SUITE_NAME.fullmatch(argument):
            raise BadSpec(spec, "name a suite, as in debian:trixie")
        return await from_cache(spec, partial(_gather, argument))


async def _gather(suite: str, work: Path) -> Gathered:
    versions = await fetch_packages(suite, _PACKAGES, work / "tree", optional=_OPTIONAL)
    return Gathered(await complete(programs_below(work / "tree"), from_host=False), versions)
