"""The kinds of actors, by the key that an actor in a scenario begins with."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness.actors.base import Actor
from harness.actors.build import Build
from harness.actors.clock import Clock
from harness.actors.collector import Collector
from harness.actors.cpu import Cpu
from harness.actors.disk import Disk
from harness.actors.du import Du
from harness.actors.freeze import Freeze
from harness.actors.history import History
from harness.actors.inspect import Inspect
from harness.actors.io import Io
from harness.actors.kill import Kill
from harness.actors.memory import Memory
from harness.actors.network import Network
from harness.actors.oom import Oom
from harness.actors.prune import Prune
from harness.actors.registry import Registry
from harness.actors.restart import Restart

_KINDS: Final[Sequence[type[Actor]]] = (
    Build,
    Clock,
    Collector,
    Cpu,
    Disk,
    Du,
    Freeze,
    History,
    Inspect,
    Io,
    Kill,
    Memory,
    Network,
    Oom,
    Prune,
    Registry,
    Restart,
)
ACTORS: Final[Mapping[str, type[Actor]]] = {kind.key(): kind for kind in _KINDS}
