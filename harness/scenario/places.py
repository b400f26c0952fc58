"""YAML with places: a document as plain data, and the line of every key in it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from harness.core.bounded_yaml import TooLarge, require_few, require_short
from harness.core.errors import nearest

KeyPath = tuple[str | int, ...]

_MOST_DEPTH: Final = 60
"""Levels of a document: a scenario has six, and a daemon's configuration in it some more."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans (`on` is a key of ours, `no` a word like any other), decimal numbers, and no dates.

    YAML 1.1 reads `017` as 15, `1:30` as 90 and `1_000` as 1000; whoever writes a version or a time means the text.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self.own_keys: dict[yaml.MappingNode, list[yaml.Node]] = {}
        """What stands in each mapping itself: an alias comes to a mapping again when others are merged into it."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node, unless it lies deeper than anything in a scenario."""
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise TooLarge(f"is nested too deeply: {_MOST_DEPTH} levels are taken")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge what ``<<`` names into a mapping."""
        self.own_keys.setdefault(node, [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"])
        super().flatten_mapping(node)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag.rpartition(":")[2] not in {"bool", "int", "float", "timestamp"}
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$"),
    list("-+0123456789."),
)


@dataclass
class Document:
    """Plain data with the line, from 1, of every key and item; and the keys that stand twice."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    repeated: list[KeyPath] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """Return the line of `path`, or of the nearest part above it that the file has."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(text: str) -> Document:
    """Read one YAML document.

    Raises:
        yaml.YAMLError: what is not YAML, or is refused for its size; where it has a place, a MarkedYAMLError.
    """
    require_short(text)
    document = Document()
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        require_few(node)
        document.data = None if node is None else _value(loader, node, (), document)
    except RecursionError as error:
        raise yaml.YAMLError("is nested too deeply") from error
    finally:
        loader.dispose()
    return document


def _value(loader: _Loader, node: yaml.Node, path: KeyPath, document: Document) -> Any:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, index), document) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node)
    loader.flatten_mapping(node)
    own = [str(_scalar(loader, key)) for key in loader.own_keys[node]]
    document.repeated += [(*path, key) for key, count in Counter(own).items() if count > 1]
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = str(_scalar(loader, key_node))
        below = (*path, key)
        document.lines[below] = key_node.start_mark.line + 1
        result[key] = _value(loader, value_node, below, document)
    return result


class WrittenInt(int):
    """A whole number, and how it is written."""

    text: str

    @classmethod
    def of(cls, value: int, text: str) -> "WrittenInt":
        """Return `value`, which is written as `text`."""
        written = cls(value)
        written.text = text
        return written


class WrittenFloat(float):
    """A number, and how it is written: `3.10` is a version of Python's where text is wanted."""

    text: str

    @classmethod
    def of(cls, value: float, text: str) -> "WrittenFloat":
        """Return `value`, which is written as `text`."""
        written = cls(value)
        written.text = text
        return written


def _scalar(loader: _Loader, node: yaml.Node) -> Any:
    tag = node.tag.rpartition(":")[2]
    if tag in {"value", "merge"}:  # `=` and `<<`, which are text where nothing is merged
        return _sayable(node.value, node)
    try:
        value = loader.construct_object(node, deep=True)
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # what PyYAML lets through of a wrong tag
        raise yaml.MarkedYAMLError(problem=f"is no {tag}", problem_mark=node.start_mark) from error
    match tag:
        case "int":
            return WrittenInt.of(value, node.value)
        case "float":
            return WrittenFloat.of(value, node.value)
        case "str":
            return _sayable(value, node)
        case "bool" | "null":
            return value
    raise yaml.MarkedYAMLError(
        problem=f"is tagged as {tag}, and a scenario has text, numbers, true, false and null",
        problem_mark=node.start_mark,
    )


def _sayable(text: str, node: yaml.Node) -> str:
    """Return a text that a program can be given: without NUL and halves of characters, which YAML can write."""
    try:
        if "\0" not in text:
            text.encode()
            return text
    except UnicodeEncodeError:
        pass
    raise yaml.MarkedYAMLError(
        problem="holds a character that no program can be given: NUL, or half of one", problem_mark=node.start_mark
    )


class Override(str):
    """A setting, ``KEY.PATH=VALUE``, and the option that says it."""

    option: str

    @classmethod
    def of(cls, setting: str, option: str) -> "Override":
        """Return a setting that another option than ``--set`` says, as it is written: ``--time 8h``."""
        said = cls(setting)
        said.option = option
        return said


def option_of(setting: str) -> str:
    """Return how the command line says a setting."""
    return setting.option if isinstance(setting, Override) else f"--set {setting}"


def override(document: Document, setting: str) -> KeyPath:
    """Apply ``KEY.PATH=VALUE`` to the document, and return the path of the key; actors go by name or by index.

    Raises:
        ValueError: no ``=``, a value that is no YAML, or a path through something that has no keys.
    """
    written, separator, value = setting.partition("=")
    if not separator or not written:
        raise ValueError("is no setting; write it like stop.iterations=50 or actors.ci.parallel=8")
    *parents, last = written.split(".")
    here: Any = document.data
    path: KeyPath = ()
    for part in parents:
        here, path = _step(here, path, part)
    try:
        parsed = parse(value).data
    except yaml.YAMLError as error:
        raise ValueError("the value is no YAML") from error
    if not isinstance(here, dict):
        raise ValueError(_without_keys(path))
    here[last] = parsed
    return (*path, last)


def _step(here: Any, path: KeyPath, part: str) -> tuple[Any, KeyPath]:
    if isinstance(here, Sequence) and not isinstance(here, str):
        names = [_name_of(item) for item in here]
        for index, item in enumerate(here):
            if part in {str(index), names[index]}:
                return item, (*path, index)
        known = [name for name in names if isinstance(name, str)]
        raise ValueError(
            f"{'.'.join(map(str, path))} has no {part!r}{nearest(part, known)}; there are: {', '.join(known)}"
        )
    if not isinstance(here, dict):
        raise ValueError(_without_keys(path))
    return here.setdefault(part, {}), (*path, part)


def _name_of(item: Any) -> str | None:
    """Return the name of an actor: the first text in it, for a program may have sorted its keys (``args, build``)."""
    values = item.values() if isinstance(item, Mapping) else ()
    return next((value for value in values if isinstance(value, str)), None)


def _without_keys(path: KeyPath) -> str:
    return f"{'.'.join(map(str, path)) or 'the scenario'} has no keys"
