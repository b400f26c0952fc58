"""``du``: lists the records of the cache, as `docker system df` does, while builds are in flight."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.actors.answered import Request
from harness.actors.base import ActorEnv, Effect
from harness.daemons.base import Listing
from harness.scenario.triggers import Firing


class Du(Request):
    """List the cache records with the daemon's client; changes nothing."""

    @property
    def disturbs(self) -> bool:
        """Whether it deletes or disturbs what a daemon's owner would miss."""
        return False

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return "lists the cache's records"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Ask, and wait for the list.

        Raises:
            CouldNot: the daemon has no such list, said no, or did not answer.
        """
        command = stage.daemon.listing("cache") if isinstance(stage.daemon, Listing) else None
        async with self.asked(stage, moment, command) as effect:
            yield effect
