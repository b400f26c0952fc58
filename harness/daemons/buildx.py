"""The buildx client, pointed at one builder: builds, the cache's prune, the records of builds."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.core.errors import CaptureError, CommandError, CommandTimeout
from harness.daemons.base import (
    BuildRecords,
    BuildRequest,
    Listable,
    PruneRequest,
    RunningBuild,
    archive_type,
    of_target,
)
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
    """What the export `load` says: into the engine's images; nothing where there is no engine, but an archive."""
    image: tuple[str, ...] = ()
    """What the export `image` says; nothing where that is what a build comes to anyway."""

    def build(self, request: BuildRequest) -> Command:
        """Return the command of one build, with progress as rawjson: of ``bake`` where it has several targets."""
        exports = [words for kind in request.exports if (words := self._export(kind, request))]
        switches = [*(["--no-cache"] if request.no_cache else []), *(["--pull"] if request.pull else [])]
        common = ("--progress", "rawjson", *switches)
        if request.targets:
            baked = [("--set", f"*.output={words[1]}") if words[:1] == ("--output",) else words for words in exports]
            return self.command(
                *("bake", *common, "--file", str(request.definition), *(word for words in baked for word in words)),
                *(part for setting in _settings(request) for part in ("--set", setting)),
                *request.targets,
            )
        return self.command(
            *("build", *common, "--network", request.network),
            *(part for key, value in request.client_args.items() for part in ("--build-arg", f"{key}={value}")),
            *(["--cache-to", request.cache_to.exported()] if request.cache_to else []),
            *(part for cache in request.cache_from for part in ("--cache-from", cache.imported())),
            *(["--platform", ",".join(request.platforms)] if request.platforms else []),
            *(part for name, place in request.contexts.items() for part in ("--build-context", f"{name}={place}")),
            *(part for key, file in request.secrets.items() for part in ("--secret", f"id={key},src={file}")),
            *(["--ssh", f"default={request.ssh_key}"] if request.ssh_key else []),
            *("--tag", request.tag, *(word for words in exports for word in words)),
            request.git or str(request.context),
        )

    def _export(self, kind: str, request: BuildRequest) -> tuple[str, ...]:
        """Return what says one of a build's exports; nothing where that is what a build comes to anyway."""
        if kind == "load" and not self.load:
            return ("--output", f"type={archive_type(request)},dest={request.archive('load')}")
        others = len(request.exports) > 1
        return {
            "load": self.load,
            "image": self.image or (("--output", "type=image") if others else ()),
            "oci": ("--output", f"type=oci,dest={request.archive('oci')}"),
            "tar": ("--output", f"type=tar,dest={request.archive('tar')}"),
            "local": ("--output", f"type=local,dest={request.archive('local')}"),
            "push": ("--push",),
        }[kind]

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
        return running_in_buildx(await self._output("history", "ls", "--no-trunc", "--format", "json"))

    async def iteration_of(self, ref: str) -> int | None:
        """Return which iteration a running build is (``buildx history inspect``).

        Raises:
            CaptureError: it did not say, or the record has gone.
        """
        return iteration_in_buildx(await self._output("history", "inspect", "--format", "json", ref))

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
        text = await self._output("history", "ls", "--no-trunc", "--format", "json")
        return BuildRecords(text, tuple(line for line in text.splitlines() if _RUNNING.search(line)))

    async def cache_records(self) -> str:
        """Return the records of the cache (``buildx du``).

        Raises:
            CaptureError: it did not say.
        """
        return await self._output("du", "--verbose")

    def listing(self, what: Listable) -> Command:
        """Return the command that lists records."""
        return self.command(*{"cache": ("du",), "builds": ("history", "ls"), "workers": ("inspect",)}[what])

    async def _output(self, *words: str) -> str:
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
    for name in ("docker-buildx", "docker-compose"):
        if (home.bin / name).exists():
            (plugins / name).symlink_to(home.bin / name)
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
    yield from (f"*.args.{key}={value}" for key, value in request.client_args.items())
    for target in request.targets:
        yield f"{target}.tags={of_target(request.tag, target)}"
        if request.cache_to:
            yield f"{target}.cache-to={request.cache_to.exported(target)}"
        yield from (f"{target}.contexts.{name}={place}" for name, place in request.contexts.items())
        if request.platforms:
            yield f"{target}.platform={','.join(request.platforms)}"
        yield from (f"{target}.secrets=id={key},src={file}" for key, file in request.secrets.items())
        if request.ssh_key:
            yield f"{target}.ssh=default={request.ssh_key}"
        if request.git:
            yield f"{target}.context={request.git}"
        yield from (f"{target}.cache-from={cache.imported(target)}" for cache in request.cache_from)
