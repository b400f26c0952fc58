"""The buildx client, pointed at one builder: builds, the cache's prune, the records of builds."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from harness.core.errors import CaptureError, CommandError, CommandTimeout
from harness.daemons.base import BuildRecords, BuildRequest, PruneRequest, RunningBuild, of_target
from harness.daemons.history import iteration_in_buildx, running_in_buildx, tee
from harness.daemons.private import DaemonDirs
from harness.host.proc import Command, run

BUILDER: Final = "repro"
"""The builder that we make, where it is not the engine's own."""
_LIST_SECONDS: Final = 10.0
_RUNNING: Final = re.compile(r'"status":\s*"running"', re.IGNORECASE)


class NoHistory(CaptureError):
    """A buildx that is older than its command for build records."""

    def __init__(self) -> None:
        super().__init__("this buildx lists no build records: `history` came with 0.20")


@dataclass(frozen=True)
class Buildx:
    """One builder, as the command line sees it."""

    program: tuple[str, ...]
    """``docker buildx``, or the plug-in by itself."""
    environment: Mapping[str, str] = field(default_factory=dict)
    builder: str = "default"
    load: tuple[str, ...] = ("--load",)
    """What the export `load` says: into the engine's images, or into the void where there is no engine."""
    image: tuple[str, ...] = ()
    """What the export `image` says; nothing where that is what a build comes to anyway."""

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build, with progress as rawjson: of ``bake`` where it has several targets."""
        export = {
            "load": self.load,
            "image": self.image,
            "oci": ("--output", "type=oci,dest=/dev/null"),
            "tar": ("--output", "type=tar,dest=/dev/null"),
            "local": ("--output", f"type=local,dest={request.folder}"),
            "push": ("--push",),
        }[request.export]
        switches = [*(["--no-cache"] if request.no_cache else []), *(["--pull"] if request.pull else [])]
        common = ("--progress", "rawjson", *switches)
        if request.targets:
            output = ("--set", f"*.output={export[1]}") if export[:1] == ("--output",) else export
            return self.command(
                *("bake", *common, "--file", str(request.definition), *output),
                *(part for setting in _settings(request) for part in ("--set", setting)),
                *request.targets,
            )
        return self.command(
            *("build", *common, "--network", request.network),
            *(part for key, value in request.told_args.items() for part in ("--build-arg", f"{key}={value}")),
            *(["--cache-to", request.cache_to.exported()] if request.cache_to else []),
            *(part for cache in request.cache_from for part in ("--cache-from", cache.imported())),
            *("--tag", request.tag, *export, str(request.context)),
        )

    def prune(self, request: PruneRequest) -> Command:
        """Return the command that prunes the build cache."""
        return self.command(
            *("prune", "--force", *(["--all"] if request.all else [])),
            *(part for text in request.filters for part in ("--filter", text)),
            *(["--keep-storage", f"{request.keep}B"] if request.keep is not None else []),
        )

    async def builds(self) -> Sequence[RunningBuild]:
        """Return the builds that are held to be running (``buildx history ls``, in buildx 0.20 and later).

        Raises:
            CaptureError: it did not say.
        """
        return running_in_buildx(await self._told("history", "ls", "--no-trunc", "--format", "json"))

    async def iteration_of(self, ref: str) -> int | None:
        """Return which iteration a running build is (``buildx history inspect``).

        Raises:
            CaptureError: it did not say, or the record has gone.
        """
        return iteration_in_buildx(await self._told("history", "inspect", "--format", "json", ref))

    async def progress(self, ref: str) -> bytes:
        """Return what has become of a build so far (``buildx history logs``).

        Raises:
            CaptureError: it did not say, or the record has gone.
        """
        return await tee(self.command("history", "logs", "--progress", "rawjson", ref))

    async def build_records(self) -> BuildRecords:
        """Return the records of the builds, one JSON object a line (``buildx history ls``, in buildx 0.20 and later).

        Raises:
            CaptureError: it did not say.
        """
        text = await self._told("history", "ls", "--no-trunc", "--format", "json")
        return BuildRecords(text, tuple(line for line in text.splitlines() if _RUNNING.search(line)))

    async def cache_records(self) -> str:
        """Return the records of the cache (``buildx du``).

        Raises:
            CaptureError: it did not say.
        """
        return await self._told("du", "--verbose")

    def listing(self, what: Literal["cache", "builds"]) -> Command:
        """Return the command that lists records."""
        return self.command(*(("du",) if what == "cache" else ("history", "ls")))

    async def _told(self, *words: str) -> str:
        command = self.command(*words)
        try:
            return (await run(command.argv, deadline=_LIST_SECONDS, env=command.env)).stdout
        except (CommandError, CommandTimeout) as error:
            if words[0] == "history" and "unknown flag" in error.output:
                raise NoHistory from error
            raise CaptureError(" ".join(str(error).split())) from error

    def command(self, *words: str) -> Command:
        """Return a command for this builder: its words, with ``--builder`` behind those that name the subcommand."""
        verbs = 2 if words[0] == "history" else 1
        return Command((*self.program, *words[:verbs], "--builder", self.builder, *words[verbs:]), self.environment)


def client_environment(home: DaemonDirs) -> dict[str, str]:
    """Return what keeps docker and buildx off the user's own configuration; it is made here."""
    plugins = home.bin.parent / "client" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(home.bin / "docker-buildx")
    return {
        "DOCKER_CONFIG": str(plugins.parent),
        "BUILDX_CONFIG": str(plugins.parent / "buildx"),
        "DOCKER_CONTEXT": "default",
        "DOCKER_CLI_HINTS": "false",
        "OTEL_SDK_DISABLED": "true",
        **home.environment,
    }


def _settings(request: BuildRequest) -> Iterator[str]:
    """Yield what ``bake --set`` lays over the definition: for one target, or with a star for all."""
    yield from (f"*.args.{key}={value}" for key, value in request.told_args.items())
    for target in request.targets:
        yield f"{target}.tags={of_target(request.tag, target)}"
        if request.cache_to:
            yield f"{target}.cache-to={request.cache_to.exported(target)}"
        yield from (f"{target}.cache-from={cache.imported(target)}" for cache in request.cache_from)
