"""What a run starts it ends, whatever happens to it; and what is the user's own is not touched."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from harness.core.errors import HarnessError
from harness.core.records import Action, Iteration, Sample
from tests.support.eventually import reached, until
from tests.system.conftest import SCENARIOS, Repro, left_of

TOOLCHAIN = "debian:forky"
SLOW = str(SCENARIOS / "kill-every-third.yaml")


def building(repro: Repro) -> bool:
    """Whether the newest run has a build in its ``RUN sleep 10``."""
    try:
        name = repro.folder.name
    except Exception:
        return False
    procs = Path("/sys/fs/cgroup").glob(f"**/repro-{name}/**/cgroup.procs")
    with suppress(OSError):  # cgroups, also of others, go away while they are looked for
        return any(file.parent.name != "daemon" and file.read_text().strip() for file in procs)
    return False


def recorded(repro: Repro) -> list[Iteration]:
    """Return the iterations of the newest run; none before there is one."""
    try:
        return [*repro.folder.read(Iteration)]
    except HarnessError:
        return []


def alive_in(name: str) -> list[str]:
    """Return the processes in the cgroups of a run."""
    alive = []
    for group in [*Path("/sys/fs/cgroup").glob(f"repro-{name}"), *Path("/sys/fs/cgroup").glob(f"*/repro-{name}")]:
        for folder, _, files in os.walk(group):
            with suppress(OSError):  # a cgroup that goes away meanwhile has nobody in it
                alive += Path(folder, "cgroup.procs").read_text().split() if "cgroup.procs" in files else []
    return alive


def test_killed_harness_takes_its_daemon_along(repro: Repro) -> None:
    """After SIGKILL in mid-build no process of the run is left, and `repro clean` gives back the rest."""
    process = repro.start("run", SLOW, "--daemon", TOOLCHAIN)
    reached(process, lambda: building(repro))
    process.kill()
    process.communicate()
    name = repro.folder.name
    assert repro.folder.summary() is None
    until(lambda: not alive_in(name))  # without anyone's help; the guard takes two seconds on a free host
    assert left_of(name)
    code, output = repro("clean")
    assert code == 0, output
    assert name in output
    assert not left_of(name)


def test_interrupt_in_mid_build(repro: Repro) -> None:
    """Ctrl-C in mid-build exits with 130, records the build as cut off, and leaves nothing."""
    process = repro.start("run", SLOW, "--daemon", TOOLCHAIN)
    reached(process, lambda: building(repro))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 130, output
    assert repro.summary.outcomes == {"cut_off": 1}
    assert not left_of(repro.folder.name)


def test_daemon_that_dies_in_mid_build(repro: Repro) -> None:
    """A dockerd that is killed in mid-build ends the run as inconclusive, and that build is no failure."""
    process = repro.start("run", SLOW, "--daemon", TOOLCHAIN)
    reached(process, lambda: building(repro))
    os.kill(repro.folder.read_json("run.json")["daemon"]["pid"], signal.SIGKILL)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 125, output
    assert "dockerd ended by itself with signal 9" in output
    assert "failed" not in repro.summary.outcomes
    assert not left_of(repro.folder.name)


def test_two_runs_side_by_side(repro: Repro, tmp_path: Path) -> None:
    """Two private daemons on one host do not notice each other."""
    other = Repro(tmp_path / "others")
    process = other.start("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", "debian:trixie")
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", TOOLCHAIN)
    output += process.communicate(timeout=180)[0]
    assert (code, process.returncode) == (0, 0), output
    assert not left_of(repro.folder.name)
    assert not left_of(other.folder.name)


def test_kept_daemon_runs_on_until_clean(repro: Repro) -> None:
    """`--keep` leaves the daemon running after the run, says how to reach it, and `repro clean` ends it."""
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", TOOLCHAIN, "--keep")
    assert code == 0, output
    daemon = repro.folder.read_json("run.json")["daemon"]
    assert daemon["address"] in output
    assert psutil.pid_exists(daemon["pid"])
    code, _ = repro("clean")
    assert code == 0
    assert not left_of(repro.folder.name)


@pytest.fixture
def own_docker(repro: Repro) -> dict[str, str]:
    """An environment in which a dockerd of ours plays the host's own."""
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", TOOLCHAIN, "--keep")
    assert code == 0, output
    manifest = repro.folder.read_json("run.json")
    binaries = manifest["toolchain"]["binaries"]
    config = repro.results / "docker-config" / "cli-plugins"
    config.mkdir(parents=True)
    (config / "docker-buildx").symlink_to(binaries["docker-buildx"]["path"])
    path = f"{Path(binaries['docker']['path']).parent}:{os.environ['PATH']}"
    return {"PATH": path, "DOCKER_HOST": manifest["daemon"]["address"], "DOCKER_CONFIG": str(config.parent)}


def kept_by(docker: dict[str, str]) -> dict[str, list[str]]:
    """Return the images and the records of the cache that a dockerd keeps."""
    names = ("image", "ls", "--all", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
    asked = {"images": names, "cache": ("buildx", "du", "--verbose")}
    env = {**os.environ, **docker}
    program = str(shutil.which("docker", path=docker["PATH"]))
    told = {what: subprocess.check_output([program, *words], env=env, text=True) for what, words in asked.items()}
    cache = sorted(line for line in told["cache"].splitlines() if line.startswith("ID:"))
    return {"images": sorted(told["images"].splitlines()), "cache": cache}


def test_hosts_daemon_is_loaded_and_left_alone(repro: Repro, own_docker: dict[str, str], tmp_path: Path) -> None:
    """`--daemon host` builds on the user's daemon, refuses to prune it unasked, and leaves it running and as it was."""
    on_host = Repro(tmp_path / "on-host")
    kept, before = repro.folder, kept_by(own_docker)
    before["images"] = [each for each in before["images"] if not each.startswith("repro-")]  # of an earlier run
    try:
        code, output = on_host("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", "host", env=own_docker)
        assert code == 0, output
        assert on_host.folder.read_json("run.json")["daemon"]["private"] is False
        assert kept_by(own_docker) == before
        assert on_host.summary.left_behind == ()
        of_killed = own_docker | {"REPRO_CACHE": str(tmp_path / "cache")}  # so that `clean` does not end the dockerd
        killed = Repro(tmp_path / "killed")
        until_killed = ("--daemon", "host", "--iterations", "500")
        process = killed.start("run", str(SCENARIOS / "control-clean.yaml"), *until_killed, env=of_killed)
        reached(process, lambda: len(recorded(killed)) >= 2)
        process.kill()
        process.communicate()
        assert kept_by(own_docker) != before
        code, output = killed("clean", env=of_killed)
        assert code == 0, output
        assert kept_by(own_docker) == before
        code, output = on_host("run", str(SCENARIOS / "prune-race.yaml"), "--daemon", "host", env=own_docker)
        assert code == 129
        assert "--allow-host-damage" in output
        words = ("--daemon", "host", "--allow-host-damage", "--time", "20s")  # a sample is taken every five
        code, output = on_host("run", str(SCENARIOS / "concurrent-prune.yaml"), *words, env=own_docker)
        assert code == 0, output
        assert on_host.folder.read(Iteration)
        assert on_host.folder.read(Sample)[0].cpu is None, "the process is not ours to measure"
        assert psutil.pid_exists(kept.read_json("run.json")["daemon"]["pid"])
    finally:
        repro("clean")
    assert not left_of(kept.name)


def test_restarted_daemon_builds_on(repro: Repro) -> None:
    """A dockerd that is killed in mid-build, and started again on its root: no build fails, and later ones return."""
    once = ("--set", "actors.crash.when={every: 4}", "--iterations", "7")  # one line builds as the other's build starts
    code, output = repro("run", str(SCENARIOS / "restart-midbuild.yaml"), "--daemon", TOOLCHAIN, *once)
    assert code == 0, output
    restarts = [action for action in repro.folder.read(Action) if action.kind == "restart"]
    assert restarts
    assert all(action.succeeded for action in restarts)
    first = restarts[0].ended
    assert any(it.outcome == "ok" and it.started > first for it in repro.folder.read(Iteration))
    assert "infra" not in repro.summary.outcomes
    assert not left_of(repro.folder.name)


def test_graph_driver_store(repro: Repro) -> None:
    """dockerd's older image store works the same."""
    settings = ("--set", "daemon.image_store=graphdriver", "--set", "daemon.config.storage-driver=overlay2")
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", TOOLCHAIN, *settings)
    assert code == 0, output
    assert repro.folder.read_json("run.json")["daemon"]["details"]["image_store"] == "graphdriver"


def test_daemon_that_does_not_start_says_why(repro: Repro) -> None:
    """A configuration that dockerd refuses: exit 125, its own words on the screen, no traceback, and nothing left."""
    settings = ("--set", "daemon.config.no-such-option=1")
    code, output = repro("run", str(SCENARIOS / "control-clean.yaml"), "--daemon", TOOLCHAIN, *settings)
    assert code == 125, output
    assert "dockerd did not start" in output
    assert "no-such-option" in output
    assert "Traceback" not in output
    assert not left_of(repro.folder.name)


def test_doctor_of_this_host(repro: Repro) -> None:
    """A host that the other tests run on can run scenarios, by `repro doctor` too, which leaves nothing."""
    code, output = repro("doctor")
    assert code == 0, output
    states = {line[:15].strip(): line[16:24].strip() for line in output.splitlines() if line[:1].strip()}
    assert (states["private daemons"], states["limits"], states["base image"]) == ("ok", "ok", "ok")
    assert "ok" in {states["dockerd"], states["buildkitd"]}
    assert not left_of("doctor-")
