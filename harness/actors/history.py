"""``history``: lists the records of builds, while builds are in flight."""

from typing import ClassVar

from harness.actors.answered import Listed
from harness.daemons.base import Listable


class History(Listed):
    """List the build records with the daemon's client; changes nothing."""

    lists: ClassVar[Listable] = "builds"

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return "lists the builds' records"
