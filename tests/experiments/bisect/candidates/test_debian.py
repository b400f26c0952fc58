"""``debian:``: suites, in the user's order and that of their releases."""

import pytest

from harness.experiments.bisect.candidates import Options, resolve_range
from harness.experiments.bisect.candidates.base import BadRange, NoSuchEnd, OneCandidate, SameEnds, WrongWayRound

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("bookworm,trixie,sid", ["bookworm", "trixie", "sid"]),
        ("bullseye, trixie", ["bullseye", "trixie"]),
        ("bookworm..forky", ["bookworm", "trixie", "forky"]),
        ("stable..unstable", ["stable", "testing", "unstable"]),
        ("zebra,trixie,apple", ["zebra", "trixie", "apple"]),
    ],
)
async def test_suites(argument: str, names: list[str]) -> None:
    """Suites are taken as listed, or from one to the other; a suite that is not known stands where the user put it."""
    found = await resolve_range(f"debian:{argument}", Options())
    assert [each.name for each in found.candidates] == names
    assert [each.parents for each in found.candidates] == [(), *((index,) for index in range(len(names) - 1))]


@pytest.mark.parametrize(
    ("argument", "error", "said"),
    [
        ("trixie,bookworm", WrongWayRound, "'bookworm' is before 'trixie'"),
        ("forky..bookworm", WrongWayRound, "'bookworm' is before 'forky'"),
        ("trixie,trixie", SameEnds, "both ends are 'trixie'"),
        ("trixie", OneCandidate, "it holds trixie alone"),
        ("bookworm..forki", NoSuchEnd, "there is no 'forki'; did you mean 'forky'"),
        ("book worm,trixie", BadRange, "'book worm' is no suite"),
        ("", BadRange, "'' is no suite"),
    ],
)
async def test_bad_suites(argument: str, error: type[Exception], said: str) -> None:
    """Suites the wrong way round, alone, twice, or unknown, are told before anything is fetched."""
    with pytest.raises(error, match=said):
        await resolve_range(f"debian:{argument}", Options())
