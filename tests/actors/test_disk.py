"""``disk``: what cannot work is refused, what the host has to have, and that a full disk is healed."""

import shutil
from pathlib import Path

import pytest

from harness.actors.base import CouldNot
from harness.actors.disk import Disk
from harness.scenario import DaemonSpec
from tests.actors.stages import acting, actor, faults, stage
from tests.support.small_disk import mounted_disk

pytestmark = pytest.mark.anyio
MIB = 2**20


@pytest.mark.parametrize(
    ("options", "limits", "wrong"),
    [
        ({"fill": "100%"}, [{}, {"disk": "64MiB"}], []),
        ({"fill": "64MiB"}, [{"disk": "64MiB"}], []),
        ({"fill": "65MiB"}, [{"disk": "64MiB"}], ["fill"]),
        ({"fill": "65MiB", "when": {"at": "1s"}}, [{}], ["when"]),
    ],
)
def test_what_cannot_work(options: dict[str, object], limits: list[dict[str, object]], wrong: list[str]) -> None:
    """No more than the daemon's disk can be filled; and for how long must be said."""
    assert faults(Disk, limits, **options) == wrong


@pytest.mark.usefixtures("cache")
def test_what_the_host_has_to_have(tmp_path: Path) -> None:
    """What is missing to the level is the host's to bear unless the daemon has a disk of its own."""
    own = DaemonSpec.model_validate({"limits": {"disk": "1GiB"}})
    assert [*actor(Disk, fill="100%").burdens(own)] == []
    disk = shutil.disk_usage(tmp_path)
    (all_of_it,) = actor(Disk, fill="100%").burdens(DaemonSpec())
    assert all_of_it.disk == pytest.approx(disk.total - disk.used, rel=0.05)
    (next_to_nothing,) = actor(Disk, fill="1MiB").burdens(DaemonSpec())
    assert next_to_nothing.disk == 0


async def test_full_and_healed(tmp_path: Path) -> None:
    """While the act lasts nothing can be written, and after it there is as much room as before."""
    with mounted_disk(tmp_path) as disk:
        free, files = shutil.disk_usage(disk).free, {*disk.iterdir()}
        async with acting(Disk, stage(disk=disk), fill="100%") as deed:
            with pytest.raises(OSError, match="No space left on device"):
                (disk / "more").write_bytes(b"x" * 4096)
        (disk / "more").unlink()
        assert {*disk.iterdir()} == files
        assert shutil.disk_usage(disk).free == free
        assert deed.detail.startswith("filled to 2")
        assert deed.effect is not None
        assert free - MIB <= deed.effect <= free, "what was free is what it took"


async def test_a_disk_that_is_full_already(tmp_path: Path) -> None:
    """Where as much is in use already it could not be done, and neither where there is no room for a folder."""
    with mounted_disk(tmp_path) as disk:
        (disk / "theirs").write_bytes(b"x" * 8 * MIB)
        with pytest.raises(CouldNot, match=r"8\.\d MiB are in use already"):
            async with acting(Disk, stage(disk=disk), fill="4MiB"):
                pass
        async with acting(Disk, stage(disk=disk), fill="100%"):
            with pytest.raises(CouldNot, match="No space left on device"):
                async with acting(Disk, stage(disk=disk), fill="100%"):
                    pass


async def test_a_daemon_that_is_not_ours() -> None:
    """Another's disk is not filled."""
    with pytest.raises(CouldNot, match="its disk is not known"):
        async with acting(Disk, stage(), fill="100%"):
            pass
