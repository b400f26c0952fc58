"""``restart``: stops the daemon, gently or not, and starts it again on the same root."""

from typing import ClassVar

import anyio

from harness.actors.base import Disturbance, Stage
from harness.daemons.base import Restartable
from harness.triggers import Moment
from harness.units import Duration


class Restart(Disturbance):
    """Restart the daemon; builds in flight are cut off, and the next ones wait until it is up."""

    disturbs: ClassVar[bool] = True

    gently: bool = True
    """SIGTERM, and SIGKILL after `grace`; otherwise SIGKILL at once, as a crash would be."""
    grace: Duration = 10.0
    """How long a daemon may take to stop by itself."""
    down: Duration = 0.0
    """How long it stays down."""

    async def act(self, stage: Stage, moment: Moment) -> tuple[bool, str]:  # noqa: ARG002 — every moment alike
        """Restart it once.

        Raises:
            DaemonStartError: it did not come up again.
        """
        daemon = stage.daemon
        if not isinstance(daemon, Restartable):
            return False, "the daemon is not ours to restart"
        with stage.board.outage(f"{self.name} restarted the daemon"):
            by_itself = await daemon.stop(self.grace if self.gently else 0.0)
            await anyio.sleep(self.down)
            await daemon.start()
        return True, "ended by itself" if by_itself else "was killed"
