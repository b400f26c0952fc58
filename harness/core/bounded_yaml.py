"""YAML that is refused at a stated size, and read in a time that grows with its size alone."""

from typing import Any, Final

import yaml

MOST_CHARACTERS: Final = 2**18
"""Of one document: a long scenario has some thousand, and PyYAML reads 100,000 a second."""
MOST_VALUES: Final = 50_000
"""In one document, what an alias stands for counted wherever it stands: seven lines of aliases can mean a million."""
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class TooLarge(yaml.YAMLError):
    """A document that would take too long, or too much memory."""


def require_short(text: str) -> None:
    """Check a document's length.

    Raises:
        TooLarge: it is longer than any scenario.
    """
    if len(text) > MOST_CHARACTERS:
        raise TooLarge(f"has {len(text):,} characters, and {MOST_CHARACTERS:,} are taken")


def require_few(node: yaml.Node | None) -> None:
    """Check how many values a document comes to.

    Raises:
        TooLarge: there are too many, or an alias contains itself.
    """
    if node is not None and _count(node, {}) > MOST_VALUES:
        raise TooLarge(f"comes to more than {MOST_VALUES:,} values, with what its aliases stand for")


def parse_yaml(text: str) -> Any:
    """Return the plain data of one document.

    Raises:
        yaml.YAMLError: it is none, or is refused.
    """
    require_short(text)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            require_few(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError as error:
        raise TooLarge("is nested too deeply") from error
    except (
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
    ) as error:  # of a tag that does not fit, such as `!!int ''`
        raise yaml.YAMLError(f"holds a value that is not of its tag: {error}") from error


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node comes to; each is gone into once."""
    found = known.get(id(node))
    if found is None:
        known[id(node)] = MOST_VALUES + 1  # met again below itself, it has no end
        found = 1
        for child in _children(node):
            found += _count(child, known)
        known[id(node)] = found
    return found


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []
