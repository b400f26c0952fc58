"""Thresholds of the user's own on what a run came to: `--fail-if 'rate.high95 > 0.01'`.

An expression is read as Python reads it, and nothing of it is run: numbers, quoted words, the names below, ``+ - * /``,
comparisons, ``and``, ``or``, ``not`` and brackets are all there is. What a run cannot tell, such as the tail of builds
where none returned, makes what rests on it unknown, and unknown is no answer (as in SQL).
"""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.core.errors import nearest
from harness.core.outcome import Outcome
from harness.core.records import Summary

NAMES: Final[Mapping[str, str]] = {
    "verdict": "hang, clean or inconclusive",
    "ending": "why the run ended: iterations, time, findings …",
    "iterations": "build attempts",
    **{f"outcomes.{each}": f"iterations that came to {each}" for each in Outcome},
    "rate.hangs": "builds that hung",
    "rate.trials": "builds that could have hung",
    "rate.low95": "the hang rate is no lower, at 95 %",
    "rate.high95": "the hang rate is no higher, at 95 %",
    "rate.unsettled": "builds that were ended while they waited after their export",
    "first_hang.iteration": "the iteration that hung first",
    "first_hang.seconds": "when that was seen, in seconds into the run",
    "tail_seconds.p50": "from a build's export to its client's return: the median",
    "tail_seconds.p99": "the 99th percentile of that",
    "tail_seconds.max": "the longest of that",
    "leak.per_iteration": "goroutines that each iteration leaves",
    "leak.low95": "no fewer than this, at 95 %",
    "leak.high95": "no more than this, at 95 %",
    "seconds": "the run took so long",
    "iterations_per_minute": "its pace",
    "unattended_seconds": "time that did not count, as the host was held up",
}
"""What an expression may name, as in `summary.json`, and what it means."""

_WORDS: Final = frozenset({"verdict", "ending"})
_MOST_CHARACTERS: Final = 500
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Threshold:
    """One condition on a summary."""

    text: str
    tree: ast.expr

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """Return the condition that a text is.

        Raises:
            ValueError: it is none; the message says what may stand there.
        """
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(f"has {len(text)} characters; at most {_MOST_CHARACTERS} are read")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            why = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ValueError(f"{text!r} is no condition like 'rate.high95 > 0.01': {why}") from error
        if (kind := _kind(tree)) != "condition":
            raise ValueError(f"{text!r} is a {kind} and no condition; compare it, as in 'rate.high95 > 0.01'")
        return cls(text.strip(), tree)

    def holds(self, summary: Summary) -> bool | None:
        """Return whether it is met; None where the run does not tell."""
        held: bool | None = _value(self.tree, summary)
        return held

    def format(self, summary: Summary) -> str:
        """Return it with what its names came to: ``rate.high95 > 0.01 (rate.high95 is 0.026)``."""
        names = dict.fromkeys(_names(self.tree))
        return f"{self.text} ({', '.join(f'{name} is {_shown(value_of(name, summary))}' for name in names)})"


def value_of(name: str, summary: Summary) -> float | str | None:
    """Return what one of `NAMES` is in a summary; None where the run does not tell."""
    top, _, below = name.partition(".")
    found = getattr(summary, top)
    if not below:
        return str(found) if name in _WORDS else found
    if top == "outcomes":
        return summary.outcomes.get(below, 0)
    return found.get(below) if isinstance(found, Mapping) else getattr(found, below, None)


def _kind(node: ast.expr) -> str:
    """Return what an expression is: a condition, a number or a word.

    Raises:
        ValueError: none of these.
    """
    kind = ""
    match node:
        case ast.Constant(value=bool()):
            pass  # Python takes it for a number
        case ast.Constant(value=int() | float()):
            kind = "number"
        case ast.Constant(value=str()):
            kind = "word"
        case ast.Name() | ast.Attribute():
            kind = "word" if _name(node) in _WORDS else "number"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            kind = _all("condition", [operand])
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            kind = _all("number", [operand])
        case ast.BoolOp(values=values):
            kind = _all("condition", values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            kind = _all("number", [left, right])
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARISONS for op in ops):
            is_equality = all(isinstance(op, ast.Eq | ast.NotEq) for op in ops)
            _all("word" if is_equality and _kind(left) == "word" else "number", [left, *others])
            kind = "condition"
    if not kind:
        raise ValueError(
            f"{ast.unparse(node)!r} cannot be used here; numbers, words in quotes, + - * /, comparisons, and, or, not, "
            f"brackets and these names can: {', '.join(NAMES)}"
        )
    return kind


def _all(kind: str, nodes: list[ast.expr]) -> str:
    for node in nodes:
        if (found := _kind(node)) != kind:
            raise ValueError(f"{ast.unparse(node)!r} is a {found}, where a {kind} has to stand")
    return kind


def _name(node: ast.expr) -> str:
    """Return a name with its dots.

    Raises:
        ValueError: it is none that there is.
    """
    name = ast.unparse(node)
    if name not in NAMES:
        raise ValueError(f"there is no {name!r}{nearest(name, NAMES)}; there are: {', '.join(NAMES)}")
    return name


def _names(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Name | ast.Attribute):
        yield _name(node)
        return
    for below in ast.iter_child_nodes(node):
        if isinstance(below, ast.expr):
            yield from _names(below)


def _value(node: ast.expr, summary: Summary) -> Any:
    """Return what an expression comes to; None where the run does not tell."""
    found: Any = None
    match node:
        case ast.Constant(value=value):
            found = value
        case ast.Name() | ast.Attribute():
            found = value_of(_name(node), summary)
        case ast.UnaryOp(op=op, operand=operand):
            value = _value(operand, summary)
            found = None if value is None else _UNARY[type(op)](value)
        case ast.BoolOp(op=op, values=values):
            settles = isinstance(op, ast.Or)
            sides = [_value(each, summary) for each in values]
            found = settles if settles in sides else None if None in sides else not settles
        case ast.BinOp(left=left, op=op, right=right):
            found = _computed(op, _value(left, summary), _value(right, summary))
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_value(each, summary) for each in (left, *others)]
            pairs = zip(ops, sides, sides[1:], strict=False)
            held = [None if None in {a, b} else _COMPARISONS[type(op)](a, b) for op, a, b in pairs]
            found = False if False in held else None if None in held else True
    return found


def _computed(op: ast.operator, a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    try:
        return _ARITHMETIC[type(op)](a, b)
    except (ZeroDivisionError, OverflowError):
        return None


def _shown(value: float | str | None) -> str:
    if value is None:
        return "not known"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
