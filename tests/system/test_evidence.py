"""What is captured of real daemons that hang: all that can be had, in under a minute, and a reason for the rest."""

import json
from pathlib import Path

from harness.buildkit.bbolt import newest_meta
from harness.core.records import Finding
from tests.system.conftest import SCENARIOS, Repro, folder_from, left_of

DATABASES = ("cache.db", "history.db", "metadata_v2.db")
UNASKED = {"process", "host", "daemon log", *DATABASES}
"""What is had of a daemon that does not answer."""
OF_BUILDKIT_ALONE = {"metrics", "flight trace", "cache graph", "record looked for"}


def evidence(repro: Repro) -> tuple[Path, dict[str, str]]:
    """Return the first finding's folder, and what was captured; all of it is checked to have taken under a minute."""
    folder = repro.folder.path / "findings" / str(repro.folder.read(Finding)[0].iteration)
    listed = folder / "captured.json"
    seconds = listed.stat().st_mtime - (folder / "progress.jsonl").stat().st_mtime
    assert seconds < 60
    captured: dict[str, str] = json.loads(listed.read_text())
    for name in DATABASES:
        with (folder / name).open("rb") as file:
            assert newest_meta(file.fileno())
    assert "==> /proc/loadavg <==" in (folder / "host.txt").read_text()
    assert "---- repro: the finding was captured here" in (folder / "daemon.log").read_text()
    return folder, captured


def test_frozen_dockerd(repro: Repro) -> None:
    """Of a dockerd that stays frozen, all is captured that needs no answer, and what needs one is given up in time."""
    frozen = ("--set", "actors.1.when.lasting=3m", "--set", "on_hang.probe=false")
    code, output = repro("run", str(SCENARIOS / "control-hang.yaml"), "--daemon", "debian:forky", *frozen)
    assert code == 1, output
    folder, captured = evidence(repro)
    assert {name for name, result in captured.items() if result == "captured"} == UNASKED | {"client", "steps"}, (
        captured
    )
    process = json.loads((folder / "process.json").read_text())
    assert (process["name"], process["stopped"], process["cores"]) == ("dockerd", True, 0.0)
    assert "containerd" in [below["name"] for below in process["others"]]
    assert "buildx" in (folder / "client-goroutines.txt").read_text(), "the plug-in's stacks, not only docker's"
    assert not left_of(repro.folder.name)


def test_thawed_dockerd(repro: Repro) -> None:
    """Of a dockerd that answers again, the rest is captured too, but for what only BuildKit's own daemon has."""
    short = ("--set", "actors.1.when.lasting=4s", "--set", "on_hang.probe=false")
    code, output = repro("run", str(SCENARIOS / "control-hang.yaml"), "--daemon", "debian:forky", *short)
    assert code == 1, output
    folder, captured = evidence(repro)
    missing = {name: reason for name, reason in captured.items() if reason != "captured"}
    assert {*missing} - {"goroutines, later"} == {"builds beside it", *OF_BUILDKIT_ALONE, "client"}, missing
    assert missing["client"] == "the client has returned since"
    assert "metrics-addr" in missing["metrics"]
    assert (folder / "cpu.pprof").read_bytes().startswith(b"\x1f\x8b")
    assert all(json.loads(line)["status"] for line in (folder / "histories.txt").read_text().splitlines())
    assert "Reclaimable" in (folder / "du.txt").read_text()


def test_affected_buildkitd(repro: Repro) -> None:
    """Of a buildkitd in the hang of the report, all is captured while the load goes on, and it is seen to be busy."""
    scenario, toolchain = str(SCENARIOS / "prune-race.yaml"), folder_from("REPRO_AFFECTED")
    keys = ("on_hang.probe=false", "detect.orphan=5m")  # of a hang behind a killed build there is no client to dump
    words = [word for key in keys for word in ("--set", key)]
    code, output = repro("run", scenario, "--daemon", toolchain, "--time", "4m", *words)
    assert code == 1, output
    folder, captured = evidence(repro)
    missing = {name: reason for name, reason in captured.items() if reason != "captured"}
    assert {*missing} <= {"info", "flight trace", "cache graph", "builds beside it", "goroutines, later"}, missing
    assert "500" in missing["flight trace"], "nobody began one"
    assert "v0.24" in missing["cache graph"]
    process = json.loads((folder / "process.json").read_text())
    assert (process["name"], process["stopped"]) == ("buildkitd", False)
    assert process["cores"] > 0.1
    assert "STARTED" in (folder / "histories-running.txt").read_text()
    assert "go_goroutines" in (folder / "metrics.txt").read_text()
    assert "Reclaimable" in (folder / "du.txt").read_text()
    assert "client.(*Client).solve" in (folder / "client-goroutines.txt").read_text()
    assert not left_of(repro.folder.name)
