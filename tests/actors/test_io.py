"""``io``: what cannot work is refused, what the host has to have, and that what is written goes again."""

from pathlib import Path

import pytest

from harness.actors.base import CouldNot
from harness.actors.io import Io
from harness.host.hostinfo import ResourceDemand
from harness.scenario import DaemonSpec
from tests.actors.stages import acting, actor, faults, stage
from tests.support.eventually import until
from tests.support.small_disk import mounted_disk

pytestmark = pytest.mark.anyio
MIB = 2**20


@pytest.mark.parametrize(
    ("options", "limits", "wrong"),
    [
        ({}, [{}, {"disk": "65MiB"}], []),
        ({"threads": 2}, [{"disk": "128MiB"}], ["size"]),
        ({"when": {"at": "1s"}}, [{}], ["when"]),
    ],
)
def test_what_cannot_work(options: dict[str, object], limits: list[dict[str, object]], wrong: list[str]) -> None:
    """All files have to go onto the daemon's disk; and for how long must be said."""
    assert faults(Io, limits, **options) == wrong


def test_what_the_host_has_to_have() -> None:
    """Its files are the host's to bear unless the daemon has a disk of its own."""
    own = DaemonSpec.model_validate({"limits": {"disk": "1GiB"}})
    assert [*actor(Io, threads=3, size="2MiB").burdens(own)] == []
    assert [*actor(Io, threads=3, size="2MiB").burdens(DaemonSpec())] == [ResourceDemand("press", disk=6 * MIB)]


async def test_files_come_and_go(tmp_path: Path) -> None:
    """Its files stand beside the daemon's root while the act lasts, and then there is nothing of it."""
    (tmp_path / "root").mkdir()
    async with acting(Io, stage(disk=tmp_path), threads=2, size="1MiB") as deed:
        until(lambda: all(file.read_bytes().strip(b"\0") for file in tmp_path.glob("press-*/*")))
        assert [file.stat().st_size for file in tmp_path.glob("press-*/*")] == [MIB, MIB]
    assert [*tmp_path.iterdir()] == [tmp_path / "root"]
    assert deed.detail == "wrote 2 x 1.0 MiB over and over"
    assert (deed.effect or 0) >= 2 * 4096, "bytes written"


async def test_a_disk_without_room(tmp_path: Path) -> None:
    """Where there is no room for its files it could not be done, and leaves none of them."""
    with mounted_disk(tmp_path) as disk:
        before = {*disk.iterdir()}
        with pytest.raises(CouldNot, match="No space left on device"):
            async with acting(Io, stage(disk=disk)):
                pass
        assert {*disk.iterdir()} == before


async def test_a_daemon_that_is_not_ours() -> None:
    """Nothing is written beside another's daemon, of which it is not known where that is."""
    with pytest.raises(CouldNot, match="its disk is not known"):
        async with acting(Io, stage()):
            pass
