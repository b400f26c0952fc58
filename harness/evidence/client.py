"""Where the client of a hung build stands: Go prints its goroutines on SIGQUIT, and ends."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import psutil

from harness.client.watched_build import Watch
from harness.core.errors import CaptureError
from harness.evidence.base import Subject
from harness.host.proc import Identity


@dataclass(frozen=True)
class ClientDump:
    """``client-goroutines.txt``. It comes last, as the client does not live on; it would be killed next in any case."""

    build: Watch
    each: float = 2.0
    """Seconds that a process may take to print its stacks and end."""
    deadline: float = 6.0
    name: str = "client"

    async def capture(self, daemon: Subject, folder: Path) -> None:  # noqa: ARG002 — the client is asked
        """Have each of its processes print its stacks, one after the other, so that they do not mix."""
        if self.build.client.pid is None:
            raise CaptureError("the build has no client's process: it was asked of the daemon itself (`via: api`)")
        if self.build.client.returncode is not None:
            raise CaptureError("the client has returned since")
        file = folder / "client-goroutines.txt"
        with file.open("wb") as dump, self.build.tee(dump.write):
            for process in self._processes():
                with suppress(ProcessLookupError), anyio.move_on_after(self.each):
                    os.kill(process.pid, signal.SIGQUIT)
                    while process.alive():
                        await anyio.sleep(0.02)
            with anyio.move_on_after(self.each):
                await self.build.closed.wait()
        if b"goroutine " not in file.read_bytes():
            raise CaptureError("the client printed no goroutines on SIGQUIT: it is stopped, or no Go program")

    def _processes(self) -> list[Identity]:
        """Return the innermost first: it is the ``docker-buildx`` below ``docker`` that builds."""
        found = []
        with suppress(psutil.Error):
            client = psutil.Process(self.build.client.pid)
            for process in (*reversed(client.children(recursive=True)), client):
                with suppress(ProcessLookupError):
                    found.append(Identity.of(process.pid))
        return found
