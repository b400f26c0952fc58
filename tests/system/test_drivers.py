"""Drivers on real daemons: buildx's remote driver, and BuildKit in a container of a private dockerd."""

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from harness.core.outcome import Outcome, Verdict
from harness.core.records import Action, Finding, Iteration
from harness.toolchain import resolve
from tests.support.eventually import has_ended, reached
from tests.system.conftest import (
    AFTERMATH,
    SCENARIOS,
    Repro,
    came_through_after,
    ended_once,
    folder_from,
    left_of,
)

TOOLCHAIN = "debian:forky"
REMOTE = ("--set", "daemon.driver=remote")
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Put a program or a file into an archive."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o755
    tar.addfile(member, io.BytesIO(data))


def libraries(program: Path) -> list[Path]:
    """Return what a program is linked with, its loader among them; nothing for a static one."""
    ldd = shutil.which("ldd") or "ldd"
    told = subprocess.run([ldd, str(program)], capture_output=True, text=True, check=False).stdout
    return [Path(word) for line in told.splitlines() for word in line.split() if word.startswith("/")]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An image of the fixed BuildKit, as `docker save` writes it: its two programs, and a runc with its libraries."""
    toolchain = anyio.run(resolve, folder_from("REPRO_FIXED"))
    layer, file = io.BytesIO(), tmp_path_factory.mktemp("image") / "buildkit.tar"
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("buildkitd", "buildctl", "runc"):
            put(tar, f"bin/{name}", toolchain.binaries[name].path.read_bytes())
        for library in libraries(toolchain.binaries["runc"].path):
            put(tar, str(library)[1:], library.read_bytes())
        for folder in ("etc", "tmp"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
    config = {
        "architecture": MACHINE,
        "os": "linux",
        "config": {"Entrypoint": ["buildkitd"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["repro/buildkit:fixed"], "Layers": ["layer.tar"]}]
    with tarfile.open(file, "w") as tar:
        put(tar, "config.json", json.dumps(config).encode())
        put(tar, "manifest.json", json.dumps(manifest).encode())
        put(tar, "layer.tar", layer.getvalue())
    yield file
    file.unlink()  # a hundred megabytes, which pytest would keep


def container(image: Path | str) -> tuple[str, ...]:
    """Return the options of a run through a container of that image."""
    driver = ("--set", "daemon.driver=docker-container", "--set", f"daemon.image={image}")
    return ("--daemon", TOOLCHAIN, *driver)


def members(name: str) -> dict[int, str]:
    """Return the processes in a run's cgroup, by pid, with their names."""
    found = {}
    for process in psutil.process_iter(["name"]):
        try:
            groups = Path(f"/proc/{process.pid}/cgroup").read_text()
        except OSError:
            continue
        if f"/repro-{name}" in groups:
            found[process.pid] = process.info["name"]
    return found


def test_rootless(repro: Repro) -> None:
    """A buildkitd without root builds, as nobody on the host, and starts again on its root after a crash."""
    crash = ("--set", "actors.crash.when={at: 4s, lasting: 500ms}", "--set", "actors.loop.when={interval: 500ms}")
    scenario = str(SCENARIOS / "rootless.yaml")
    process = repro.start("run", scenario, "--daemon", folder_from("REPRO_FIXED"), "--time", "90s", *crash)
    output = ended_once(process, lambda: came_through_after(repro, "crash"))
    assert repro.folder.read(Finding) == [], output
    acts = repro.folder.read(Action)
    assert {act.actor for act in acts if act.succeeded} == {"crash", "loop"}
    [again] = [act.ended for act in acts if act.actor == "crash"]
    assert any(build.outcome is Outcome.OK and build.started > again for build in repro.folder.read(Iteration)), output
    assert not left_of(repro.folder.name)


def test_quiet_remote_is_clean(repro: Repro) -> None:
    """A folder with a buildkitd and a buildctl is built on through a buildx from elsewhere, and is clean."""
    words = ("--daemon", folder_from("REPRO_FIXED"), *REMOTE, "--set", "actors.ci.network=host")
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), *words)
    assert code == 0, output
    assert repro.summary.verdict is Verdict.CLEAN
    manifest = repro.folder.read_json("run.json")
    assert manifest["daemon"]["kind"] == "buildkitd"
    assert manifest["daemon"]["details"]["driver"] == "remote"
    assert "docker-buildx" in manifest["toolchain"]["binaries"]
    assert not left_of(repro.folder.name)


def test_frozen_remote_is_a_hang(repro: Repro) -> None:
    """A buildkitd behind the remote driver, frozen as an export completes, is found, and asked what it still does."""
    code, output = repro("run", str(SCENARIOS / "control-hang.yaml"), "--daemon", folder_from("REPRO_FIXED"), *REMOTE)
    assert code == 1, output
    aftermath = repro.summary.aftermath
    assert aftermath["same_build_hangs"].said == "no", "it was frozen, and goes on"
    assert aftermath["stops_on_sigterm"].said == aftermath["same_build_works_after"].said == "yes"
    assert not left_of(repro.folder.name)


def test_affected_remote_hangs(repro: Repro) -> None:
    """The hang of the report is found through buildx as it is through buildctl, and so is what comes after it."""
    words = ("--daemon", folder_from("REPRO_AFFECTED"), *REMOTE, "--time", "4m")
    code, output = repro("run", str(SCENARIOS / "prune-race.yaml"), *words)
    assert code == 1, output
    assert {question: answer.said for question, answer in repro.summary.aftermath.items()} == AFTERMATH
    assert not left_of(repro.folder.name)


def test_quiet_container_is_clean(repro: Repro, image: Path) -> None:
    """A BuildKit in a container of a private dockerd is clean, and recorded with its version, log and goroutines."""
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), *container(image))
    assert code == 0, output
    daemon = repro.folder.read_json("run.json")["daemon"]
    assert (daemon["details"]["driver"], daemon["details"]["image"]) == ("docker-container", str(image))
    assert f"with BuildKit {daemon['details']['buildkit']}" in daemon["version"]
    assert daemon["details"]["buildkit"].startswith("v")
    assert (repro.folder.path / "daemon" / "buildkit.log").stat().st_size
    assert daemon["builder"], "it is measured and frozen with dockerd, whose child it is not"
    assert not left_of(repro.folder.name)


def test_frozen_container_is_a_hang(repro: Repro, image: Path) -> None:
    """A dockerd that is frozen as an export of its container completes is found, with BuildKit's own goroutines."""
    code, output = repro("run", str(SCENARIOS / "control-hang.yaml"), *container(image))
    assert code == 1, output
    first = repro.summary.first_hang
    assert first is not None
    dump = (repro.folder.path / "findings" / str(first.iteration) / "goroutines-0.txt").read_text()
    assert "moby/buildkit" in dump
    assert "docker/daemon" not in dump
    assert repro.summary.aftermath["same_build_works_after"].said == "yes"
    assert not left_of(repro.folder.name)


def test_restarted_container_builds_on(repro: Repro, image: Path) -> None:
    """BuildKit dies with its dockerd and comes up with it again, on the root that it had, and builds on.

    The first build after a crash may fail all the same: BuildKit may miss content that it had (``NotFound``).
    """
    scenario = str(SCENARIOS / "restart-midbuild.yaml")
    once = ("--set", "actors.crash.when={every: 4}", "--iterations", "7")
    code, output = repro("run", scenario, *container(image), *once)
    assert code == 0, output
    restarts = [action for action in repro.folder.read(Action) if action.kind == "restart"]
    assert restarts
    assert all(action.succeeded for action in restarts)
    assert any(it.outcome == "ok" and it.started > restarts[0].ended for it in repro.folder.read(Iteration))
    assert "infra" not in repro.summary.outcomes
    assert not left_of(repro.folder.name)


def test_killed_harness_leaves_no_container(repro: Repro, image: Path) -> None:
    """BuildKit, its shim and its steps end though they are no children of the dockerd, and `clean` removes the rest."""
    process = repro.start("run", str(SCENARIOS / "kill-every-third.yaml"), *container(image))

    def at_its_step() -> bool:
        return bool([*repro.results.glob("*/*/run.json")]) and "sleep" in members(repro.folder.name).values()

    reached(process, at_its_step)
    name = repro.folder.name
    living = members(name)
    assert "buildkitd" in living.values()
    process.kill()
    process.communicate()
    code, output = repro("clean")
    assert code == 0, output
    assert not members(name)
    assert all(has_ended(pid) for pid in living)
    assert not left_of(name)


def test_image_that_cannot_be_pulled(repro: Repro) -> None:
    """An image that no registry gives ends the run as inconclusive, and one sentence has docker's own words."""
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), *container("localhost:1/none:latest"))
    assert code == 125, output
    (line,) = [line for line in output.splitlines() if line.startswith("INCONCLUSIVE")]
    assert "daemon.image 'localhost:1/none:latest' cannot be obtained" in line
    assert "connection refused" in line
    assert not left_of(repro.folder.name)


def test_steps_in_a_container_are_frozen(repro: Repro, image: Path, tmp_path: Path) -> None:
    """`freeze: runc` finds the steps of a BuildKit that is no child of the dockerd it belongs to."""
    scenario = tmp_path / "frozen.yaml"
    scenario.write_text("""
name: frozen
actors:
  - {build: ci, dockerfile: sleep}
  - {freeze: steps, target: runc, when: {step: "RUN sleep", of: ci, after: 1s, lasting: 1s}}
stop: {iterations: 2}
""")
    process = repro.start("run", str(scenario), *container(image))
    ended_once(process, lambda: bool(repro.folder.read(Action)))
    (frozen,) = repro.folder.read(Action)
    assert frozen.succeeded, frozen.detail


def test_killed_builder_comes_again(repro: Repro, image: Path) -> None:
    """The builder's container is killed under a build, its client says so, and builds go on in the next one."""
    often = ("--set", "actors.kill.when.chance=0.4", "--seed", "1", "--iterations", "6")
    code, output = repro("run", str(SCENARIOS / "builder-killed.yaml"), *container(image), *often)
    assert code == 0, output
    kills = [act for act in repro.folder.read(Action) if act.attempted]
    assert kills, output
    assert all(act.succeeded and act.detail == "was killed" for act in kills), kills
    builds = repro.folder.read(Iteration)
    assert any(build.outcome == "cut_off" for build in builds), output
    assert any(build.outcome == "ok" and build.started > kills[0].ended for build in builds), output
    assert "infra" not in repro.summary.outcomes
    assert not left_of(repro.folder.name)
