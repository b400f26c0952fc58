"""The kinds of actors, by the key that an actor in a scenario begins with."""

from collections.abc import Mapping
from typing import Final

from harness.actors.base import Actor
from harness.actors.build import Build
from harness.actors.freeze import Freeze
from harness.actors.prune import Prune
from harness.actors.restart import Restart

ACTORS: Final[Mapping[str, type[Actor]]] = {
    "build": Build,
    "freeze": Freeze,
    "prune": Prune,
    "restart": Restart,
}
