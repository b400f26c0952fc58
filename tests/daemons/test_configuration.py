"""What daemons are configured with, and what their clients are told."""

import json
import tomllib
from pathlib import Path
from unittest.mock import Mock

import pytest

from harness.core.manifest import DaemonFacts
from harness.daemons.base import BuildRequest, PruneRequest
from harness.daemons.buildkitd import Buildkitd, NotToml, _configuration, _toml, version_in
from harness.daemons.dockerd import DockerClient
from harness.daemons.dockerd import _configuration as dockerd_configuration
from harness.daemons.parts import PrivateDaemon
from harness.daemons.private import DaemonDirs
from harness.host.cgroup import Cgroup
from harness.scenario import DaemonSpec, Limits

HOME = DaemonDirs(Path("/data"), Path("/run/x"), Path("/bin-x"), Path("/records"), Cgroup("repro-x"), Limits())


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ("buildkitd github.com/moby/buildkit v0.23.2 40b2ede", "v0.23.2"),
        ("buildkitd github.com/moby/buildkit HEAD ", "HEAD"),
        ("buildkitd github.com/moby/buildkit mine 40b2ede\n", "mine 40b2ede"),
        ("buildkitd of another kind", "buildkitd of another kind"),
    ],
)
def test_a_buildkitd_says_its_version(told: str, version: str) -> None:
    """By its number; one that was built without, by whatever its builder called it."""
    assert version_in(told) == version


def test_dockerd_is_private() -> None:
    """A private dockerd shares no folder, socket, cgroup or network of the host's own, and has debug on."""
    written = dockerd_configuration(HOME, DaemonSpec(), Path("/run/x/docker.sock"))
    assert written["hosts"] == ["unix:///run/x/docker.sock"]
    assert {written["bridge"], written["iptables"], written["ip6tables"], written["ip-forward"]} == {"none", False}
    assert written["data-root"] == "/data/root"
    assert written["exec-root"].startswith("/run/x/")
    assert written["cgroup-parent"] == "/repro-x"
    assert written["debug"] is True
    assert json.dumps(written)


def test_scenario_has_the_last_word_on_dockerd() -> None:
    """`daemon.config` is merged as it stands, and a feature of its own does not switch the image store off."""
    spec = DaemonSpec(config={"debug": False, "features": {"cdi": True}, "max-concurrent-downloads": 1})
    written = dockerd_configuration(HOME, spec, Path("/run/x/docker.sock"))
    assert written["debug"] is False
    assert written["max-concurrent-downloads"] == 1
    assert written["features"] == {"containerd-snapshotter": True, "cdi": True}


def test_buildkitd_configuration_is_toml() -> None:
    """The scenario's tables are merged into ours, key by key, also lists of tables."""
    wanted = {"worker": {"oci": {"gc": True, "gcpolicy": [{"keepBytes": 1000, "all": True}]}}, "debug": False}
    read = tomllib.loads(_toml(_configuration(HOME, DaemonSpec(config=wanted))))
    assert read["worker"]["oci"]["gcpolicy"] == [{"keepBytes": 1000, "all": True}]
    assert read["worker"]["oci"]["networkMode"] == "host"
    assert read["grpc"]["debugAddress"] == "unix:///run/x/debug.sock"
    assert read["debug"] is False


def test_what_toml_cannot_say_is_refused() -> None:
    """A null in the configuration is a usage error, not a traceback."""
    with pytest.raises(NotToml, match=r"daemon\.config"):
        _toml(_configuration(HOME, DaemonSpec(config={"dns": None})))


@pytest.mark.parametrize(
    ("export", "words"), [("load", ["--load"]), ("image", []), ("oci", ["--output", "type=oci,dest=/dev/null"])]
)
def test_docker_build_command(export: str, words: list[str]) -> None:
    """The client gets rawjson progress, every argument, and its export."""
    request = BuildRequest(7, Path("/context"), {"N": "3", "M": "a b"}, "t:latest", (export,), no_cache=True)
    argv = DockerClient("docker", "unix:///s", {}).buildx.build(request).argv
    assert argv[:3] == ("docker", "buildx", "build")
    assert "rawjson" in argv
    assert "--no-cache" in argv
    assert [argv[index + 1] for index, word in enumerate(argv) if word == "--build-arg"] == [
        "N=3",
        "M=a b",
        "REPRO_ITERATION=7",
    ]
    assert list(argv[argv.index("t:latest") + 1 : -1]) == words
    assert argv[-1] == "/context"


def test_policies_of_garbage_collection() -> None:
    """A named policy is in the terms of either daemon, and the scenario's own configuration has the last word."""
    worker = tomllib.loads(_toml(_configuration(HOME, DaemonSpec(gc="report"))))["worker"]["oci"]
    assert worker["gc"] is True
    assert worker["gcpolicy"][0]["keepDuration"] == 48 * 3600
    assert [rule["all"] for rule in worker["gcpolicy"]] == [False, False, False, True]
    written = dockerd_configuration(HOME, DaemonSpec(gc="tiny"), Path("/s"))
    assert written["builder"] == {"gc": {"enabled": True, "policy": [{"keepStorage": "1000000B", "all": True}]}}
    own = {"builder": {"gc": {"enabled": False}}}
    assert dockerd_configuration(HOME, DaemonSpec(gc="tiny", config=own), Path("/s"))["builder"] == own["builder"]


@pytest.mark.parametrize(
    ("request_", "docker", "buildctl"),
    [
        (PruneRequest(), "buildx prune --builder default --force", "prune"),
        (PruneRequest(all=True), "buildx prune --builder default --force --all", "prune --all"),
        (
            PruneRequest(filters=("type=regular", "until=1h"), keep=953_700_000),
            "buildx prune --builder default --force --filter type=regular --filter until=1h --keep-storage 953700000B",
            "prune --filter type=regular --filter until=1h --keep-storage 953.700000",
        ),
        (PruneRequest("images", all=True), "image prune --force --all", None),
        (PruneRequest("everything", all=True), "system prune --volumes --force --all", "prune --all"),
        (
            PruneRequest("tag", images=("ci:latest-app", "ci:latest-web")),
            "image rm --force ci:latest-app ci:latest-web",
            None,
        ),
    ],
)
def test_prune_commands(request_: PruneRequest, docker: str, buildctl: str | None) -> None:
    """Each client is told what to remove in its own words; a buildkitd keeps no images."""
    assert " ".join(DockerClient("docker", "unix:///s", {}).prune(request_).argv[1:]) == docker
    facts = DaemonFacts("buildkitd", "v1", "path:/x", "unix:///s.sock", private=True)
    command = Buildkitd(PrivateDaemon(facts, Mock(), HOME, Mock(), Mock())).prune(request_)
    assert (command and " ".join(command.argv).partition(".sock ")[2]) == buildctl
