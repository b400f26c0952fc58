"""Which BuildKit is inside which Docker Engine: the one place that says so."""

import re
from collections.abc import Sequence
from typing import Final

from packaging.version import InvalidVersion, Version

ENGINES: Final[Sequence[tuple[str, str]]] = (
    ("23.0.0", "v0.10.6"), ("24.0.0", "v0.11.6"), ("25.0.0", "v0.12.4"), ("25.0.2", "v0.12.5"), ("26.0.0", "v0.13.1"),
    ("26.1.1", "v0.13.2"), ("27.0.1", "v0.14.1"), ("27.1.0", "v0.15.0"), ("27.1.2", "v0.15.1"), ("27.2.0", "v0.15.2"),
    ("27.3.0", "v0.16.0"), ("27.4.0", "v0.17.3"), ("27.5.0", "v0.18.2"), ("28.0.0", "v0.20.0"), ("28.0.2", "v0.20.1"),
    ("28.0.3", "v0.20.2"), ("28.1.0", "v0.21.0"), ("28.2.0", "v0.22.0"), ("28.3.0", "v0.23.1"), ("28.3.1", "v0.23.2"),
    ("28.4.0", "v0.24.0"), ("28.5.0", "v0.25.0"), ("28.5.1", "v0.25.1"), ("28.5.2", "v0.25.2"), ("29.1.0", "v0.26.2"),
    ("29.1.4", "v0.26.3"), ("29.2.0", "v0.27.0"), ("29.2.1", "v0.27.1"), ("29.3.0", "v0.28.0"), ("29.3.1", "v0.28.1"),
    ("29.4.0", "v0.29.0"), ("29.5.0", "v0.30.0"), ("29.6.0", "v0.31.0"), ("29.6.1", "v0.31.1"), ("29.6.2", "v0.31.2"),
    ("29.7.0", "v0.32.0"), ("29.7.2", "v0.32.2"),
)  # fmt: skip
"""The first Engine with each BuildKit: `vendor.mod`, and from 29 on `go.mod`, in the tags of moby/moby (August 2026).

Engines 23.0 to 25.0.1 have commits after the BuildKit that is named, of the same minor version.
"""


def buildkit_in(engine: str) -> str:
    """Return the BuildKit inside an Engine; empty where it is not known, as of one that is older or newer than we know.

    A patch release later than we know of is taken to have at least the BuildKit of the one before.
    """
    here = parsed(engine)
    if here is None or here.release[:2] > Version(ENGINES[-1][0]).release[:2]:
        return ""
    return next((buildkit for first, buildkit in reversed(ENGINES) if here >= Version(first)), "")


def engine_with(buildkit: str) -> str:
    """Return the first Engine that has at least this BuildKit; empty where we know of none."""
    wanted = Version(buildkit)
    return next((first for first, inside in ENGINES if Version(inside) >= wanted), "")


def released_with(fix: str) -> dict[str, str]:
    """Return by product the first release with a fix of BuildKit: ``{"BuildKit": "v0.31.0", "Engine": "29.6.0"}``."""
    engine = engine_with(fix)
    return {"BuildKit": fix, **({"Engine": engine} if engine else {})}


def engines_between(first: str | None, fixed: str | None) -> tuple[str | None, str] | None:
    """Return the first Engine with a bug, and the first without; None where no Engine is known to have had it.

    Args:
        first: the first BuildKit that has the bug; None where that is not known.
        fixed: the first that has the fix; None where none has, of which no Engine follows.
    """
    if fixed is None or Version(fixed) <= Version(ENGINES[0][1]):
        return None
    begun, ended = engine_with(first) if first else None, engine_with(fixed)
    return (begun, ended) if ended and begun != ended else None


def parsed(number: str) -> Version | None:
    """Return the version in a text as releases, distributions and private builds write it; None if there is none."""
    try:
        return Version(number.removeprefix("v"))
    except InvalidVersion:
        plain = re.match(r"v?(\d+(?:\.\d+)*)", number)
        return Version(plain[1]) if plain else None
