"""The kinds of daemons, by the name that a scenario gives in ``daemon.kind``."""

from collections.abc import Mapping
from typing import Final

from harness.daemons.base import OpenDaemon
from harness.daemons.buildkitd import open_buildkitd
from harness.daemons.dockerd import open_dockerd
from harness.daemons.stub import open_stub

DAEMONS: Final[Mapping[str, OpenDaemon]] = {
    "dockerd": open_dockerd,
    "buildkitd": open_buildkitd,
    "stub": open_stub,
}
