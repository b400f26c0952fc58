"""``restart``: stops the daemon, gently or not, and starts it again on the same root."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect
from harness.core.units import Duration
from harness.daemons.base import Restartable
from harness.scenario.triggers import Firing


class Restart(Disturbance):
    """Restart the daemon; builds in flight are cut off, and the next ones wait until it is up.

    `when.lasting` is how long it stays down.
    """

    gently: bool = True
    """SIGTERM, and SIGKILL after `grace`; otherwise SIGKILL at once, as a crash would be."""
    grace: Duration = 10.0
    """How long a daemon may take to stop by itself."""

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return "restarts the daemon" if self.gently else "kills the daemon (SIGKILL) and starts it again"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Stop it, and start it again, but not when the run has ended meanwhile.

        Raises:
            DaemonStartError: it did not come up again.
        """
        daemon = stage.daemon
        if not isinstance(daemon, Restartable):
            raise CouldNot("the daemon is not ours to restart")
        with stage.board.outage(f"{self.name} restarted the daemon"):
            by_itself = await daemon.stop(self.grace if self.gently else 0.0)
            yield Effect("ended by itself" if by_itself else "was killed")
            await daemon.start()
