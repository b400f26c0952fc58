"""The buildctl client, pointed at one buildkitd: the records of builds, and of the cache."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.core.errors import CaptureError, CommandError, CommandTimeout
from harness.daemons.base import BuildRecords, Listable, RunningBuild
from harness.daemons.history import running_in_buildctl, tee
from harness.host.proc import Command, run

_ANSWER_SECONDS: Final = 3.0
_LIST_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Buildctl:
    """One buildkitd, as its command line sees it."""

    program: str
    address: str
    environment: Mapping[str, str] = field(default_factory=dict)

    async def build_records(self) -> BuildRecords:
        """Return the records of its builds (``buildctl debug histories``).

        Raises:
            CaptureError: it did not say.
        """
        text = await self.output("debug", "histories")
        return BuildRecords(text, tuple(line for line in text.splitlines() if line.startswith("STARTED")))

    async def builds(self) -> Sequence[RunningBuild]:
        """Return the builds that it holds to be running (``buildctl debug histories``).

        Raises:
            CaptureError: it did not say.
        """
        return running_in_buildctl(await self.output("debug", "histories", "--format", "json"))

    async def iteration_of(self, ref: str) -> int | None:
        """Return which iteration a running build is: the list says it."""
        return next((build.iteration for build in await self.builds() if build.ref == ref), None)

    async def progress(self, ref: str) -> bytes:
        """Return what has become of a build so far (``buildctl debug logs``).

        Raises:
            CaptureError: it did not say, or the record has gone.
        """
        return await tee(self.command("debug", "logs", "--progress", "rawjson", ref))

    async def cache_records(self) -> str:
        """Return the records of its cache (``buildctl du``).

        Raises:
            CaptureError: it did not say.
        """
        return await self.output("du", "--verbose")

    def listing(self, what: Listable) -> Command:
        """Return the command that lists records."""
        words = {"cache": ("du",), "builds": ("debug", "histories"), "workers": ("debug", "workers")}
        return self.command(*words[what])

    async def output(self, *words: str) -> str:
        """Return what a command that lists something prints.

        Raises:
            CaptureError: it failed, or did not end in time.
        """
        command = self.command(*words)
        try:
            return (await run(command.argv, deadline=_LIST_SECONDS, env=command.env)).stdout
        except (CommandError, CommandTimeout) as error:
            raise CaptureError(str(error)) from error

    def command(self, *words: str) -> Command:
        """Return a command for this daemon."""
        return Command((self.program, "--addr", self.address, *words), self.environment)
