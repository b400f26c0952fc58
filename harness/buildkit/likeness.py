"""How alike two hangs are, by the functions of their goroutines: one signature may be another under a new name.

A function that was renamed, moved to another package, or put into a closure, stands among callers that were not. So two
stacks are laid side by side in their order, as are two versions of a text, and what fits is counted.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

LIKELY: Final = 0.5
"""As alike as this, two hangs may well be one: half of their functions are the same, or more."""
_SAME_OWNER: Final = 0.5
"""What a function counts that is another one of the same type, or of the same package."""
_MOST: Final = 60
"""Functions of a stack that are looked at, the innermost; those beyond are of the server that called them all."""
_CLOSURE: Final = re.compile(r"(\.func\d+|\.gowrap\d+|-range\d+|-fm|\.\d+)+$")
_GENERIC: Final = re.compile(r"\[[^]]*\]")


@lru_cache(maxsize=256)
def likeness(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Return from 0 (nothing in common) to 1 (the same functions in the same order) how alike two stacks are.

    Args:
        one, other: functions as Go prints them, the innermost first.
    """
    a, b = ([_short(function) for function in stack[:_MOST]] for stack in (one, other))
    if not a or not b:
        return 0.0
    best = [0.0] * (len(b) + 1)
    for mine in a:
        row = [0.0]
        for place, theirs in enumerate(b):
            row.append(max(best[place + 1], row[place], best[place] + _fit(mine, theirs)))
        best = row
    return 2 * best[-1] / (len(a) + len(b))


def most_alike(one: Iterable[Sequence[str]], other: Iterable[Sequence[str]]) -> float | None:
    """Return how alike the two most alike of two groups of stacks are; None where a group has no stack."""
    first, second = ({tuple(stack) for stack in group if stack} for group in (one, other))
    return max((likeness(a, b) for a in first for b in second), default=None)


def format_likeness(value: float | None) -> str:
    """Return it to a person, in brackets after a hang's name; nothing where it is not known."""
    return "" if value is None else f" ({value:.0%} of the functions are the same)"


def _short(function: str) -> str:
    """Return a function without its package's path, type arguments, and closure: ``solver.(*exporter).ExportTo``."""
    return _CLOSURE.sub("", _GENERIC.sub("", function).rpartition("/")[2])


def _fit(one: str, other: str) -> float:
    if one == other:
        return 1.0
    owner = one.rpartition(".")[0]
    return _SAME_OWNER if owner and owner == other.rpartition(".")[0] else 0.0
