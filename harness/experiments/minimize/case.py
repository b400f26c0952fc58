"""What is made smaller: a scenario as the tree that its YAML is, and the contexts of its builds."""

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from harness.actors.build import Build
from harness.core.errors import UsageError
from harness.experiments.minimize.dockerfile import Dockerfile
from harness.scenario import Scenario

Tree = dict[str, Any]

CONTEXTS: Final = "dockerfiles"
_WRITTEN_OUT: Final = frozenset({"generate", "base", "dockerfile_inline"})
"""What a build's context has, once it is laid out."""
_REPOSITORY: Final = ".git"


class NotOneDaemon(UsageError):
    """A scenario with several daemons."""

    def __init__(self) -> None:
        super().__init__("minimize looks at one daemon: write `daemon` instead of `daemons`")


class SeveralDockerfiles(UsageError):
    """A build that has several Dockerfiles."""

    def __init__(self, actor: str) -> None:
        super().__init__(f"minimize shrinks one Dockerfile of {actor}: name the one that hangs in `dockerfile`")


@dataclass(frozen=True)
class Context:
    """A build's context: the whole Dockerfile, and where its other files are."""

    dockerfile: str
    files: Mapping[str, str] = field(default_factory=dict)
    """By the name in the context, the file on this host."""

    @property
    def read(self) -> Dockerfile:
        """The Dockerfile's instructions."""
        return Dockerfile.parse(self.dockerfile)


@dataclass(frozen=True)
class Case:
    """A scenario that stands by itself."""

    scenario: Tree
    """As in its YAML file; nothing in it is ever changed in place."""
    contexts: Mapping[str, Context]
    """By the name of the folder."""

    @cached_property
    def key(self) -> str:
        """The same for the same case, and for no other."""
        content = [self.scenario, {name: [each.dockerfile, sorted(each.files)] for name, each in self.contexts.items()}]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def actors(self) -> list[Tree]:
        """The scenario's actors."""
        actors: list[Tree] = self.scenario["actors"]
        return actors

    def tree(self) -> Tree:
        """Return a copy of the scenario to change."""
        return copy.deepcopy(self.scenario)

    def with_scenario(self, scenario: Tree) -> "Case":
        """Return it with another scenario, and only the contexts that it still names."""
        named = {actor.get("dockerfile") for actor in scenario["actors"]}
        return Case(scenario, {name: each for name, each in self.contexts.items() if name in named})

    def with_dockerfile(self, name: str, dockerfile: Dockerfile) -> "Case":
        """Return it with another Dockerfile in one of its contexts."""
        return Case(self.scenario, {**self.contexts, name: replace(self.contexts[name], dockerfile=str(dockerfile))})

    def write(self, folder: Path, *, linked: bool = False) -> Path:
        """Write the scenario and its contexts into a folder; return the scenario's file.

        Args:
            folder: made where it is not there.
            linked: files of contexts are links to where they are; else copies, which can be sent.
        """
        for name, context in self.contexts.items():
            place = folder / CONTEXTS / name
            for inside, source in context.files.items():
                (place / inside).parent.mkdir(parents=True, exist_ok=True)
                if linked:
                    (place / inside).unlink(missing_ok=True)
                    (place / inside).symlink_to(Path(source).resolve())
                else:
                    shutil.copy2(source, place / inside)
            place.mkdir(parents=True, exist_ok=True)
            (place / "Dockerfile").write_text(context.dockerfile)
        file = folder / "scenario.yaml"
        file.write_text(yaml.safe_dump(self.scenario, sort_keys=False, allow_unicode=True, width=110))
        return file


def kind_of(actor: Tree) -> str:
    """Return an actor's kind: the key that it begins with."""
    return next(iter(actor))


def name_of(actor: Tree) -> str:
    """Return an actor's name."""
    return str(actor[kind_of(actor)])


async def case_of(scenario: Scenario, folder: Path) -> Case:
    """Return a scenario as a case, with what the harness adds to contexts written out into them.

    Args:
        scenario: with one daemon.
        folder: where the contexts are laid.

    Raises:
        NotOneDaemon: it has several.
        SeveralDockerfiles: a build has several.
        InfraError: a context cannot be made.
    """
    if scenario.daemons:
        raise NotOneDaemon
    tree = scenario.model_dump(mode="json", exclude_defaults=True)
    actors, contexts = [], {}
    for actor, fields in zip(scenario.actors, tree["actors"], strict=True):
        if isinstance(actor, Build):
            if actor.dockerfiles:
                raise SeveralDockerfiles(actor.name)
            if not (folder / actor.name).exists():
                await actor.model_copy(update={"files": {}}).prepare(folder)
            place = folder / actor.name
            made = [file for file in sorted(place.rglob("*")) if file.is_file() and file != place / "Dockerfile"]
            names = {file: file.relative_to(place) for file in made}
            files = {str(name): str(file) for file, name in names.items() if name.parts[0] != _REPOSITORY}
            contexts[actor.name] = Context((place / "Dockerfile").read_text(), files)
            fields = {key: value for key, value in fields.items() if key not in _WRITTEN_OUT}  # noqa: PLW2901
            fields["dockerfile"] = actor.name
        actors.append({actor.key(): fields.pop("name")} | fields)
    tree["actors"] = actors
    tree.get("daemon", {}).pop("toolchain", None)
    for key in ("about", "seed", "on_finding", "webhook", "on_hang", "audit"):
        tree.pop(key, None)
    if not tree.get("daemon", True):
        del tree["daemon"]
    return Case(tree, contexts)
