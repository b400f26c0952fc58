"""``freeze``: stops the daemon's process for a while (SIGSTOP), and lets it go on (SIGCONT)."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar

import anyio

from harness.actors.base import Disturbance, Stage
from harness.proc import Identity
from harness.scenario import Fault, Setting
from harness.triggers import Moment


class Freeze(Disturbance):
    """Freeze the daemon; `when.lasting` says for how long."""

    disturbs: ClassVar[bool] = True

    def faults(self, setting: Setting) -> Iterator[Fault]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        if self.when.lasting is None:
            yield Fault(("when",), "a freeze needs `lasting`: how long until the daemon goes on")

    async def act(self, stage: Stage, moment: Moment) -> tuple[bool, str]:  # noqa: ARG002 — every moment alike
        """Freeze, wait, heal. The kernel kills even a frozen daemon of ours when the harness dies."""
        pid = stage.daemon.facts.pid
        if pid is None:
            return False, "the daemon is not ours, so its process is not known"
        with suppress(ProcessLookupError):
            daemon = Identity.of(pid)
            try:
                os.kill(pid, signal.SIGSTOP)
                await anyio.sleep(self.when.lasting or 0.0)
            finally:
                if daemon.alive():
                    os.kill(pid, signal.SIGCONT)
            return True, f"froze process {pid}"
        return False, "the daemon has ended"
