"""Versions in names, and the releases between two of them."""

import pytest
from packaging.version import Version

from harness.experiments.bisect.candidates.base import BadRange, NoSuchEnd, OneCandidate, SameEnds, WrongWayRound
from harness.experiments.bisect.candidates.versions import between_names, between_versions, parse_ends, version_in

NAMES = ("v0.24.0", "v0.23.0", "v0.25.0-rc1", "v0.23.2", "v0.25.0", "v0.25.1", "v0.23.10")
VERSIONS = {name: Version(name) for name in NAMES}


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("v0.23.2", "0.23.2"),
        ("0.25.0-rc1", "0.25.0rc1"),
        ("v0.8.0-beta.2", "0.8.0b2"),
        ("docker-28.5.2.linux-amd64", "28.5.2"),
        ("docker-17.03.0-ce-rc1", "17.3.0rc1"),
        ("linux64-buildkit-v0.23.2", "0.23.2"),
        ("v7", "7"),
        ("build 28.0.0-RC.3", "28.0.0rc3"),
    ],
)
def test_versions_in_names(name: str, version: str) -> None:
    """A version is found wherever it stands in a name, in upstream's ways to write one."""
    assert str(version_in(name)) == version


@pytest.mark.parametrize("name", ["trixie", "mine", "linux64", "20250101", "", "dev7"])
def test_names_without_version(name: str) -> None:
    """A name with a lone number, or none, has no version."""
    assert version_in(name) is None


@pytest.mark.parametrize(
    ("older", "newer", "found"),
    [
        ("v0.23.0", "v0.24.0", ["v0.23.0", "v0.23.2", "v0.23.10", "v0.24.0"]),
        ("0.23.10", "0.25.0", ["v0.23.10", "v0.24.0", "v0.25.0-rc1", "v0.25.0"]),
        ("v0.23", "v0.24", ["v0.23.0", "v0.23.2", "v0.23.10", "v0.24.0"]),
        ("v0.24", "v0.25", ["v0.24.0", "v0.25.0-rc1", "v0.25.0", "v0.25.1"]),
        ("v0.23", "v0.23", ["v0.23.0", "v0.23.2", "v0.23.10"]),
        ("v0.25.0-rc1", "v0.25.0", ["v0.25.0-rc1", "v0.25.0"]),
    ],
)
def test_between(older: str, newer: str, found: list[str]) -> None:
    """Both ends count, numbers go by value, pre-releases come before theirs, and two numbers span a whole line."""
    assert between_versions("text", VERSIONS, older, newer) == found


@pytest.mark.parametrize(
    ("older", "newer", "error", "said"),
    [
        ("v0.25.1", "v0.23.0", WrongWayRound, "'v0.23.0' is before 'v0.25.1'"),
        ("v0.25.1", "v0.25.1", SameEnds, "both ends are 'v0.25.1'"),
        ("v0.25.1", "0.25.1", SameEnds, "are the same"),
        ("v0.24", "v0.24", OneCandidate, "it holds v0.24.0 alone"),
        ("v0.23.0", "v0.25.3", NoSuchEnd, "did you mean 'v0.25.1'|did you mean 'v0.25.0'|did you mean 'v0.23.2'"),
        ("0.22.9", "0.25.1", NoSuchEnd, "there is no '0.22.9'; did you mean '0.2"),
        ("newest", "v0.25.1", BadRange, "'newest' is no version"),
    ],
)
def test_bad_ends(older: str, newer: str, error: type[Exception], said: str) -> None:
    """Ends that are none, the same, or the wrong way round are each told in a sentence."""
    with pytest.raises(error, match=said) as raised:
        between_versions("buildkit:…", VERSIONS, older, newer)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("argument", ["", "v1.0", "..v1.0", "v1.0..", "v1.0...v2.0", "a..b..c"])
def test_no_two_ends(argument: str) -> None:
    """What does not name two ends is refused with the form that is right."""
    with pytest.raises(BadRange, match="name two ends, the older one first"):
        parse_ends(f"docker:{argument}", argument)


def test_an_order_of_its_own() -> None:
    """In a list that has an order of its own, the part from one name to the other is taken."""
    assert between_names("text", ("b", "c", "a"), "b", "c") == ("b", "c")
    with pytest.raises(WrongWayRound, match="'b' is before 'a'"):
        between_names("text", ("b", "c", "a"), "a", "b")
