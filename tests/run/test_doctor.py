"""What a host is said to lack, each thing taken away; tests/system/test_safety.py has a whole host."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from harness.cli.commands.doctor import doctor as command
from harness.core.manifest import Binary
from harness.host import hostinfo
from harness.host.ledger import Ledger
from harness.host.owner import host
from harness.host.proc import Identity
from harness.run.doctor import examine
from harness.run.preflight import Check, look_around
from harness.toolchain.auto import NothingServes
from harness.toolchain.base import Toolchain
from harness.toolchain.base_image import NoStaticBusybox

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(autouse=True)
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the host lack nothing, and fetch nothing."""

    async def busybox() -> Path:
        return Path("/bin/busybox")

    async def resolve(spec: str) -> Toolchain:
        kind = spec.partition(":")[2] or "dockerd"
        return Toolchain(f"path:/{kind}", {kind: Binary(Path(kind), f"{kind} 1.2", "")})

    async def equipped(toolchain: Toolchain, _: str) -> Toolchain:
        return toolchain

    monkeypatch.setattr("harness.run.doctor.static_busybox", busybox)
    monkeypatch.setattr("harness.run.doctor.equip", equipped)
    monkeypatch.setattr("harness.run.doctor.registry_program", busybox)
    monkeypatch.setattr("harness.run.doctor.resolve", resolve)
    monkeypatch.setattr("harness.run.preflight.require_private_daemons", lambda _: None)


def examined() -> dict[str, Check]:
    """Return all checks, by name."""

    async def all_of() -> list[Check]:
        return [check async for check in examine(lambda _: None)]

    return {check.name: check for check in anyio.run(all_of)}


def test_a_host_that_lacks_nothing() -> None:
    """All is there, and each daemon's version is told."""
    checks = examined()
    assert {checks[name].state for name in ("private daemons", "base image", "dockerd", "buildkitd")} == {"ok"}
    assert checks["dockerd"].detail == "path:/dockerd: dockerd 1.2"
    assert command() == 0


def test_without_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without root a run cannot be: that is said with what to do, and nothing is fetched in vain."""
    monkeypatch.setattr("harness.run.preflight.require_private_daemons", hostinfo.require_private_daemons)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert command(as_json=True) == 255
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [check] = [line for line in told if line["state"] == "missing"]
    assert (check["name"], "run `sudo " in check["detail"]) == ("private daemons", True)
    assert "dockerd" not in {line["name"] for line in told}


@pytest.mark.parametrize(("free", "state"), [(2**28, "missing"), (2**30, "limited"), (2**33, "ok")])
def test_memory(monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    """Little memory is a limit, and none is an end."""
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free, total=free))
    assert examined()["memory"].state == state


def test_without_cgroups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no cgroup can be made there are no limits, and nothing is left of the attempt."""
    monkeypatch.setattr("harness.host.cgroup.ROOT", tmp_path / "nowhere")
    check = examined()["limits"]
    assert (check.state, "limits need a writable cgroup" in check.detail) == ("limited", True)
    assert not [*tmp_path.glob("cache/ledgers/*")]


def test_without_disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no file system can be made there are no disks of a size of their own, and the reason is told."""
    (tmp_path / "setpriv").symlink_to(str(shutil.which("setpriv")))
    monkeypatch.setenv("PATH", str(tmp_path))
    check = examined()["disk"]
    assert (check.state, "mkfs.ext4" in check.detail) == ("limited", True)
    assert not [*tmp_path.glob("cache/ledgers/*"), *tmp_path.glob("cache/daemons/*")]


def test_one_daemon_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two kinds of daemon one may be out of reach; with neither there is nothing to run."""

    async def no_buildkitd(spec: str) -> Toolchain:
        if "buildkitd" in spec:
            raise NothingServes("buildkitd", {"PATH": "has none"})
        return Toolchain(spec, {"dockerd": Binary(Path("dockerd"), "dockerd 1.2", "")})

    async def none(spec: str) -> Toolchain:
        raise NothingServes(spec, {"PATH": "has none"})

    monkeypatch.setattr("harness.run.doctor.resolve", no_buildkitd)
    checks = examined()
    assert (checks["dockerd"].state, checks["buildkitd"].state) == ("ok", "limited")
    monkeypatch.setattr("harness.run.doctor.resolve", none)
    checks = examined()
    assert (checks["dockerd"].state, checks["buildkitd"].state) == ("missing", "missing")


def test_no_base_image(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a base image no build can be, and the reason stands in the line."""

    async def none() -> Path:
        raise NoStaticBusybox("the archive cannot be reached")

    monkeypatch.setattr("harness.run.doctor.static_busybox", none)
    assert command() == 255
    assert "base image      missing  no statically linked busybox" in capsys.readouterr().out


def test_what_others_left() -> None:
    """A run that goes on, and one that left something, are told with what to do."""
    mine = Ledger.open("going-on")
    assert examined()["other runs"].detail.startswith("going-on still running")
    Ledger("dead", Identity(2**22 + 1, 0, "an earlier boot"), host=host()).write()
    check = examined()["other runs"]
    assert (check.state, check.detail) == ("limited", "dead left something behind: `repro clean` removes it")
    Ledger("dead-staging", Identity(2**22 + 1, 0, "an earlier boot"), host=host()).write()
    assert examined()["other runs"] == check  # a part of it is not told beside it
    resumed = {each.name: each for each in look_around(resumed="dead")}
    assert resumed["other runs"].detail.startswith("going-on still running")  # a resumed run gives back what it left
    Ledger("dead-staging", Identity(2**22 + 1, 0, "an earlier boot"), host=host()).discard()
    mine.discard()
    Ledger("dead", Identity(2**22 + 1, 0, "an earlier boot"), host="another").write()
    assert examined()["other runs"].detail == "dead may run elsewhere: `repro clean` says where"
