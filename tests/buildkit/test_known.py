"""Which known hangs a release has, by its version."""

import pytest

from harness.buildkit.goroutines.signatures import signatures
from harness.buildkit.known import (
    HUNTED,
    DaemonRelease,
    cure,
    known_in,
    place_of,
    range_of,
    shows,
)

RELEASES = {
    "buildkitd's own": ("buildkitd", "v0.23.2", DaemonRelease("v0.23.2", "")),
    "as its program says it": (
        "buildkitd",
        "buildkitd github.com/moby/buildkit v0.25.1 40b2ede0ac0a",
        DaemonRelease("v0.25.1", ""),
    ),
    "commits after a release": ("buildkitd", "v0.23.2-5-g141a4a6", DaemonRelease("v0.23.2-5-g141a4a6", "")),
    "an engine": ("dockerd", "28.3.3", DaemonRelease("v0.23.2", "28.3.3")),
    "Debian's": ("dockerd", "Docker version 26.1.5+dfsg1, build 411e817", DaemonRelease("v0.13.2", "26.1.5+dfsg1")),
    "a BuildKit in a container of an engine": ("dockerd", "26.1.5, BuildKit v0.24.0", DaemonRelease("v0.24.0", "")),
    "a later patch than we know": ("dockerd", "28.3.9", DaemonRelease("v0.23.2", "28.3.9")),
    "a later engine than we know": ("dockerd", "99.0.0", DaemonRelease("", "99.0.0")),
    "a build of one's own": ("buildkitd", "v0.0.0+unknown", DaemonRelease("", "")),
    "nothing": ("dockerd", "", DaemonRelease("", "")),
    "no number": ("buildkitd", "dev", DaemonRelease("", "")),
}


@pytest.mark.parametrize(("kind", "told", "release"), RELEASES.values(), ids=RELEASES)
def test_releases(kind: str, told: str, release: DaemonRelease) -> None:
    """What daemons, programs and packages say is read as what it is, and what says nothing as not known."""
    assert DaemonRelease.of({"kind": kind, "version": told}) == release


@pytest.mark.parametrize(
    ("kind", "version", "has"),
    [
        ("buildkitd", "v0.22.0", False),
        ("buildkitd", "v0.23.0", True),
        ("buildkitd", "v0.24.0", True),
        ("buildkitd", "v0.23.2-5-g141a4a6", True),
        ("buildkitd", "v0.25.0-rc1", True),
        ("buildkitd", "v0.25.0", False),
        ("buildkitd", "v0.25.1+dirty", False),
        ("dockerd", "28.2.2", False),
        ("dockerd", "28.4.0", True),
        ("dockerd", "28.5.0", False),
        ("dockerd", "29.9.9", False),
    ],
)
def test_the_hang_of_the_report(kind: str, version: str, has: bool) -> None:
    """Exactly the releases from the one that brought it to the one before its fix have it."""
    release = DaemonRelease.of({"kind": kind, "version": version})
    assert (HUNTED in {each.name for each in known_in(release)}) is has
    assert ("is in the range of" in place_of(release)) is has
    assert place_of(release)


def test_what_is_not_known_is_not_called_free() -> None:
    """Of a release that nobody knows, nothing is said."""
    unknown = DaemonRelease("", "")
    assert not unknown.is_known
    assert known_in(unknown) == ()
    assert place_of(unknown) == ""
    assert str(unknown) == "of no known version"


def test_what_to_take() -> None:
    """The release to take has all fixes, and an Engine is answered with an Engine that has that BuildKit inside."""
    for kind, version, advice in (("buildkitd", "v0.30.0", "BuildKit v0.31.2"), ("dockerd", "28.3.3", "Engine 29.6.2")):
        release = DaemonRelease.of({"kind": kind, "version": version})
        assert cure(known_in(release), release) == f"{advice} or later"
        number = advice.rpartition(" ")[2]
        cured = DaemonRelease.of({"kind": kind, "version": number})
        assert not [each for each in known_in(cured) if each.fixed_in]
    assert cure((), DaemonRelease("v0.32.0", "")) == ""


def test_each_is_told() -> None:
    """Each known bug says how it shows, and in what it is."""
    for each in signatures():
        assert shows(each)
        assert ("all releases so far" in range_of(each)) is not bool(each.fixed_in)
