"""Durations, sizes, shares and rates as people write them: ``1.5s``, ``2h30m``, ``512MiB``, ``80%``, ``1/16141``."""

import math
import re
from typing import Final

_MICROSECONDS: Final = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1000, "us": 1}
_BYTES: Final = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
_DECIMAL_BYTES: Final = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1}
_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
DURATION: Final = re.compile(rf"(?:{_NUMBER}(?:ms|us|[dhms]))+")
"""How a duration is written, but for a plain 0; so are sizes and shares below."""
SIZE: Final = re.compile(rf"({_NUMBER})\s?({'|'.join((*_BYTES, *_DECIMAL_BYTES))})")
SHARE: Final = re.compile(rf"({_NUMBER})\s?%")
_PART: Final = re.compile(rf"({_NUMBER})(ms|us|[dhms])")


def parse_duration(text: object) -> float:
    """Return seconds for ``500ms``, ``1.5s``, ``2h30m``, or a plain ``0``.

    Raises:
        ValueError: anything else; a bare number other than 0 has no unit and is refused.
    """
    written = str(text).strip()
    if written in {"0", "0.0"}:
        return 0.0
    if isinstance(text, bool) or not DURATION.fullmatch(written):
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


def ordinal(number: int) -> str:
    """Return a number as the one that is counted, with a space behind; nothing for 1: ``every 3rd build``."""
    ends = {1: "st", 2: "nd", 3: "rd"}
    end = "th" if 10 <= number % 100 <= 20 else ends.get(number % 10, "th")
    return f"{number:,}{end} " if number > 1 else ""


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless there is one: "1,200 builds"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def parse_rate(text: str) -> float:
    """Return a rate per trial for ``1/16141``, ``0.006%`` or ``6.2e-05``.

    Raises:
        ValueError: anything else, and what is not above 0 and below 1.
    """
    try:
        if share := SHARE.fullmatch(text.strip()):
            rate = float(share[1]) / 100
        else:
            above, _, below = text.partition("/")
            rate = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        rate = 0.0
    if not 0 < rate < 1:
        raise ValueError(f"{text!r} is no rate; write it like 1/16141, 0.006% or 6.2e-05, above 0 and below 1")
    return rate


def one_in(rate: float) -> str:
    """Return a rate per trial as a person says it, to three digits: ``one in 2.5``; 0 and 1 are none and every one."""
    if not 0 < rate < 1:
        return "every one" if rate else "none"
    times = 1 / rate
    return f"one in {times:.1f}" if times < 10 else f"one in {round(times, 2 - int(math.log10(times))):,.0f}"


def parse_size(text: object) -> int:
    """Return bytes for ``4GiB``, ``953.7MB`` or a plain ``0``.

    Raises:
        ValueError: anything else; a bare number other than 0 has no unit and is refused.
    """
    written = str(text).strip()
    if written == "0":
        return 0
    match = SIZE.fullmatch(written)
    if isinstance(text, bool) or not match:
        raise ValueError(f"{text!r} is no size; write it like 512MiB, 4GiB or 10MB")
    return round(float(match[1]) * (_BYTES | _DECIMAL_BYTES)[match[2]])


def spell_size(count: int) -> str:
    """Return `count` bytes as `parse_size` reads it back, to the byte."""
    unit = next((unit for unit, size in _BYTES.items() if count and count % size == 0), "B")
    return f"{count // _BYTES.get(unit, 1)}{unit}"


def format_size(count: float) -> str:
    """Return `count` bytes to a person: ``1.4 GiB``."""
    for unit, size in _BYTES.items():
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
