"""Values that are known to be secret, in whatever form they stand: as they are, escaped, encoded, folded into lines."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

from harness.report.redact.found import Secret

KIND: Final = "known value"
PLACEHOLDER: Final = re.compile(r"\{iteration(?:\s*%\s*[1-9]\d*)?\}")
"""What stands for a number in an argument that changes from build to build."""
_LEAST: Final = 4
"""Letters that a value must have to be looked for wherever it stands: of shorter ones there would be no text left."""
_CLEAR: Final = 8
"""Letters from which on a value is no part of another word by chance."""
_COMMON: Final = frozenset(
    {"true", "false", "null", "none", "latest", "main", "master", "test", "default", "<redacted>"}
)


@dataclass(frozen=True)
class KnownSecret:
    """One value in one form."""

    start: bytes
    """What a text must have for it to be looked for."""
    form: re.Pattern[bytes]


def forms_of(values: Iterable[str]) -> tuple[KnownSecret, ...]:
    """Return all forms of the values; those too short or too common to be looked for have none."""
    forms: dict[bytes, KnownSecret] = {}
    for value in values:
        bare = PLACEHOLDER.sub("", value).strip()
        if len(bare) < _LEAST or bare.lower() in _COMMON:
            continue
        for written in _written(value.strip()):
            expression, start = _expression(written, is_clear=len(bare) >= _CLEAR)
            forms.setdefault(expression, KnownSecret(start, re.compile(expression)))
    return tuple(forms.values())


def known(text: bytes, forms: Iterable[KnownSecret]) -> Iterator[Secret]:
    """Yield where values stand."""
    for each in forms:
        if each.start in text:
            for match in each.form.finditer(text):
                yield Secret(*match.span(), KIND)


def _written(value: str) -> Iterator[str]:
    """Yield a value as it is, and as JSON, Go's JSON, addresses, shells, YAML and base64 write it."""
    yield value
    escaped = json.dumps(value, ensure_ascii=False)[1:-1]
    ascii_ = json.dumps(value)[1:-1]
    yield from (escaped, json.dumps(escaped, ensure_ascii=False)[1:-1], ascii_, json.dumps(ascii_)[1:-1])
    gos = escaped
    for letter in "&<>":
        gos = gos.replace(letter, f"\\u{ord(letter):04x}")
    yield from (gos, json.dumps(gos)[1:-1])
    yield value.replace("'", "'\\''")
    yield value.replace("'", "''")
    if PLACEHOLDER.search(value):
        return
    yield from (quote(value, safe=""), quote(value), quote_plus(value))
    raw = value.encode(errors="surrogatepass")
    yield base64.b64encode(raw).decode().rstrip("=")
    yield raw.hex()


def _expression(written: str, *, is_clear: bool) -> tuple[bytes, bytes]:
    """Return an expression for a value, and the longest piece that it always has; YAML may fold its blanks."""
    pieces: list[bytes] = []
    parts: list[bytes] = []
    for index, part in enumerate(PLACEHOLDER.split(written)):
        words = [word.encode(errors="surrogatepass") for word in re.split(r"\s+", part)]
        pieces += words
        parts.append((rb"\d{1,12}" if index else b"") + rb"(?:\\{0,7}[nrt]|\s|\\\n){1,200}".join(map(re.escape, words)))
    whole = b"".join(parts)
    if not is_clear:
        whole = rb"(?<![A-Za-z0-9])" + whole + rb"(?![A-Za-z0-9])"
    return whole, max(pieces, key=len)
