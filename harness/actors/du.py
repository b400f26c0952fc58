"""``du``: lists the records of the cache, as `docker system df` does, while builds are in flight."""

from typing import ClassVar

from harness.actors.answered import Listed
from harness.daemons.base import Listable


class Du(Listed):
    """List the cache records with the daemon's client; changes nothing."""

    lists: ClassVar[Listable] = "cache"

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return "lists the cache's records"
