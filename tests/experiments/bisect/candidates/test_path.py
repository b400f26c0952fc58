"""``path:DIR``: folders of prebuilt daemons, in an order that is told or that their names tell."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.experiments.bisect.candidates import CannotBeHad, Options, resolve_range
from harness.experiments.bisect.candidates.base import BadRange, NoSuchEnd, OneCandidate, WrongWayRound

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("cache")]

Daemon = Callable[..., Path]


async def test_in_the_order_of_versions(place: Path, daemon: Daemon) -> None:
    """Folders are ordered by the version in their name, pre-releases first; files and hidden folders are none."""
    for name in ("bk-v0.10.0", "bk-v0.9.1", "bk-v0.10.0-rc1", ".git"):
        daemon(place / name, name)
    (place / "README").write_text("what these are")
    found = await resolve_range(f"path:{place}", Options())
    assert [(each.name, each.parents) for each in found.candidates] == [
        ("bk-v0.9.1", ()),
        ("bk-v0.10.0-rc1", (0,)),
        ("bk-v0.10.0", (1,)),
    ]
    assert await found.toolchain(2) == f"path:{place}/bk-v0.10.0"


async def test_in_the_order_that_is_written_down(place: Path, daemon: Daemon) -> None:
    """versions.txt gives the order, whatever the names; comments and blank lines are none."""
    for name in ("monday", "after lunch", "v1.0"):
        daemon(place / name)
    (place / "versions.txt").write_text("# oldest first\nv1.0\n\nmonday  # the first try\nafter lunch\n")
    found = await resolve_range(f"path:{place}", Options())
    assert [each.name for each in found.candidates] == ["v1.0", "monday", "after lunch"]


async def test_a_part_of_them(place: Path, daemon: Daemon) -> None:
    """DIR@A..B takes the folders from A to B, also where the folder's own name has an @."""
    for name in ("v1", "v2", "v3"):
        daemon(place / "of@me" / name)
    found = await resolve_range(f"path:{place}/of@me@v2..v3", Options())
    assert [each.name for each in found.candidates] == ["v2", "v3"]
    assert len((await resolve_range(f"path:{place}/of@me", Options())).candidates) == 3
    with pytest.raises(WrongWayRound, match="'v1' is before 'v3'"):
        await resolve_range(f"path:{place}/of@me@v3..v1", Options())
    with pytest.raises(NoSuchEnd, match="there is no 'v9'"):
        await resolve_range(f"path:{place}/of@me@v1..v9", Options())


@pytest.mark.parametrize(
    ("folders", "order", "error", "said"),
    [
        (["v1.0", "mine"], None, BadRange, "'mine' has no version.*write versions.txt there"),
        (["a-1.0", "b-1.0"], None, BadRange, "'a-1.0' and 'b-1.0' are of one version"),
        (["good", "bad"], "good\nbda\n", BadRange, "'bda'; did you mean 'bad'"),
        (["good", "bad", "new"], "good\nbad\n", BadRange, "does not name new: give each its line"),
        (["good", "bad"], "good\nbad\ngood\n", BadRange, "names good twice"),
        (["v1.0"], None, OneCandidate, "it holds v1.0 alone"),
        ([], None, OneCandidate, "it holds nothing"),
    ],
    ids=["no version", "one version", "unknown", "unlisted", "twice", "alone", "empty"],
)
async def test_an_order_that_is_not_known(
    place: Path, daemon: Daemon, folders: list[str], order: str | None, error: type[Exception], said: str
) -> None:
    """Folders whose order nobody knows, lists that do not fit them, and too few of them, are told in a sentence."""
    for name in folders:
        daemon(place / name)
    if order:
        (place / "versions.txt").write_text(order)
    with pytest.raises(error, match=said) as raised:
        await resolve_range(f"path:{place}", Options())
    assert "\n" not in str(raised.value)


async def test_no_folder(place: Path) -> None:
    """A folder that is not there is said to be none."""
    with pytest.raises(BadRange, match="there is no folder /"):
        await resolve_range(f"path:{place}/none", Options())


async def test_one_that_does_not_start(place: Path, daemon: Daemon) -> None:
    """A daemon that does not start on this host, and a folder without one, can be skipped, and say why."""
    daemon(place / "v1", starts=False)
    (place / "v2").mkdir()
    found = await resolve_range(f"path:{place}", Options())
    reasons = ("v1 cannot be obtained: buildkitd does not start", "v2 cannot be obtained: .*holds an exec")
    for index, said in enumerate(reasons):
        with pytest.raises(CannotBeHad, match=said):
            await found.toolchain(index)
