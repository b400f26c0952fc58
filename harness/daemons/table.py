"""The kinds of daemons, by the name that a scenario gives in ``daemon.kind``."""

from collections.abc import Mapping
from typing import Final

from harness.daemons.base import OpenDaemon
from harness.daemons.buildkitd import open_buildkitd
from harness.daemons.docker_container import open_docker_container
from harness.daemons.dockerd import open_dockerd
from harness.daemons.remote import open_remote
from harness.daemons.stub import open_stub

DAEMONS: Final[Mapping[str, OpenDaemon]] = {
    "dockerd": open_dockerd,
    "buildkitd": open_buildkitd,
    "stub": open_stub,
}
DRIVERS: Final[Mapping[str, OpenDaemon]] = {
    "docker-container": open_docker_container,
    "remote": open_remote,
}
"""The drivers whose builds do not go through their daemon's own client, by the name in ``daemon.driver``."""
