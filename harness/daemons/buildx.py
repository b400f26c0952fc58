"""The buildx client, pointed at one builder: builds, the cache's prune, the records of builds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.daemons.base import BuildRequest, PruneRequest
from harness.errors import CaptureError, CommandError, CommandTimeout
from harness.proc import Command, run

_LIST_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Buildx:
    """One builder, as the command line sees it."""

    program: tuple[str, ...]
    """``docker buildx``, or the plug-in by itself."""
    environment: Mapping[str, str] = field(default_factory=dict)
    builder: str = "default"
    load: tuple[str, ...] = ("--load",)
    """What the export `load` says: into the engine's images, or into the void where there is no engine."""

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build, with progress as rawjson."""
        args = [part for key, value in request.args.items() for part in ("--build-arg", f"{key}={value}")]
        export = {"load": self.load, "image": (), "oci": ("--output", "type=oci,dest=/dev/null")}[request.export]
        return self.command(
            *("build", "--progress", "rawjson", "--network", request.network),
            *(["--no-cache"] if request.no_cache else []),
            *(*args, "--tag", request.tag, *export, str(request.context)),
        )

    def prune(self, request: PruneRequest) -> Command:
        """Return the command that prunes the build cache."""
        return self.command(
            *("prune", "--force", *(["--all"] if request.all else [])),
            *(part for text in request.filters for part in ("--filter", text)),
            *(["--keep-storage", f"{request.keep}B"] if request.keep is not None else []),
        )

    async def running_records(self) -> int:
        """Return how many build records are running (``buildx history ls``, in buildx 0.20 and later).

        Raises:
            CaptureError: it did not say.
        """
        command = self.command("history", "ls", "--filter", "status=running")
        try:
            told = await run(command.argv, deadline=_LIST_SECONDS, env=command.env)
        except (CommandError, CommandTimeout) as error:
            raise CaptureError(" ".join(str(error).split())) from error
        return len(told.stdout.splitlines()[1:])

    def command(self, *words: str) -> Command:
        """Return a command for this builder: its words, with ``--builder`` behind those that name the subcommand."""
        verbs = 2 if words[0] == "history" else 1
        return Command((*self.program, *words[:verbs], "--builder", self.builder, *words[verbs:]), self.environment)
