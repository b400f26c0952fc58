"""``cpu``: what cannot work is refused, threads burn where they are to, and a throttle is taken away again."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from harness.actors.base import CouldNot
from harness.actors.cpu import Cpu
from harness.host.cgroup import Cgroup, CgroupThrottled
from harness.host.proc import Identity, run
from tests.actors.stages import acting, actor, daemons_cgroup, faults, stage
from tests.support.eventually import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give either `threads`"),
        ({"threads": 1, "quota": 1}, "give either `threads`"),
        ({"quota": 0.5, "of": "host"}, "a quota is always the daemon's"),
        ({"threads": 0}, "greater than or equal to 1"),
        ({"quota": 0}, "greater than or equal to 0.01"),
    ],
)
def test_what_is_refused(options: dict[str, object], said: str) -> None:
    """It presses in one way, and in one that says where."""
    with pytest.raises(ValidationError, match=said):
        actor(Cpu, **options)


@pytest.mark.parametrize(
    ("options", "limits", "wrong"),
    [
        ({"quota": 2}, [{}, {"cpus": 4}], []),
        ({"quota": 2}, [{}, {"cpus": 2}], ["quota"]),
        ({"threads": 4}, [{"cpus": 2}], []),
        ({"threads": 4, "when": {"at": "1s"}}, [{}], ["when"]),
    ],
)
def test_what_cannot_work(options: dict[str, object], limits: list[dict[str, object]], wrong: list[str]) -> None:
    """A quota that is no less than the limit does nothing; and for how long must be said."""
    assert faults(Cpu, limits, **options) == wrong


def burners() -> list[psutil.Process]:
    """Return the processes that burn, which one of our own has started."""
    return [
        below
        for p in psutil.Process().children()
        if p.status() != psutil.STATUS_ZOMBIE and "cpu" in p.cmdline()
        for below in p.children()
    ]


async def test_threads_of_the_host(eventually: Callable[[Callable[[], bool]], bool]) -> None:
    """So many processes burn beside the daemon while the act lasts, and none after it."""
    async with acting(Cpu, stage(), threads=2) as deed:
        burning = [Identity.of(process.pid) for process in burners()]
        assert len(burning) == 2
        until(lambda: all(sum(process.cpu_times()[:2]) > 0 for process in burners()))
    assert eventually(lambda: not any(process.alive() for process in burning))
    assert deed.detail == "burned in 2 threads"
    assert (deed.effect or 0) >= 20, "milliseconds"


async def test_threads_of_the_daemon() -> None:
    """Threads that share the daemon's CPU are born in its cgroup."""
    with daemons_cgroup(cpus=0.5) as cgroup:
        async with acting(Cpu, stage(cgroup.name), threads=2, of="daemon"):
            where = [Path(f"/proc/{process.pid}/cgroup").read_text() for process in burners()]
            assert [f"/{cgroup.name}/pressure\n" in told for told in where] == [True, True]


def quota(cgroup: Cgroup) -> str:
    """Return what the kernel says of a cgroup's CPU."""
    root = Path("/sys/fs/cgroup")
    files = (root / "cpu" / cgroup.name / "cpu.cfs_quota_us", root / cgroup.name / "cpu.max")
    return next(file.read_text().split()[0] for file in files if file.exists())


@pytest.mark.parametrize("limit", [0.5, None])
async def test_quota(limit: float | None) -> None:
    """The daemon is throttled while the act lasts, and has what it had before after it."""
    with daemons_cgroup(cpus=limit) as cgroup:
        before = quota(cgroup)
        assert before in {"50000", "-1", "max"}
        async with acting(Cpu, stage(cgroup.name), quota=0.2) as deed:
            assert quota(cgroup) == "20000"
        assert quota(cgroup) == before
        assert deed.detail == "throttled to 0.2 cores"
        assert deed.effect == 0, "nothing was in it that wanted more"


async def test_a_quota_that_keeps_something_from_running() -> None:
    """The effect is the number of periods in which the daemon wanted more than the quota."""
    with daemons_cgroup() as cgroup:
        async with acting(Cpu, stage(cgroup.name), quota=0.05) as deed:
            join = "; ".join(f"echo 0 > {file}" for file in cgroup.leaf("daemon"))
            await run(["sh", "-c", f"{join}; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"], deadline=60)
        assert (deed.effect or 0) > 0


async def test_two_quotas() -> None:
    """Of two quotas at once the second could not be, and the first is taken away whole."""
    with daemons_cgroup(cpus=0.5) as cgroup:
        async with acting(Cpu, stage(cgroup.name), quota=0.2):
            with pytest.raises(CgroupThrottled):
                async with acting(Cpu, stage(cgroup.name), quota=0.1):
                    pass
        assert quota(cgroup) == "50000"


@pytest.mark.parametrize("options", [{"quota": 0.5}, {"threads": 1, "of": "daemon"}])
async def test_a_daemon_that_is_not_ours(options: dict[str, object]) -> None:
    """Nothing of another's daemon is pressed on."""
    with pytest.raises(CouldNot, match="the daemon is not ours"):
        async with acting(Cpu, stage(), **options):
            pass
