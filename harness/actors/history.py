"""``history``: lists the records of builds, while builds are in flight."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.actors.answered import Request
from harness.actors.base import ActorEnv, Effect
from harness.daemons.base import Listing
from harness.scenario.triggers import Firing


class History(Request):
    """List the build records with the daemon's client; changes nothing."""

    @property
    def disturbs(self) -> bool:
        """Whether it deletes or disturbs what a daemon's owner would miss."""
        return False

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return "lists the builds' records"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Ask, and wait for the list.

        Raises:
            CouldNot: the daemon has no such list, said no, or did not answer.
        """
        command = stage.daemon.listing("builds") if isinstance(stage.daemon, Listing) else None
        async with self.asked(stage, moment, command) as effect:
            yield effect
