"""Versions in names of releases and folders, and the part of an ordered list that lies between two of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from packaging.version import Version

from harness.experiments.bisect.candidates.base import BadRange, NoSuchEnd, OneCandidate, SameEnds, WrongWayRound

_VERSION: Final = re.compile(
    r"(?<![\d.])(?:v?(?P<dotted>\d+(?:\.\d+)+)|(?<![a-z])v(?P<plain>\d+))"
    r"(?:[-+.](?:ce|ee)\b)?"  # Docker's until 2018, as in 17.03.0-ce
    r"(?:[-.~_]?(?P<stage>alpha|beta|rc)[-.]?(?P<number>\d*))?",
    re.IGNORECASE,
)


def version_in(name: str) -> Version | None:
    """Return the first version in a name such as ``v0.25.0-rc1`` or ``docker-28.5.2``; None where there is none."""
    match = _VERSION.search(name)
    if match is None:
        return None
    stage = f"{match['stage']}{match['number'] or 0}" if match["stage"] else ""
    return Version(f"{match['dotted'] or match['plain']}{stage}")


def parse_ends(text: str, argument: str) -> tuple[str, str]:
    """Return the two ends of ``A..B``.

    Raises:
        BadRange: it is not of that form.
    """
    older, dots, newer = argument.partition("..")
    if not dots or not older or not newer or newer.startswith(".") or ".." in newer:
        raise BadRange(text, "name two ends, the older one first, as in v0.20.0..v0.25.1")
    return older, newer


def between_names(text: str, names: Sequence[str], older: str, newer: str) -> Sequence[str]:
    """Return the names from `older` to `newer`, of a list that has an order of its own.

    Raises:
        BadRange: an end is not in the list, both are the same, or they are the wrong way round.
    """
    for end in (older, newer):
        if end not in names:
            raise NoSuchEnd(text, end, names)
    if older == newer:
        raise SameEnds(text, older, newer)
    if names.index(older) > names.index(newer):
        raise WrongWayRound(text, older, newer)
    return names[names.index(older) : names.index(newer) + 1]


def between_versions(text: str, versions: Mapping[str, Version], older: str, newer: str) -> list[str]:
    """Return the names from one version to another, in the order of versions, pre-releases before their release.

    An end of fewer than three numbers stands for all releases that begin so: ``28.0..28.5`` goes from 28.0.0 to the
    last of 28.5.

    Args:
        text: the range, for what is said of it.
        versions: of each name.
        older: an end, with or without a ``v``.
        newer: the other.

    Raises:
        BadRange: an end is not among them, both are the same, they are the wrong way round, or there is one alone.
    """
    names = sorted(versions, key=lambda name: versions[name])
    first, last = (_matching(text, versions, names, end) for end in (older, newer))
    if versions[first[0]] > versions[last[-1]]:
        raise WrongWayRound(text, older, newer)
    found = names[names.index(first[0]) : names.index(last[-1]) + 1]
    if len(found) == 1:
        raise OneCandidate(text, found) if _is_prefix(older) or _is_prefix(newer) else SameEnds(text, older, newer)
    return found


def _matching(text: str, versions: Mapping[str, Version], names: Sequence[str], end: str) -> list[str]:
    wanted = version_in(f"v{end.removeprefix('v')}")
    if wanted is None:
        raise BadRange(text, f"{end!r} is no version; write it like {names[-1] if names else 'v0.25.1'}")
    if _is_prefix(end):
        found = [name for name in names if versions[name].release[: len(wanted.release)] == wanted.release]
    else:
        found = [name for name in names if versions[name] == wanted]
    if not found:
        raise NoSuchEnd(text, end, [name if end.startswith("v") else name.removeprefix("v") for name in names])
    return found


def _is_prefix(end: str) -> bool:
    version = version_in(f"v{end.removeprefix('v')}")
    return version is not None and not version.is_prerelease and len(version.release) < 3
