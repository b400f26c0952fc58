"""What a build is made from: its Dockerfile or several, its context, and what its client offers beside that.

A Dockerfile's context is laid out once, before the first build, and never changes; where an actor has several, each
has a context of its own.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import ConfigDict, Field

from harness.actors.base import Actor, Ask
from harness.actors.context import OFFLINE, find_dockerfile, find_folder, lay_base, stages, uses_base
from harness.actors.generate import Generate, fill
from harness.actors.template import Text
from harness.buildkit.abilities import CONTEXTS, PLATFORMS, in_dockerfile
from harness.core.quantities import Size
from harness.core.rng import Dice
from harness.core.units import parse_size
from harness.host.hostinfo import ResourceDemand
from harness.host.proc import run
from harness.scenario import DaemonSpec, Setting, Violation
from harness.toolchain.base_image import static_busybox

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
"""The name of a file in a context, of a secret, or of a context."""
Weight = Annotated[float, Field(gt=0, le=1e6)]
REMOTE: Final = ("docker-image://", "https://", "http://", "git://", "oci-layout://")
"""How a named context begins that is no folder."""
_ONE_OF: Final = ("dockerfile", "dockerfile_inline", "dockerfiles", "generate")
_KEYGEN_SECONDS: Final = 20.0
_GIT_SECONDS: Final = 120.0


class DockerfileSource(Protocol):
    """A Dockerfile, with what its context has beside it."""

    @property
    def dockerfile(self) -> str:
        """The text."""
        ...

    def write(self, folder: Path) -> None:
        """Make a context of it; the folder is not there yet."""
        ...


@dataclass(frozen=True)
class DockerfileFolder:
    """A Dockerfile in a folder, which is the context."""

    path: Path

    @property
    def dockerfile(self) -> str:
        """The text."""
        return (self.path / "Dockerfile").read_text(errors="replace")

    def write(self, folder: Path) -> None:
        """Copy it."""
        shutil.copytree(self.path, folder)


@dataclass(frozen=True)
class Inline:
    """A Dockerfile that stands in the scenario; its context is otherwise empty."""

    dockerfile: str

    def write(self, folder: Path) -> None:
        """Write it down."""
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(self.dockerfile)


class Inputs(Actor):
    """What a build is made from."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in _ONE_OF]})

    dockerfile: str | None = None
    """A folder with a Dockerfile: a name in `dockerfiles/`, or a path beside the scenario."""
    dockerfile_inline: Annotated[str, Field(max_length=100_000)] | None = None
    """The text of a Dockerfile; its context is empty, but for `files`."""
    dockerfiles: Annotated[dict[str, Weight], Field(min_length=1, max_length=50)] | None = None
    """Several folders, each with a weight: how often an iteration takes it, beside the others."""
    generate: Generate | None = None
    """A Dockerfile made to measure."""
    files: dict[FileName, Size] = Field(default_factory=dict)
    """Extra files in the build context, by name and size; their content does not compress."""
    context: Literal["folder", "git"] = "folder"
    """How the daemon gets it: from the client, or from a git server of the run's own, as the one commit there."""
    contexts: dict[FileName, str] = Field(default_factory=dict)
    """Named contexts for `FROM NAME` and `COPY --from=NAME`: a folder as in `dockerfile`, a reference such as
    `docker-image://alpine:3.22`, or a size, which stands for a folder with one file `data` of it.
    """
    secrets: dict[FileName, Text] = Field(default_factory=dict)
    """What `RUN --mount=type=secret,id=NAME` finds, by its id. Nothing secret: it stands in the run's records."""
    ssh: bool = False
    """Whether `RUN --mount=type=ssh` finds an agent, with a key made for the run."""
    base: str = OFFLINE
    """What the stage `base` is: a static busybox, or an image of a registry such as `alpine:3.22`."""
    targets: tuple[str, ...] = ()
    """Stages that one client builds at once, each to a result of its own, as `docker buildx bake` does."""
    platforms: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$")], ...] = ()
    """Platforms that one client builds for at once; without any, the daemon's own. No step is emulated."""

    @property
    def sources(self) -> Sequence[tuple[DockerfileSource, float]]:
        """Its Dockerfiles, each with its weight; those in folders once they are placed."""
        if self.dockerfiles:
            return [(DockerfileFolder(Path(name)), weight) for name, weight in self.dockerfiles.items()]
        if self.generate:
            return [(self.generate, 1.0)]
        if self.dockerfile_inline is not None:
            return [(Inline(self.dockerfile_inline), 1.0)]
        return [(DockerfileFolder(Path(str(self.dockerfile))), 1.0)]

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        given = [key for key in _ONE_OF if getattr(self, key) is not None]
        if not given:
            yield Violation(
                ("dockerfile",), "is missing: name a Dockerfile's folder, or say `generate` for one of our own"
            )
        for key in given[1:]:
            yield Violation((key,), f"a build has one Dockerfile: leave out either `{given[0]}` or `{key}`")
        if len(given) == 1:
            yield from self._faults_of_sources(setting)
        for name, written in self.contexts.items():
            if not _size_of(written) and not _is_remote(written) and not find_folder(written, setting.folders):
                looked = _looked_in(written, setting)
                yield Violation(("contexts", name), f"there is no such folder: {looked}; nor is it a size or a URL")

    def _faults_of_sources(self, setting: Setting) -> Iterator[Violation]:
        named: list[tuple[tuple[str, ...], str]] = []
        if self.dockerfile is not None:
            named.append((("dockerfile",), self.dockerfile))
        named += [(("dockerfiles", name), name) for name in self.dockerfiles or ()]
        missing = [(path, name) for path, name in named if not find_dockerfile(name, setting.folders)]
        for path, name in missing:
            yield Violation(path, f"there is no Dockerfile in any of {_looked_in(name, setting)}")
        if missing:
            return
        for text in self.texts(setting):
            known = stages(text)
            for index, target in enumerate(self.targets):
                if target not in known:
                    yield Violation(("targets", index), f"no stage is named {target!r}; stages: {', '.join(known)}")

    def texts(self, setting: Setting) -> Sequence[str]:
        """Return the text of each of its Dockerfiles that is there."""
        sources = [source for source, _ in self.placed(setting).sources]
        there = [
            each for each in sources if not isinstance(each, DockerfileFolder) or (each.path / "Dockerfile").is_file()
        ]
        return [source.dockerfile for source in there]

    def placed(self, setting: Setting) -> Self:
        """Return it with every folder as an absolute path."""
        placed: dict[str, object] = {}
        if self.dockerfile and (source := find_dockerfile(self.dockerfile, setting.folders)):
            placed["dockerfile"] = str(source.resolve())
        if self.dockerfiles:
            sources = {name: find_dockerfile(name, setting.folders) for name in self.dockerfiles}
            placed["dockerfiles"] = {
                str(source.resolve()) if source else name: self.dockerfiles[name] for name, source in sources.items()
            }
        if self.contexts:
            placed["contexts"] = {name: _placed(written, setting) for name, written in self.contexts.items()}
        return self.model_copy(update=placed) if placed else self

    def burdens(self, daemon: DaemonSpec) -> Iterator[ResourceDemand]:
        """Yield what generated contexts take."""
        yield from super().burdens(daemon)
        if self.generate:
            yield ResourceDemand(f"{self.name}.generate", disk=self.generate.context_bytes)
        if self.files:
            yield ResourceDemand(f"{self.name}.files", disk=sum(self.files.values()) * len(self.sources))
        if self.contexts:
            yield ResourceDemand(f"{self.name}.contexts", disk=sum(map(_size_of, self.contexts.values())))

    def asks(self) -> Iterator[Ask]:
        """Yield what it asks that not every builder can do, once its folders are placed."""
        yield from super().asks()
        key = next(key for key in _ONE_OF if getattr(self, key) is not None)
        texts = [source.dockerfile for source, _ in self.sources]
        yield from (Ask(key, each) for each in dict.fromkeys(each for text in texts for each in in_dockerfile(text)))
        if self.contexts:
            yield Ask("contexts", CONTEXTS)
        if len(self.platforms) > 1:
            yield Ask("platforms", PLATFORMS)

    @property
    def folders(self) -> Sequence[Path]:
        """The folders with Dockerfiles that it names, once they are placed."""
        return [Path(each) for each in (self.dockerfile, *(self.dockerfiles or ())) if each]

    @property
    def context_folders(self) -> Mapping[str, Path]:
        """The named contexts that are folders of the host, once they are placed."""
        return {name: Path(each) for name, each in self.contexts.items() if Path(each).is_absolute()}

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return it with other names for folders; of those that `names` does not have the name stays."""
        return self.model_copy(
            update={
                "dockerfile": names.get(str(self.dockerfile), self.dockerfile),
                "dockerfiles": self.dockerfiles
                and {names.get(name, name): weight for name, weight in self.dockerfiles.items()},
            }
        )

    @property
    def made_from(self) -> str:
        """What it is made from, for a sentence that it begins."""
        if self.generate:
            return f"a Dockerfile of {self.generate.stages} stages"
        if self.dockerfile_inline is not None:
            return "the Dockerfile in the scenario"
        if self.dockerfiles:
            return f"one of {', '.join(Path(name).name for name in self.dockerfiles)}"
        return Path(str(self.dockerfile)).name

    def chosen(self, iteration: int, seed: int) -> int:
        """Return which of its Dockerfiles an iteration builds, every time the same."""
        bounds = [*accumulate(weight for _, weight in self.sources)]
        drawn = Dice(seed, f"{self.name}/dockerfiles").throw(iteration).random() * bounds[-1]
        return next((index for index, bound in enumerate(bounds) if drawn < bound), len(bounds) - 1)

    def context_of(self, folder: Path, index: int) -> Path:
        """Return where the context of one of its Dockerfiles lies, below what `prepare` got."""
        return folder / (f"{self.name}.{index}" if index else self.name)

    def offered(self, folder: Path) -> Mapping[str, Path]:
        """Return the files with its secrets, by their ids, below what `prepare` got."""
        return {name: folder / f"{self.name}.secrets" / name for name in self.secrets}

    def named_contexts(self, folder: Path) -> Mapping[str, str]:
        """Return where its named contexts are: a folder, or a reference."""
        return {
            name: str(folder / f"{self.name}.contexts" / name) if _size_of(written) else written
            for name, written in self.contexts.items()
        }

    async def prepare(self, folder: Path) -> None:
        """Lay out the contexts, and what is offered beside them."""
        for index, (source, _) in enumerate(self.sources):
            context = self.context_of(folder, index)
            source.write(context)
            for name, size in self.files.items():
                fill(context / name, size)
            if "base" not in self.contexts:
                needs_busybox = self.base == OFFLINE and uses_base((context / "Dockerfile").read_text())
                lay_base(context, self.base, await static_busybox() if needs_busybox else None)
            if self.context == "git":
                await _commit(context)
        for name, written in self.contexts.items():
            if size := _size_of(written):
                place = folder / f"{self.name}.contexts" / name
                place.mkdir(parents=True)
                fill(place / "data", size)
        for name, file in self.offered(folder).items():
            file.parent.mkdir(exist_ok=True)
            file.write_text(self.secrets[name])
        if self.ssh:
            words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "repro", "-f", str(self.ssh_key(folder)))
            await run(words, deadline=_KEYGEN_SECONDS)

    def ssh_key(self, folder: Path) -> Path:
        """Return the file of the key that its agent has, below what `prepare` got."""
        return folder / f"{self.name}.ssh"


def _is_remote(written: str) -> bool:
    return written.startswith(REMOTE)


def _size_of(written: str) -> int:
    """Return the bytes of a named context that is a size; 0 of one that is none."""
    try:
        return parse_size(written)
    except ValueError:
        return 0


def _looked_in(name: str, setting: Setting) -> str:
    return ", ".join(str(folder / name) for folder in dict.fromkeys(setting.folders))


def _placed(written: str, setting: Setting) -> str:
    if _size_of(written) or _is_remote(written):
        return written
    found = find_folder(written, setting.folders)
    return str(found.resolve()) if found else written


async def _commit(context: Path) -> None:
    """Make a repository of a context, with all of it in one commit."""
    author = ("-c", "user.name=repro", "-c", "user.email=repro@localhost", "-c", "commit.gpgsign=false")
    for words in (("init", "-q", "-b", "main"), ("add", "-A", "-f"), ("commit", "-q", "-m", "context")):
        await run(("git", *author, *words), deadline=_GIT_SECONDS, cwd=context, env={"GIT_CONFIG_GLOBAL": "/dev/null"})
