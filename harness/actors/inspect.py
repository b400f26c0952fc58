"""``inspect``: asks the daemon what workers it has, as `docker buildx inspect` does, while builds are in flight."""

from typing import ClassVar

from harness.actors.answered import Listed
from harness.daemons.base import Listable


class Inspect(Listed):
    """Inspect the builder with the daemon's client; changes nothing."""

    lists: ClassVar[Listable] = "workers"

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return "inspects the builder"
