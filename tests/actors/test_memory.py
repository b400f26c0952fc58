"""``memory``: what cannot work is refused, what the host has to have, and that what is held is held in its place."""

import sys
from pathlib import Path

import anyio
import psutil
import pytest

from harness.actors.base import CouldNot
from harness.actors.memory import Memory
from harness.host.cgroup import Cgroup
from harness.host.hostinfo import ResourceDemand
from harness.host.proc import run
from harness.scenario import DaemonSpec
from tests.actors.stages import acting, actor, daemons_cgroup, faults, stage

pytestmark = pytest.mark.anyio
MIB = 2**20


@pytest.mark.parametrize(
    ("options", "limits", "wrong"),
    [
        ({"hold": "80%"}, [{}], ["of"]),
        ({"hold": "80%", "of": "host"}, [{}], []),
        ({"hold": "100%"}, [{"memory": "64MiB"}], []),
        ({"hold": "64MiB"}, [{"memory": "64MiB"}], []),
        ({"hold": "65MiB"}, [{"memory": "64MiB"}], ["hold"]),
        ({"hold": "65MiB"}, [{"memory": "1GiB"}, {"memory": "64MiB"}, {}], ["of", "hold"]),
        ({"hold": "80%", "of": "host", "when": {"at": "1s"}}, [{}], ["when"]),
        ({"hold": "80%"}, [], []),
    ],
)
def test_what_cannot_work(options: dict[str, object], limits: list[dict[str, object]], wrong: list[str]) -> None:
    """The daemon needs memory of its own to be held, and no more than that can be; and for how long must be said."""
    assert faults(Memory, limits, **options) == wrong


def test_what_the_host_has_to_have() -> None:
    """A share is one of the daemon's limit or of all that the host has."""
    spec, total = DaemonSpec.model_validate({"limits": {"memory": "1GiB"}}), psutil.virtual_memory().total
    for options, held in [
        ({"hold": "25%"}, 256 * MIB),
        ({"hold": "25MiB"}, 25 * MIB),
        ({"hold": "50%", "of": "host"}, round(total / 2)),
    ]:
        assert [*actor(Memory, **options).burdens(spec)] == [ResourceDemand("press", memory=held)]


def usage(cgroup: Cgroup) -> int:
    """Return how many bytes the kernel counts in a cgroup's leaf `pressure`."""
    root = Path("/sys/fs/cgroup")
    files = (
        root / "memory" / cgroup.name / "pressure" / "memory.usage_in_bytes",
        root / cgroup.name / "memory.current",
    )
    return next(int(file.read_text()) for file in files if file.exists())


async def test_held_in_the_daemons_cgroup() -> None:
    """All of it is counted in the daemon's cgroup while the act lasts, and nothing of it after that."""
    with daemons_cgroup(memory=64 * MIB) as cgroup:
        async with acting(Memory, stage(cgroup.name), hold="50%") as deed:
            assert usage(cgroup) >= 32 * MIB
        assert deed.detail == "held 32.0 MiB"
        assert 32 * MIB <= (deed.effect or 0) < 64 * MIB
        assert usage(cgroup) < 8 * MIB


async def test_memory_that_runs_out() -> None:
    """What cannot all be held is an act that could not be done, and says how far it got."""
    said = "it was killed, as happens first when memory runs out, at 48 MiB held"
    with daemons_cgroup(memory=64 * MIB) as cgroup, pytest.raises(CouldNot, match=said):
        async with acting(Memory, stage(cgroup.name), hold="64MiB"):
            pass


async def test_memory_that_runs_out_later() -> None:
    """When the daemon's side wants the memory too, what we hold goes first, and the record says so."""
    with daemons_cgroup(memory=64 * MIB) as cgroup:
        async with acting(Memory, stage(cgroup.name), hold="80%") as deed:
            join = "; ".join(f"echo 0 > {file}" for file in cgroup.leaf("daemon"))
            taker = f"{sys.executable} -Ic \"print(len(b'x' * {30 * MIB}))\""
            told = await run(["sh", "-c", f"{join}; {taker}"], deadline=30)
            await anyio.sleep(0.5)  # the kernel takes a killed process's memory before that process has ended
        assert told.stdout.strip() == str(30 * MIB), "it lives"
        assert deed.detail.startswith("held 51.2 MiB, but not all the time: it was killed")
        assert deed.effect, "it held it before"


async def test_of_the_host() -> None:
    """The host's memory is held outside of any daemon's cgroup, also beside a daemon that is not ours."""
    async with acting(Memory, stage(), hold="20MiB", of="host") as deed:
        living = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
        holders = [p for p in living if "memory" in p.cmdline()]
        assert [p.memory_info().rss >= 20 * MIB for p in holders] == [True]
    assert not any(holder.is_running() for holder in holders)
    assert deed.detail == "held 20.0 MiB"


async def test_a_daemon_that_is_not_ours() -> None:
    """Nothing of another's daemon is pressed on."""
    with pytest.raises(CouldNot, match="the daemon is not ours"):
        async with acting(Memory, stage(), hold="20MiB"):
            pass
