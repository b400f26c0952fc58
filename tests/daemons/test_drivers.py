"""Drivers: what a scenario may say of them, and the clients that they make."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.core.manifest import Binary, DaemonFacts
from harness.daemons.base import BuildRequest, PruneRequest, Restartable, Slot
from harness.daemons.buildkitd import Buildkitd
from harness.daemons.buildx import Buildx, client_environment
from harness.daemons.control import Control
from harness.daemons.docker_container import BuilderImageUnavailable, DockerContainer, _configuration
from harness.daemons.dockerd import DockerClient, Dockerd, _compose_env, image_store_in
from harness.daemons.parts import PrivateDaemon
from harness.daemons.pprof import Pprof
from harness.daemons.private import DaemonDirs, Service
from harness.daemons.remote import Remote
from harness.daemons.stub import Stub
from harness.host.cgroup import Cgroup
from harness.host.ledger import Ledger
from harness.host.proc import Command, Identity
from harness.scenario import DaemonSpec, Limits
from harness.toolchain import Toolchain
from tests.support.stub_runs import start, write_scenario

HOME = DaemonDirs(Path("/data"), Path("/run/x"), Path("/bin-x"), Path("/records"), Cgroup("repro-x"), Limits())
FACTS = DaemonFacts("any", "1", "path:/x", "unix:///s", private=True)
BUILD = BuildRequest(1, Path("/context"), {}, "t:latest", ("load",))
PPROF = Pprof(Path("/run/x/debug.sock"))
CONTROL = Control(Path("/run/x/buildkitd.sock"))
BUILDX = Buildx(("buildx",), builder="repro", image=("--output", "type=image"))


async def ready() -> bool:
    """Be ready at once."""
    return True


def service() -> Service:
    """Return a service that was never started."""
    site = Slot("x", HOME.records, Ledger("x", Identity.of(os.getpid())))
    return Service("dockerd", HOME, site, Command(("dockerd",)), ready)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ({}, None),
        ({"kind": "stub"}, "stub"),
        ({"driver": "docker"}, "dockerd"),
        ({"driver": "docker-container", "image": "moby/buildkit:v0.25.1"}, "dockerd"),
        ({"driver": "buildctl"}, "buildkitd"),
        ({"driver": "remote"}, "buildkitd"),
        ({"driver": "remote", "kind": "buildkitd"}, "buildkitd"),
        ({"rootless": True}, "buildkitd"),
    ],
)
def test_a_driver_implies_the_kind(written: Mapping[str, str], kind: str | None) -> None:
    """What a scenario leaves open of the kind follows from the driver."""
    assert DaemonSpec.model_validate(written).wanted_kind == kind


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"driver": "remote", "kind": "dockerd"}, "driver 'remote' is for buildkitd, and `kind` says 'dockerd'"),
        ({"driver": "docker", "kind": "stub"}, "driver 'docker' is for dockerd, and `kind` says 'stub'"),
        ({"driver": "docker-container"}, "needs `image`: a reference such as moby/buildkit:v0.25.1, or a FILE.tar"),
        ({"image": "x"}, "`image` is what driver 'docker-container' runs"),
        ({"driver": "remote", "image": "x"}, "`image` is what driver 'docker-container' runs"),
        ({"rootless": True, "driver": "docker"}, "`rootless` is for buildkitd, and this is dockerd"),
        ({"driver": "kubernetes"}, "'docker', 'docker-container', 'buildctl' or 'remote'"),
    ],
)
def test_what_does_not_fit_is_refused(written: Mapping[str, str], said: str) -> None:
    """A driver of another kind, and an image where none or nothing else belongs, are told with what to do."""
    with pytest.raises(ValidationError) as caught:
        DaemonSpec.model_validate(written)
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", [Buildkitd, Remote, Dockerd, DockerContainer, Stub], ids=lambda kind: kind.__name__)
def test_each_of_ours_can_be_restarted(kind: type[object]) -> None:
    """Every private daemon has all that a restart, and the probe of a hang, ask for; a lack would only be told late."""
    assert issubclass(kind, Restartable)


def test_remote_builds_and_prunes_through_buildx() -> None:
    """With the remote driver builds and prunes are buildx's, and there are no images to prune, as ever in buildkitd."""
    daemon = Remote(Buildkitd(PrivateDaemon(FACTS, service(), HOME, PPROF, CONTROL)), BUILDX)
    assert daemon.build(BUILD).argv[:4] == ("buildx", "build", "--builder", "repro")
    pruned = daemon.prune(PruneRequest(all=True))
    assert pruned
    assert pruned.argv == ("buildx", "prune", "--builder", "repro", "--force", "--all")
    assert daemon.prune(PruneRequest("images")) is None
    assert daemon.facts.details["driver"] == "remote"


@pytest.mark.parametrize(
    ("request_", "argv"),
    [
        (PruneRequest(), ("buildx", "prune", "--builder", "repro", "--force")),
        (PruneRequest("images"), ("docker", "image", "prune", "--force")),
    ],
)
def test_a_container_has_the_cache_and_dockerd_the_images(request_: PruneRequest, argv: tuple[str, ...]) -> None:
    """With docker-container the cache is BuildKit's, and everything else stays the engine's."""
    client = DockerClient("docker", "unix:///s", {})
    dockerd = Dockerd(PrivateDaemon(FACTS, service(), HOME, PPROF, CONTROL), client)
    daemon = DockerContainer(dockerd, BUILDX, PPROF)
    pruned = daemon.prune(request_)
    assert pruned
    assert pruned.argv == argv


def test_the_export_image_is_an_image() -> None:
    """A builder that is not the engine's own is told to make an image, which it would not do by itself."""
    request = BuildRequest(1, Path("/context"), {}, "t:latest", ("image",))
    assert " --output type=image " in " ".join(BUILDX.build(request).argv)
    assert "--output" not in DockerClient("docker", "unix:///s", {}).buildx.build(request).argv


def test_the_container_gets_the_policy() -> None:
    """`daemon.gc` is that of the BuildKit that builds, and its pprof is where we can reach it."""
    spec = DaemonSpec(driver="docker-container", image="x", gc="tiny")
    assert _configuration(spec)["worker"]["oci"]["gcpolicy"] == [{"keepBytes": 1_000_000, "all": True}]
    assert _configuration(spec)["grpc"]["debugAddress"].startswith("unix:///var/lib/buildkit/")


def test_an_image_that_cannot_be_had_is_one_sentence() -> None:
    """Docker's own words, in one line, with the image's name."""
    said = str(BuilderImageUnavailable("x:1", "Error response from daemon:\n  not found\n"))
    assert "'x:1'" in said
    assert said.endswith("Error response from daemon: not found")


def test_the_users_configuration_is_not_read(tmp_path: Path) -> None:
    """Clients have a configuration of their own, with our buildx in it, whatever context the user is in."""
    home = DaemonDirs(tmp_path, tmp_path, tmp_path / "bin", tmp_path, Cgroup("repro-x"), Limits())
    home.bin.mkdir()
    (home.bin / "docker-buildx").touch()
    environment = client_environment(home)
    assert Path(environment["DOCKER_CONFIG"]).is_relative_to(tmp_path)
    assert Path(environment["BUILDX_CONFIG"]).is_relative_to(tmp_path)
    assert environment["DOCKER_CONTEXT"] == "default"
    plugin = Path(environment["DOCKER_CONFIG"], "cli-plugins", "docker-buildx")
    assert plugin.readlink() == home.bin / "docker-buildx"


@pytest.mark.parametrize(
    ("daemon", "said"),
    [
        ({"driver": "docker-container", "image": "x"}, "driver 'docker-container' runs in a private daemon only"),
        ({"driver": "remote"}, "toolchain 'host' cannot run buildkitd"),
    ],
)
def test_the_hosts_daemon_gets_no_builder_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: Mapping[str, str], said: str
) -> None:
    """`--daemon host` goes through the docker driver alone: nothing of ours is put into the user's daemon."""
    for name in ("docker", "docker-buildx"):
        (tmp_path / name).write_text("#!/bin/sh\necho 1.0\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    process = start(write_scenario(tmp_path, daemon=daemon), "--daemon", "host", "--trust")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 129, output
    assert said in output


@pytest.mark.parametrize(
    ("buildx", "with_compose", "told"),
    [("0.13.1+ds1", True, {"COMPOSE_BAKE": "false"}), ("v0.17.0", True, {}), ("", True, {}), ("v0.13.1", False, {})],
)
def test_compose_builds_by_itself_beside_an_old_buildx(
    buildx: str, *, with_compose: bool, told: dict[str, str]
) -> None:
    """Where compose's bake takes a later buildx, its clients are told to go without, and the run's record has it."""
    names = ["docker-buildx", *(["docker-compose"] if with_compose else [])]
    toolchain = Toolchain("path:/x", {name: Binary(Path("/x", name), buildx, "0" * 64) for name in names})
    details = _compose_env(toolchain)
    assert details.get("compose_env", {}) == told
    facts = replace(FACTS, details=details)
    dockerd = Dockerd(PrivateDaemon(facts, service(), HOME, PPROF, CONTROL), DockerClient("docker", "unix:///s", {}))
    env = dockerd.composed(replace(BUILD, targets=("app",), definition=Path("/d.yaml"))).env
    assert {key: value for key, value in env.items() if key == "COMPOSE_BAKE"} == told


INFOS: dict[str, tuple[dict[str, object], str]] = {
    "containerd": (
        {"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]},
        "containerd",
    ),
    "graph driver": ({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}, "graphdriver"),
    "no status": ({"Driver": "vfs", "DriverStatus": None}, "graphdriver"),
    "no answer": ({}, ""),
}


@pytest.mark.parametrize(("info", "store"), INFOS.values(), ids=[*INFOS])
def test_where_an_engine_keeps_images(info: dict[str, object], store: str) -> None:
    """What the engine itself says of its store is taken, also where it was told another."""
    assert image_store_in(info) == store
