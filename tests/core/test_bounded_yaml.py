"""YAML that is refused at a stated size."""

import pytest
import yaml

from harness.core.bounded_yaml import MOST_CHARACTERS, MOST_VALUES, parse_yaml


def bomb(levels: int) -> str:
    """Return a document in which each level stands ten times in the next."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels))]
    return "\n".join(lines)


def test_plain_data() -> None:
    """A document comes as plain data; a few aliases are nothing."""
    assert parse_yaml("a: &x [1, b]\nc: *x\n") == {"a": [1, "b"], "c": [1, "b"]}
    assert parse_yaml("") is None
    assert len(parse_yaml(bomb(4))) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (bomb(9), f"more than {MOST_VALUES:,} values"),
        ("a: &x\n  b: *x\n", f"more than {MOST_VALUES:,} values"),
        ("&x [*x]", f"more than {MOST_VALUES:,} values"),
        ("x" * (MOST_CHARACTERS + 1), "characters"),
        ("[" * 20_000, "nest"),
        ("a: !!int ''", "not of its tag"),
        ("a: !!int " + "9" * 5000, "not of its tag"),
        ("a: !!float x", "not of its tag"),
        ("a: !!timestamp x", "not of its tag"),
        ("a: 2026-99-99", "not of its tag"),
        ("a: !!python/object:x {}", "could not determine a constructor"),
        ("a: [", "did not find|expected"),
        ("a\0b: 1", "not allowed|unacceptable|control"),
    ],
    ids=lambda value: value[:12],
)
def test_refusals(text: str, why: str) -> None:
    """What is too large, or of another type than its tag says, is one kind of error."""
    with pytest.raises(yaml.YAMLError, match=why):
        parse_yaml(text)
