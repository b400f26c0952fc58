"""How a case can be made smaller: parts that can be left out, alone or together, and what can be said more simply."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from harness.core.units import format_duration, parse_duration, parse_size
from harness.experiments.minimize.case import Case, Tree, kind_of, name_of

KeyPath = tuple[str | int, ...]

_KEPT: Final = frozenset({"name", "actors", "stop", "detect", "dockerfile", "when", "kind"})
"""Keys that are not left out: without them it is no scenario, or another question."""
_SLEEP: Final = re.compile(r"\bsleep (\d+)\b")
_SMALL_BYTES: Final = 2_000_000
_SLACK_SECONDS: Final = 8
"""No pause is made shorter than this: what hangs on this host only just would not on a slower one."""


@dataclass(frozen=True)
class RemovablePart:
    """Something that a case can be without."""

    what: str
    """As a person says it."""
    key: KeyPath = ()
    """Where it stands in the scenario."""
    context: str = ""
    """Else the context that it stands in."""
    instructions: tuple[int, ...] = ()
    """Their positions in its Dockerfile."""
    file: str = ""
    """Or a file of that context."""


@dataclass(frozen=True)
class Change:
    """A case made out of another one."""

    what: str
    case: Case


def parts(case: Case) -> list[RemovablePart]:
    """Return what can be left out, the largest first: actors, stages, instructions, files, options."""
    actors = [
        RemovablePart(f"{kind_of(actor)} {name_of(actor)}", ("actors", index))
        for index, actor in enumerate(case.actors)
        if kind_of(actor) != "build" or sum(kind_of(other) == "build" for other in case.actors) > 1
    ]
    stages, instructions, files = [], [], []
    for name, context in case.contexts.items():
        dockerfile = context.read
        final = max(dockerfile.stages, default=0)
        for stage in dockerfile.stages:
            if stage != final:
                gone = tuple(dockerfile.of_stage(stage))
                stages.append(RemovablePart(f"stage {dockerfile.instructions[gone[0]].text!r}", (), name, gone))
        for position, each in enumerate(dockerfile.instructions):
            if each.word != "FROM":
                instructions.append(RemovablePart(each.text.splitlines()[0][:60], (), name, (position,)))
        files += [RemovablePart(f"file {file}", (), name, (), file) for file in context.files]
    return [*actors, *stages, *instructions, *_options(case, case.scenario, ()), *files]


def without(case: Case, removed: Sequence[RemovablePart]) -> Case:
    """Return a case without some of its parts."""
    tree = case.tree()
    for part in sorted((part for part in removed if part.key), key=lambda part: _order(part.key), reverse=True):
        _remove(tree, part.key)
    smaller = case
    for name in {part.context for part in removed if part.context}:
        own = [part for part in removed if part.context == name]
        gone = {position for part in own for position in part.instructions}
        smaller = smaller.with_dockerfile(name, smaller.contexts[name].read.without(gone))
        context = smaller.contexts[name]
        left = {file: source for file, source in context.files.items() if file not in {part.file for part in own}}
        smaller = Case(smaller.scenario, {**smaller.contexts, name: replace(context, files=left)})
    return smaller.with_scenario(tree)


def simpler(case: Case) -> Iterator[Change]:
    """Yield the case with one thing in it said more simply: random times fixed, what is many fewer, and so on."""
    yield from _fewer(case)
    yield from _fixed(case)
    for name, context in case.contexts.items():
        for dockerfile in context.read.joined():
            yield Change(f"join two stages of {name}", case.with_dockerfile(name, dockerfile))
        for dockerfile in context.read.shorter_runs():
            yield Change(f"shorten a RUN of {name}", case.with_dockerfile(name, dockerfile))
    yield from _shorter(case)


def _options(case: Case, node: Any, path: KeyPath) -> Iterator[RemovablePart]:
    """Yield every key of the tree that may be missing; what is in it too, after it."""
    if isinstance(node, dict):
        for key, value in node.items():
            first = len(path) == 2 and path[0] == "actors" and key == next(iter(node))
            if key not in _KEPT and not first:
                yield RemovablePart(_option_path(case, (*path, key)), (*path, key))
            if key not in {"detect", "stop"} and not first:
                yield from _options(case, value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            if len(path) > 1:
                yield RemovablePart(_option_path(case, (*path, index)), (*path, index))
            yield from _options(case, value, (*path, index))


def _fewer(case: Case) -> Iterator[Change]:
    """Yield it with fewer lines, and with fewer iterations, down to half."""
    for index, actor in enumerate(case.actors):
        lines = actor.get("parallel", 1)
        for fewer in sorted({2, lines // 2} & set(range(1, lines))):
            tree = case.tree()
            tree["actors"][index]["parallel"] = fewer
            yield Change(f"{name_of(actor)}: {fewer} lines, not {lines}", case.with_scenario(tree))
    iterations = case.scenario["stop"].get("iterations", 0)
    if iterations > 3:
        for fewer in (iterations // 4, iterations // 2):
            tree = case.tree()
            tree["stop"]["iterations"] = max(fewer, 2)
            yield Change(f"{max(fewer, 2)} iterations, not {iterations}", case.with_scenario(tree))


def _fixed(case: Case) -> Iterator[Change]:
    """Yield it with a fixed time in place of a random one, and certain what was by chance."""
    for path, node in _nodes(case.scenario, ()):
        if isinstance(node, dict) and set(node) == {"uniform"}:
            low, high = map(parse_duration, node["uniform"])
            for seconds in ((low + high) / 2, high):
                time = format_duration(seconds)
                yield Change(f"{_option_path(case, path)}: always {time}", case.with_scenario(_set(case, path, time)))
        elif isinstance(node, dict) and set(node) == {"exponential"}:
            yield Change(
                f"{_option_path(case, path)}: always the mean",
                case.with_scenario(_set(case, path, node["exponential"])),
            )
        elif path[-1:] == ("chance",) and len(path) > 1 and path[-2] == "kill":
            tree = case.tree()
            rule = _at(tree, path[:-1])
            del rule["chance"]
            rule["every"] = max(2, round(1 / float(node)))
            yield Change(f"{_option_path(case, path[:-1])}: every {rule['every']}th", case.with_scenario(tree))


def _shorter(case: Case) -> Iterator[Change]:
    """Yield it with smaller files, and shorter pauses in its steps; times between acts stay, for slower hosts."""
    for index, actor in enumerate(case.actors):
        for file, size in actor.get("files", {}).items():
            if (bytes_ := parse_size(str(size))) >= _SMALL_BYTES:
                tree = case.tree()
                tree["actors"][index]["files"][file] = f"{bytes_ // 5}B"
                yield Change(f"{file}: a fifth of its size", case.with_scenario(tree))
    for name, context in case.contexts.items():
        for match in _SLEEP.finditer(context.dockerfile):
            seconds = int(match[1])
            if seconds > _SLACK_SECONDS:
                less = max(seconds // 2, _SLACK_SECONDS)
                text = context.dockerfile[: match.start(1)] + str(less) + context.dockerfile[match.end(1) :]
                tree = _with_text(case.tree(), match[0], f"sleep {less}")
                changed = Case(tree, {**case.contexts, name: replace(context, dockerfile=text)})
                yield Change(f"sleep {less}, not {seconds}", changed)


def _with_text(tree: Tree, old: str, new: str) -> Tree:
    """Return a tree with the triggers that name a step by its text naming it by its new one."""
    for actor in tree["actors"]:
        when = actor.get("when")
        if isinstance(when, dict) and "step" in when:
            when["step"] = when["step"].replace(old, new)
    return tree


def _nodes(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from _nodes(value, (*path, key))


def _at(tree: Any, path: KeyPath) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _set(case: Case, path: KeyPath, value: Any) -> Tree:
    tree = case.tree()
    _at(tree, path[:-1])[path[-1]] = value
    return tree


def _remove(tree: Tree, path: KeyPath) -> None:
    try:
        del _at(tree, path[:-1])[path[-1]]
    except (KeyError, IndexError):
        return  # it went with what it was in


def _order(path: KeyPath) -> tuple[tuple[int, str], ...]:
    """Return what sorts later items of a list, and what is deeper, after the rest."""
    return tuple((key, "") if isinstance(key, int) else (-1, key) for key in path)


def _option_path(case: Case, path: KeyPath) -> str:
    """Return a path as ``--set`` takes it: actors by name."""
    if len(path) > 1 and isinstance(path[1], int):
        path = (path[0], name_of(case.actors[path[1]]), *path[2:])
    return ".".join(map(str, path))
