"""Which known hangs a release has: what a daemon is, the signatures that fit, and what to upgrade to."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from packaging.version import Version

from harness.buildkit.engines import buildkit_in, engine_with, parsed
from harness.buildkit.goroutines.reading import Kind
from harness.buildkit.goroutines.signatures import Signature, signatures
from harness.core.records import Diagnosis

HUNTED: Final = "export-livelock"
"""The signature of the hang that this project is named after: exported, and never returned."""

_NUMBER: Final = re.compile(r"\d+\.\d+(?:\.\d+)?(?:[-+.~][^\s,]+)?")
_NOBODYS: Final = "0.0.0"
"""What a build of one's own says: ``v0.0.0+unknown``."""
_SHOWS: Final[Mapping[Kind | None, str]] = {
    Kind.LIVELOCK: "a build prints its last step and never returns, while the daemon keeps a core busy",
    Kind.DEADLOCK: "builds wait for ever, and the daemon uses no CPU",
    Kind.LOST_WAKE_UP: "every build waits from then on, and the daemon uses no CPU",
    Kind.CLIENT_SIDE: "builds whose clients are gone stay in the daemon",
    Kind.CRASHED: "the daemon dies, and its builds with it",
    None: "goroutines gather, and memory with them",
}


@dataclass(frozen=True)
class DaemonRelease:
    """What a daemon is, as far as it is known: empty where it is not."""

    buildkit: str
    """`v0.23.2`: its own, or the one inside an Engine."""
    engine: str
    """`28.3.3`; empty of a buildkitd."""

    @classmethod
    def of(cls, daemon: Mapping[str, Any]) -> "DaemonRelease":
        """Return it by a daemon's `kind` and `version`, as `summary.json` has them."""
        reported = str(daemon.get("version") or "")
        found = _NUMBER.search(reported.rpartition("BuildKit v")[2])
        number = found[0] if found and parsed(found[0]) is not None else _NOBODYS
        if number.startswith(_NOBODYS):
            return cls("", "")
        if daemon.get("kind") == "buildkitd" or "BuildKit v" in reported:
            return cls(f"v{number}", "")
        return cls(buildkit_in(number), number)

    @property
    def is_known(self) -> bool:
        """Whether it can be held against what is known."""
        return bool(self.buildkit or self.engine)

    def __str__(self) -> str:
        """Return it as a person reads it."""
        buildkit = f"BuildKit {self.buildkit}" if self.buildkit else ""
        if not self.engine:
            return buildkit or "of no known version"
        return f"Engine {self.engine}" + (f" with {buildkit}" if buildkit else "")

    def has(self, signature: Signature) -> bool:
        """Whether a known bug is in it, as far as versions say."""
        reported = signature.affects("Engine", str(parsed(self.engine))) if self.engine else None
        inside = str(parsed(self.buildkit)) if self.buildkit else ""
        return bool(signature.affects("BuildKit", inside) if reported is None and inside else reported)


def known_in(release: DaemonRelease) -> tuple[Signature, ...]:
    """Return the known bugs that a release has, those with a fix first."""
    found = [signature for signature in signatures() if release.has(signature)]
    return tuple(sorted(found, key=lambda signature: not signature.fixed_in))


def shows(signature: Signature) -> str:
    """Return the symptom of a bug, as a person who runs builds sees it."""
    return _SHOWS.get(signature.kind, _SHOWS[None])


def range_of(signature: Signature) -> str:
    """Return which versions have a bug, as far as that is known: ``BuildKit v0.23.0 up to v0.25.0``."""
    reported = []
    for product, (first, fixed) in signature.ranges.items():
        if fixed is None:
            reported.append(f"{product}, all releases so far")
        else:
            reported.append(f"{product} {first or '(since when is not known)'} up to {fixed}")
    return " / ".join(reported)


def cure(found: Iterable[Signature], release: DaemonRelease) -> str:
    """Return the least release that has the fixes of all that have one: ``BuildKit v0.29.0 or later``; or nothing."""
    fixes = [fix for each in found if (fix := each.fixed_in.get("BuildKit"))]
    if not fixes:
        return ""
    buildkit = max(fixes, key=Version)
    if not release.engine:
        return f"BuildKit {buildkit} or later"
    engine = engine_with(buildkit)
    return f"Engine {engine} or later" if engine else f"an Engine with BuildKit {buildkit} or later"


def place_of(release: DaemonRelease, name: str = HUNTED) -> str:
    """Return where a release stands to a known bug's range, as a sentence; nothing where that is not known."""
    found = next((each for each in signatures() if each.name == name), None)
    if found is None or not release.is_known:
        return ""
    product, number = ("Engine", release.engine) if release.engine else ("BuildKit", release.buildkit)
    first, fixed = found.ranges.get(product, (None, None))
    here = parsed(number)
    if here is None or fixed is None:
        return ""
    known = f"{name} ({product} {first or '(since when is not known)'} up to {fixed}, where it is fixed)"
    if release.has(found):
        return f"{release} is in the range of {known}"
    return f"{release} {'has the fix of' if here >= Version(fixed) else 'is older than'} {known}"


def advice_on(found: Diagnosis, release: DaemonRelease) -> str:
    """Return what to do about a diagnosis that is known, as the beginning of a sentence; nothing where it is not known.

    ``known, fixed in BuildKit v0.25.0 / Engine 28.5.0: upgrade, no report is needed``.
    """
    if not found.known:
        return ""
    if not found.fixed_in:
        return "known, with no fix yet: add to what is known of it"
    fixed = " / ".join(f"{product} {version}" for product, version in found.fixed_in.items())
    if has_fix(found, release):
        return f"known, said to be fixed in {fixed}, and seen in {release} all the same: report it"
    return f"known, fixed in {fixed}: upgrade, no report is needed"


def has_fix(found: Diagnosis, release: DaemonRelease) -> bool:
    """Whether a release is said to have the fix of a diagnosis."""
    product, number = ("Engine", release.engine) if release.engine else ("BuildKit", release.buildkit)
    here, fixed = parsed(number), parsed(found.fixed_in.get(product, ""))
    return here is not None and fixed is not None and here >= fixed


def upstreams_spec(kind: str | None, version: str | None) -> str:
    """Return the `--daemon` of upstream's release of a daemon; empty if upstream has none.

    Args:
        kind: `dockerd` or `buildkitd`.
        version: as the daemon says it; that of a distribution's package stands for upstream's.
    """
    number = re.fullmatch(r"v?(\d+\.\d+\.\d+(?:-(?:rc|beta)[.]?\d+)?)(?:\+(?:dfsg|ds).*|-\d+ubuntu.*)?", version or "")
    if number is None or number[1] == _NOBODYS:
        return ""
    return f"buildkit:v{number[1]}" if kind == "buildkitd" else f"docker:{number[1]}"
