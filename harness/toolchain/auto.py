"""``auto``: what is on ``PATH``, else the newest in the cache, else what this host can fetch. Never the host's daemon.

``auto`` looks for a dockerd, ``auto:buildkitd`` for a buildkitd.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.core.errors import HarnessError, InfraError, UnknownKind
from harness.toolchain.base import NEEDS, Source, Toolchain
from harness.toolchain.cached import cached_toolchains
from harness.toolchain.programs import on_host

FETCHED: Final[Mapping[str, Sequence[str]]] = {
    "dockerd": ("debian:trixie", "docker:28.5.2"),
    "buildkitd": ("buildkit:0.25.1",),
}
"""What is fetched for each kind of daemon, in this order."""


class NothingServes(InfraError):
    """No toolchain for a kind of daemon; says why each that was tried did not serve."""

    def __init__(self, kind: str, reasons: Mapping[str, str]) -> None:
        reasons_text = "".join(f"\n    {tried}: {why}" for tried, why in reasons.items())
        super().__init__(
            f"no toolchain that runs {kind} is available here; name one, as in path:DIR. Tried:{reasons_text}"
        )


@dataclass(frozen=True)
class Auto:
    """Takes the first toolchain of `sources` that runs the kind of daemon asked for."""

    sources: Mapping[str, Source]

    async def obtain(self, argument: str) -> Toolchain:
        """Return a toolchain that runs `argument`, a kind of daemon; a dockerd where it is empty."""
        kind = argument or "dockerd"
        if kind not in NEEDS:
            raise UnknownKind("kind of daemon", kind, NEEDS)
        reasons = {}
        daemon = await on_host(kind)
        if daemon is None:
            reasons["PATH"] = f"has no {kind} that starts"
        found = [f"path:{daemon.parent}"] if daemon else []
        for spec in dict.fromkeys((*found, *self._cached(kind), *FETCHED[kind])):
            try:
                toolchain = await self._obtain(spec)
                toolchain.require(kind)
            except HarnessError as error:
                reasons[spec] = str(error)
            else:
                return toolchain
        raise NothingServes(kind, reasons)

    def _cached(self, kind: str) -> Iterator[str]:
        """Yield what the cache has for `kind`, the newest first."""
        for cached in sorted(cached_toolchains(), key=lambda cached: cached.made, reverse=True):
            if kind in cached.toolchain.kinds:
                yield cached.spec

    async def _obtain(self, spec: str) -> Toolchain:
        source, _, argument = spec.partition(":")
        return await self.sources[source].obtain(argument)
