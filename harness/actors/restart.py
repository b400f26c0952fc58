"""``restart``: stops the daemon, gently or not, and starts it again on the same root."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect, NothingOfTheKind
from harness.core.quantities import Duration
from harness.daemons.base import Restartable, RestartsBuilder
from harness.scenario.triggers import Firing


class Restart(Disturbance):
    """Restart the daemon; builds in flight are cut off, and the next ones wait until it is up.

    `when.lasting` is how long it stays down.
    """

    target: Literal["daemon", "builder"] = "daemon"
    """The daemon; or the BuildKit in a container of it (`daemon.driver: docker-container`), which `docker` restarts."""
    gently: bool = True
    """SIGTERM, and SIGKILL after `grace`; otherwise SIGKILL at once, as a crash would be."""
    grace: Duration = 10.0
    """How long a daemon may take to stop by itself."""

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        what = "the daemon" if self.target == "daemon" else "the builder's container"
        return f"restarts {what}" if self.gently else f"kills {what} (SIGKILL) and starts it again"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Stop it, and start it again, but not when the run has ended meanwhile.

        Raises:
            DaemonStartError: it did not come up again.
            CouldNot: it is not ours, or docker could not stop it.
        """
        grace, daemon = self.grace if self.gently else 0.0, stage.daemon
        if self.target == "daemon":
            if not isinstance(daemon, Restartable):
                raise CouldNot("the daemon is not ours to restart")
            stop, start = daemon.stop, daemon.start
        else:
            if not isinstance(daemon, RestartsBuilder):
                raise NothingOfTheKind("this daemon has no builder in a container: see `daemon.driver`")
            stop, start = daemon.stop_builder, daemon.start_builder
        with stage.board.outage(f"{self.name} restarted the {self.target}"):
            by_itself = await stop(grace)
            yield Effect("ended by itself" if by_itself else "was killed", effect=1)
            await start()
