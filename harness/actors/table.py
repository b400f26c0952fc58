"""The kinds of actors, by the key that an actor in a scenario begins with."""

from collections.abc import Mapping
from typing import Final

from harness.actors.base import Actor
from harness.actors.build import Build
from harness.actors.cpu import Cpu
from harness.actors.disk import Disk
from harness.actors.du import Du
from harness.actors.freeze import Freeze
from harness.actors.history import History
from harness.actors.io import Io
from harness.actors.kill import Kill
from harness.actors.memory import Memory
from harness.actors.prune import Prune
from harness.actors.restart import Restart

ACTORS: Final[Mapping[str, type[Actor]]] = {
    "build": Build,
    "cpu": Cpu,
    "disk": Disk,
    "du": Du,
    "freeze": Freeze,
    "history": History,
    "io": Io,
    "kill": Kill,
    "memory": Memory,
    "prune": Prune,
    "restart": Restart,
}
