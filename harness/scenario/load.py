"""YAML file → `Scenario`, or one error that lists every problem with file, line and key path."""

import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.core.errors import Problem, ScenarioError, UnknownKind, nearest
from harness.scenario.model import ActorSpec, Limits, Scenario, Setting, Stop, Vocabulary
from harness.scenario.places import Document, KeyPath, option_of, override, parse
from harness.scenario.vary import Mix, Varied, settle, varied

M = TypeVar("M", bound=BaseModel)

PROJECT: Final = (Path(str(files("harness"))) / "data" / "scenarios").resolve().parent
"""Where the shipped `scenarios/` and `dockerfiles/` are: the top of a checkout, or the installed package's data."""


def find_scenario(named: Path) -> Path:
    """Return the file that a command line names: a path as it stands, else a shipped scenario by its name.

    `prune-race` and `prune-race.yaml` both name the shipped scenario, unless that very path is a file. A path that is
    neither is returned as it stands, so that `load` says what is wrong with it.
    """
    if named.is_file() or named.name != str(named):
        return named
    shipped = PROJECT / "scenarios" / f"{named.name.removesuffix('.yaml')}.yaml"
    return shipped if shipped.is_file() else named


def shipped_scenarios() -> list[Path]:
    """Return the files of the shipped scenarios, by name."""
    return sorted((PROJECT / "scenarios").glob("*.yaml"))


def load(file: Path, vocabulary: Vocabulary, settings: Sequence[str] = (), mix: Mix | None = None) -> Scenario:
    """Read and check a scenario. The host is not asked for anything but the files that the scenario names.

    Args:
        file: the YAML file.
        vocabulary: the kinds of actors and daemons that there are.
        settings: overrides, ``KEY.PATH=VALUE``.
        mix: what is chosen of what the scenario leaves open; without it, it leaves nothing open.

    Raises:
        ScenarioError: all problems at once.
    """
    document, said = _set(file, settings)
    left_open = varied(document)
    if mix is None and left_open:
        problems = [Problem(document.line(each.path), each.name, _open(each)) for each in left_open]
        raise ScenarioError(file, problems)
    settle(document, mix or {})
    reading = _Reading(file, document, vocabulary)
    scenario = reading.scenario()
    if scenario is None:
        raise ScenarioError(file, [*_blamed(reading, said)])
    return scenario


def left_open_in(file: Path, settings: Sequence[str] = ()) -> list[Varied]:
    """Return what a scenario leaves open: each ``{vary: [...]}`` in it.

    Raises:
        ScenarioError: it is no YAML, or something in it cannot be varied.
    """
    document, _ = _set(file, settings)
    found = varied(document)
    wrong = [Problem(document.line(each.path), each.name, f"`vary` {each.wrong}") for each in found if each.wrong]
    if wrong:
        raise ScenarioError(file, wrong)
    return found


def _open(each: Varied) -> str:
    return (
        f"is left open ({each.in_words}), and a run takes one value: `repro explore` searches for it, or say "
        f"--set {each.name}={each.values[0] if each.values else 'VALUE'}"
    )


def _set(file: Path, settings: Sequence[str]) -> tuple[Document, dict[KeyPath, str]]:
    """Return a document with the command line's settings, and which option said what of it."""
    document = _parsed(file)
    said: dict[KeyPath, str] = {}
    wrong = []
    for setting in settings:
        try:
            said[override(document, setting)] = option_of(setting)
        except ValueError as error:
            wrong.append(Problem(1, "", str(error), option_of(setting)))
    if wrong:
        raise ScenarioError(file, wrong)
    return document, said


def _parsed(file: Path) -> Document:
    try:
        document = parse(file.read_text())
    except FileNotFoundError as error:
        raise ScenarioError(file, [Problem(0, "", f"no such scenario or file{instead_of(file)}")]) from error
    except OSError as error:
        raise ScenarioError(file, [Problem(0, "", f"{error.strerror}{instead_of(file)}")]) from error
    except UnicodeDecodeError as error:
        raise ScenarioError(file, [Problem(0, "", "is no text in UTF-8")]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(file, [Problem(line, "yaml", str(error.problem))]) from error
    except yaml.YAMLError as error:
        raise ScenarioError(file, [Problem(1, "yaml", str(error).replace("\n", " "))]) from error
    if not isinstance(document.data, dict):
        raise ScenarioError(file, [Problem(1, "scenario", "is no mapping with the keys name, actors and stop")])
    return document


def _blamed(reading: "_Reading", said: Mapping[KeyPath, str]) -> Iterator[Problem]:
    """Yield the problems with what brought them: what the file has without the command line's settings is its own.

    Of the rest, those settings did that are at the place of the problem, above or below it; else all of them.
    """
    alone = _Reading(reading.file, _parsed(reading.file) if said else reading.document, reading.vocabulary)
    alone.scenario()
    for path, message in reading.problems:
        options = []
        if (path, message) not in alone.problems:
            near = [option for key, option in said.items() if key[: len(path)] == path or path[: len(key)] == key]
            options = near or [*said.values()]
        yield Problem(reading.document.line(path), reading.shown(path), message, " ".join(options))


def instead_of(file: Path) -> str:
    """Return what was meant instead of a file that cannot be read, as it can be typed; as the end of a sentence."""
    shipped = [path.stem for path in shipped_scenarios()]
    beside = {path.name: str(path) for path in file.parent.glob("*.yaml") if path.is_file()}
    if close := get_close_matches(file.name, beside, n=1):
        return f"; did you mean {beside[close[0]]!r}?"
    return nearest(file.stem, shipped) or "; `repro list` has the shipped scenarios"


class _Reading:
    """One document on its way to a scenario; problems gather until the end."""

    def __init__(self, file: Path, document: Document, vocabulary: Vocabulary) -> None:
        self.file, self.document, self.vocabulary = file, document, vocabulary
        self.problems: list[tuple[KeyPath, str]] = []

    def scenario(self) -> Scenario | None:
        """Return it; None where there are problems."""
        for path in self.document.repeated:
            self.say(path, "stands twice")
        data: dict[str, Any] = dict(self.document.data)
        actors = self.actors(data.get("actors"))
        # The actors' place is held by bare ones, so that the rest is checked whether or not they are well-formed.
        outline = data | {"actors": [ActorSpec(name="any")]}
        rest: Scenario | None = None
        try:
            rest = Scenario.model_validate(outline)
        except ValidationError as error:
            self.explain(error, (), Scenario)
        self.kind(("daemon",), data.get("daemon"))
        several = data.get("daemons")
        for name, daemon in several.items() if isinstance(several, dict) else ():
            self.kind(("daemons", name), daemon)
        setting = Setting(
            self.stop(data.get("stop")),
            frozenset(self.builds()),
            self.folders(),
            tuple(self.limits()),
            {each.name: (each.when.listens_to or each.when.follows_act) if each.when else None for _, each in actors},
            frozenset[str]().union(*(actor.needs_hosts for _, actor in actors)),
        )
        self.repeated_names(actors)
        if not isinstance(data.get("actors"), list):
            self.say(("actors",), "should be a list, each item of which begins with a kind and a name: `- build: ci`")
        elif not self.builds():
            self.say(("actors",), "nothing is built: a scenario needs at least one `- build: NAME`")
        for index, actor in actors:
            for fault in actor.faults(setting):
                self.say(("actors", index, *fault.path), fault.message)
        if self.problems or rest is None:
            return None
        return rest.model_copy(update={"actors": tuple(actor.placed(setting) for _, actor in actors)})

    def builds(self) -> list[str]:
        """Return the names of all build actors, also of those that are not well-formed."""
        kinds = [kind for kind, spec in self.vocabulary.actors.items() if spec.builds]
        written = self.document.data.get("actors")
        items = [item for item in (written if isinstance(written, list) else ()) if isinstance(item, dict)]
        return [str(item[kind]) for item in items for kind in kinds if kind in item]

    def folders(self) -> tuple[Path, ...]:
        here = self.file.resolve().parent
        return (here, here / "dockerfiles", here.parent / "dockerfiles", PROJECT / "dockerfiles")

    def actors(self, written: object) -> list[tuple[int, ActorSpec]]:
        """Return the actors with their index; of those that are not well-formed, what can be checked all the same."""
        known, result = self.vocabulary.actors, []
        for index, item in enumerate(written if isinstance(written, list) else ()):
            path: KeyPath = ("actors", index)
            kinds = _kinds(item, known) if isinstance(item, dict) else []
            if not isinstance(item, dict) or not item:
                self.say(
                    path, f"an actor is a mapping that begins with its kind and name, like `- build: ci`; {item!r}"
                )
            elif not kinds:
                self.say(path, str(UnknownKind("actor", next(iter(item)), known)))
            elif len(kinds) > 1:
                self.say(path, f"is two actors in one: {' and '.join(kinds)}; begin each with a dash of its own")
            else:
                kind = kinds[0]
                if "name" in item:
                    self.say((*path, "name"), f"unknown key; the name stands behind the kind: `- {kind}: NAME`")
                options = {"name" if key == kind else key: value for key, value in item.items()}
                try:
                    result.append((index, known[kind].model_validate(options)))
                except ValidationError as error:
                    self.explain(error, path, known[kind], renamed={"name": kind})
                    result += [(index, actor) for actor in _salvaged(known[kind], options, error)]
        return result

    def stop(self, written: object) -> Stop | None:
        """Return when the run ends; what is wrong with it has been told with the rest."""
        try:
            return Stop.model_validate(written)
        except ValidationError as error:
            return next(iter(_salvaged(Stop, written, error)), None)

    def limits(self) -> Iterator[Limits]:
        """Yield each daemon's limits; what is wrong with those left out has been told with the rest."""
        single, several = (self.document.data.get(key) for key in ("daemon", "daemons"))
        for daemon in several.values() if isinstance(several, dict) and several else (single,):
            with suppress(ValidationError):
                yield Limits.model_validate(daemon.get("limits", {}) if isinstance(daemon, dict) else {})

    def kind(self, path: KeyPath, written: object) -> None:
        kind = written.get("kind") if isinstance(written, dict) else None
        if isinstance(kind, str) and kind not in self.vocabulary.daemons:
            self.say((*path, "kind"), str(UnknownKind("daemon", kind, self.vocabulary.daemons)))

    def repeated_names(self, actors: list[tuple[int, ActorSpec]]) -> None:
        first: dict[str, int] = {}
        for index, actor in actors:
            if actor.name in first:
                line = self.document.line(("actors", first[actor.name]))
                self.say(("actors", index), f"the name {actor.name!r} is taken by the actor in line {line}")
            first.setdefault(actor.name, index)

    def explain(
        self, error: ValidationError, base: KeyPath, model: type[BaseModel], renamed: dict[str, str] | None = None
    ) -> None:
        """Turn pydantic's errors into problems with places."""
        for detail in error.errors():
            loc = tuple((renamed or {}).get(str(part), part) for part in detail["loc"])
            path = tuple(self.known_parts((*base, *loc)))
            self.say(path, _message(detail, model, renamed or {}))

    def known_parts(self, path: KeyPath) -> Iterator[str | int]:
        """Leave out what pydantic adds to a path: the tags of unions, which are names of classes and so begin with a
        capital, as no key of ours does. The last part may be a missing key.
        """
        here: Any = self.document.data
        for position, part in enumerate(path):
            in_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
            if in_list or (isinstance(here, dict) and part in here):
                here = here[part]
            elif position + 1 < len(path) or not isinstance(here, dict) or str(part)[:1].isupper():
                continue
            yield part

    def say(self, path: KeyPath, message: str) -> None:
        self.problems.append((path, message))

    def shown(self, path: KeyPath) -> str:
        """Return the path as ``--set`` takes it: actors by name where they have one."""
        parts = [str(part) for part in path]
        if len(path) > 1 and path[0] == "actors" and isinstance(path[1], int):
            item = self.document.data["actors"][path[1]]
            name = next(iter(item.values()), None) if isinstance(item, dict) else None
            parts[1] = name if isinstance(name, str) else parts[1]
        return ".".join(parts) or "scenario"


def _kinds(item: Mapping[str, object], known: Mapping[str, type[ActorSpec]]) -> list[str]:
    """Return the keys of an actor that say its kind: those with a name behind them that are no options of another kind.

    `kill` and `network` are both kinds and options of a build.
    """
    keys = [key for key in item if key in known]
    named = [key for key in keys if isinstance(item[key], str)] or keys
    own = [key for key in named if not any(key in known[other].model_fields for other in named if other != key)]
    return own or named


def _salvaged(model: type[M], written: object, error: ValidationError) -> Iterator[M]:
    """Yield the model without the keys that are wrong, where that can be: so that the rest of it is checked too."""
    wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
    if isinstance(written, dict):
        with suppress(ValidationError):
            yield model.model_validate({key: value for key, value in written.items() if key not in wrong})


def _message(detail: ErrorDetails, model: type[BaseModel], renamed: dict[str, str]) -> str:
    """Say what is allowed; pydantic's own words where they already do."""
    kind, key = detail["type"], str(detail["loc"][-1]) if detail["loc"] else ""
    if kind == "extra_forbidden":
        allowed = sorted(renamed.get(name, name) for name in _allowed(model, detail["loc"][:-1]))
        return f"unknown key{nearest(key, allowed)}; allowed: {', '.join(allowed)}"
    if kind == "missing":
        return "is missing"
    given = detail.get("input")
    if kind == "union_tag_invalid":
        return f"should be a mapping, not {given!r}; allowed: {', '.join(sorted(_allowed(model, detail['loc'])))}"
    problem_text = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return problem_text if kind == "value_error" or isinstance(given, dict | list) else f"{problem_text}, not {given!r}"


def _allowed(model: type[BaseModel], loc: tuple[str | int, ...]) -> set[str]:
    """Return the keys of the models that stand at `loc` below `model`."""
    models = {model}
    for part in loc:
        fields = [found.model_fields[part] for found in models if isinstance(part, str) and part in found.model_fields]
        if fields:
            models = {found for field in fields for found in _models(field.annotation)}
        elif isinstance(part, str):
            models = {found for found in models if part in found.model_fields or part == found.__name__} or models
    return {key for found in models for key in found.model_fields}


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
