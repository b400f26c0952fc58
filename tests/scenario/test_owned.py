"""Keys of a daemon's configuration that the harness owns are refused, so that no scenario reaches the user's data."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli.kinds import VOCABULARY
from harness.core.errors import ScenarioError
from harness.scenario import load
from harness.scenario.owned import owned_keys

ADVERSARY = """
name: downloaded
actors:
  - build: ci
    dockerfile: trivial
stop: {iterations: 6}
"""

OWNED: dict[str, tuple[dict[str, Any], str]] = {
    "data-root": ({"data-root": "/var/lib/docker"}, "data-root"),
    "case": ({"Data-Root": "/var/lib/docker"}, "Data-Root"),
    "its-old-name": ({"graph": "/var/lib/docker"}, "graph"),
    "exec-root": ({"exec-root": "/run/docker"}, "exec-root"),
    "pidfile": ({"pidfile": "/run/docker.pid"}, "pidfile"),
    "hosts": ({"hosts": ["unix:///run/docker.sock"]}, "hosts"),
    "containerd": ({"containerd": "/run/containerd/containerd.sock"}, "containerd"),
    "a-program": ({"runtimes": {"mine": {"path": "/opt/x"}}}, "runtimes"),
    "the-network": ({"iptables": True}, "iptables"),
    "nested": ({"features": {"data-root": "/var/lib/docker"}}, "features.data-root"),
    "in-a-list": ({"x": [{"y": {"hosts": []}}]}, "x.y.hosts"),
    "users": ({"userns-remap": "default"}, "userns-remap"),
    "a-file-system": ({"storage-opts": ["zfs.fsname=tank/home"]}, "storage-opts.zfs.fsname=tank/home"),
    "a-device": ({"storage-opts": ["dm.thinpooldev=/dev/vg/x"]}, "storage-opts.dm.thinpooldev=/dev/vg/x"),
    "slices": ({"exec-opts": ["native.cgroupdriver=systemd"]}, "exec-opts.native.cgroupdriver=systemd"),
    "devices": ({"cdi-spec-dirs": ["/opt/x"]}, "cdi-spec-dirs"),
    "folded-by-go": ({"ho\u017fts": []}, "ho\u017fts"),
    "buildkitd-bridge": ({"worker": {"oci": {"networkMode": "bridge"}}}, "worker.oci.networkMode"),
    "buildkitd-processes": ({"worker": {"oci": {"noProcessSandbox": True}}}, "worker.oci.noProcessSandbox"),
    "buildkitd-files": ({"provenanceEnvDir": "/etc"}, "provenanceEnvDir"),
    "buildkitd-root": ({"root": "/var/lib/buildkit"}, "root"),
    "buildkitd-socket": ({"grpc": {"address": ["unix:///run/buildkit/buildkitd.sock"]}}, "grpc"),
    "buildkitd-containerd": ({"worker": {"containerd": {"enabled": True}}}, "worker.containerd"),
    "buildkitd-case": ({"Worker": {"Containerd": {"Address": "/run/x"}}}, "Worker.Containerd"),
    "buildkitd-cgroup": ({"worker": {"oci": {"defaultCgroupParent": "/"}}}, "worker.oci.defaultCgroupParent"),
    "buildkitd-program": ({"worker": {"oci": {"binary": "/opt/x"}}}, "worker.oci.binary"),
}


@pytest.mark.parametrize(("config", "path"), OWNED.values(), ids=OWNED.keys())
@pytest.mark.parametrize("driver", [None, "docker", "docker-container", "buildctl", "remote"])
def test_refused(tmp_path: Path, config: dict[str, Any], path: str, driver: str | None) -> None:
    """Each key is refused by its name and place, with every driver, for one daemon and for several."""
    daemon: dict[str, Any] = {"config": config} | ({"driver": driver} if driver else {})
    if driver == "docker-container":
        daemon["image"] = "x.tar"
    for where in ({"daemon": daemon}, {"daemons": {"a": daemon}}):
        file = tmp_path / "downloaded.yaml"
        file.write_text(ADVERSARY + yaml.safe_dump(where))
        with pytest.raises(ScenarioError, match="belong to the harness") as refused:
            load(file, VOCABULARY)
        assert f"{path} (" in str(refused.value)


def test_refused_as_a_setting(tmp_path: Path) -> None:
    """``--set`` is no way around it."""
    file = tmp_path / "downloaded.yaml"
    file.write_text(ADVERSARY)
    with pytest.raises(ScenarioError, match="data-root"):
        load(file, VOCABULARY, ["daemon.config={data-root: /var/lib/docker}"])


def test_what_is_the_scenarios() -> None:
    """What says how a daemon works, and not where, is the scenario's to say."""
    config = {
        "debug": False,
        "storage-opts": ["overlay2.size=1G"],
        "features": {"containerd-snapshotter": True},
        "registry-mirrors": ["http://127.0.0.1:5000"],
        "builder": {"gc": {"enabled": True, "policy": [{"keepStorage": "1GB", "all": True}]}},
        "worker": {"oci": {"gc": True, "max-parallelism": 2, "gcpolicy": [{"all": True}]}},
        "registry": {"docker.io": {"mirrors": ["127.0.0.1:5000"]}},
    }
    assert [*owned_keys(config)] == []
