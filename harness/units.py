"""Durations and sizes as people write them: ``1.5s``, ``2h30m``, ``512.0 MiB``."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_MICROSECONDS: Final = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1000, "us": 1}
_BYTES: Final = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
_DURATION: Final = re.compile(rf"(?:{_NUMBER}(?:ms|us|[dhms]))+")
_PART: Final = re.compile(rf"({_NUMBER})(ms|us|[dhms])")


def parse_duration(text: object) -> float:
    """Return seconds for ``500ms``, ``1.5s``, ``2h30m``, or a plain ``0``.

    Raises:
        ValueError: anything else; a bare number other than 0 has no unit and is refused.
    """
    written = str(text).strip()
    if written in {"0", "0.0"}:
        return 0.0
    if isinstance(text, bool) or not _DURATION.fullmatch(written):
        raise ValueError(f"{text!r} is no duration; write it like 500ms, 10s, 5m, 2h30m or 1d")
    return round(sum(float(number) * _MICROSECONDS[unit] for number, unit in _PART.findall(written))) / 1_000_000


def format_duration(seconds: float) -> str:
    """Return `seconds` as `parse_duration` reads it back, to the microsecond: ``2h30m``, ``1.5s``, ``5ms``."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    parts, rest = [], round(seconds * 1_000_000)
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _MICROSECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    if rest or not parts:
        unit = "s" if parts or rest >= _MICROSECONDS["s"] or not rest else "ms" if rest >= _MICROSECONDS["ms"] else "us"
        parts.append(f"{rest / _MICROSECONDS[unit]:.6f}".rstrip("0").rstrip(".") + unit)
    return "".join(parts)


def format_size(count: float) -> str:
    """Return `count` bytes to a person: ``1.4 GiB``."""
    for unit, size in _BYTES.items():
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": f"^({_DURATION.pattern}|0)$"}, {"const": 0}],
            "examples": ["500ms", "10s", "2h30m"],
        }
    ),
]
"""Seconds in code, ``2h30m`` in YAML."""
