"""``prune``: releases build cache while builds are in flight."""

from typing import ClassVar, Final

from harness.actors.base import Disturbance, Stage
from harness.errors import CommandError, CommandTimeout
from harness.proc import run
from harness.triggers import Moment

_DEADLINE_SECONDS: Final = 60.0


class Prune(Disturbance):
    """Prune the build cache."""

    disturbs: ClassVar[bool] = True

    all: bool = False
    """Also what later builds could still use, not only what is dangling."""

    async def act(self, stage: Stage, moment: Moment) -> tuple[bool, str]:  # noqa: ARG002 — every moment alike
        """Prune once; what was reclaimed is the last line that the client prints."""
        command = stage.daemon.prune(everything=self.all)
        try:
            done = await run(command.argv, deadline=_DEADLINE_SECONDS, env=command.env)
        except CommandTimeout:
            return False, f"did not end within {_DEADLINE_SECONDS:g} s"
        except CommandError as error:
            return False, " ".join(error.output.split())[-200:]
        return True, " ".join((done.stdout.strip().splitlines() or [""])[-1].split())
