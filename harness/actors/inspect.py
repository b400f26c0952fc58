"""``inspect``: asks the daemon what workers it has, as `docker buildx inspect` does, while builds are in flight."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.actors.answered import Request
from harness.actors.base import ActorEnv, Effect
from harness.daemons.base import Listing
from harness.scenario.triggers import Firing


class Inspect(Request):
    """Inspect the builder with the daemon's client; changes nothing."""

    @property
    def disturbs(self) -> bool:
        """Whether it deletes or disturbs what a daemon's owner would miss."""
        return False

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return "inspects the builder"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:
        """Ask, and wait for the answer.

        Raises:
            CouldNot: the daemon cannot be asked, said no, or did not answer.
        """
        command = stage.daemon.listing("workers") if isinstance(stage.daemon, Listing) else None
        async with self.asked(stage, moment, command) as effect:
            yield effect
