"""The one door: every text that leaves this machine goes through a `Redactor`."""

import base64
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from harness.report.redact.addresses import USER, logins
from harness.report.redact.forms import formed, mixes, random_words
from harness.report.redact.found import Secret, apart
from harness.report.redact.known import PLACEHOLDER, forms_of, known
from harness.report.redact.named import named
from harness.report.redact.names import is_secret
from harness.report.redact.values import KIND, MARK

REDACTED: Final = MARK.decode()
"""Plain text in YAML and JSON alike, so that what is cleaned can still be read."""
_SHORT: Final = 256
"""Bytes of a text that is remembered."""
_DEPTH: Final = 3
"""How often encoded text is looked for in what was encoded."""
_ENCODED: Final = re.compile(rb"(?:(?<=\\)[nrt])?(?P<value>[A-Za-z0-9+/_-]{16,}+={0,2})")
_WRAPPED: Final = re.compile(
    rb"(?:(?<![A-Za-z0-9+/])|(?<=\\[nrt]))(?P<first>[A-Za-z0-9+/]{60,76}+)(?P<break>\r?\n|\\{1,4}n)"
    rb"(?:[A-Za-z0-9+/]{60,76}+(?P=break)){0,10000}+[A-Za-z0-9+/]{2,76}+={0,2}"
)
"""A text in base64 over several lines, as `base64` prints it."""
_SHORT_OUTPUT: Final = re.compile(rb"(?<=\"data\":)[ ]?\"(?P<value>[A-Za-z0-9+/]{4,15}+={0,2})\"")
"""A step's output in a progress stream is in base64, however short it is."""
_WORDS_ONLY: Final = re.compile(rb"[a-z/_-]+$|[A-Za-z/]{1,20}$|[0-9a-f]+$")
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
"""How texts in UTF-16 begin, of which every other byte is NUL."""
_GZIP: Final = b"H4sI"
"""How a compressed text begins in base64."""
_UNPACKED_BYTES: Final = 1_000_000
_LOGIN: Final = re.compile(rb"[\w.@-]{3,64}:(?P<value>[\x21-\x7e]{8,128})\n?")
"""What `_auth` of npm and the header of a basic login encode, printed by itself."""
_JSON: Final = frozenset({b"{", b"["})
_ESCAPED: Final = re.compile(rb"\\[nrt\"\\/u]")
"""In JSON, a text that is not written as it is."""
_MASK: Final = b"*"
_ILLEGIBLE: Final = bytes({*range(256)} - {*range(32, 127), 9, 10, 13})
_LINES_OF_DATA: Final = bytes(10 if byte < 32 and byte not in b"\t\r" else byte for byte in range(256))
"""What begins or ends a line does so beside a control byte of data as well."""
_LEGIBLE: Final = 0.6
"""The share of letters in data that has texts in it; of what is drawn by chance, 98 of 256 are letters."""


class Redactor:
    """Takes secrets out of texts: those that are known, and what by name or form is one.

    It takes time linear in what it reads. What it took out is counted, by kind, in `taken`.

    Args:
        values: known secrets, which go wherever they stand and in whatever form; ``{iteration}`` in one is any number.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._known = forms_of(sorted(set(values)))
        self.taken: Counter[str] = Counter()

    def clean(self, text: str) -> str:
        """Return a text without secrets."""
        return self.clean_bytes(text.encode(errors="surrogatepass"), keep_length=False).decode(errors="surrogatepass")

    def clean_bytes(self, content: bytes, *, keep_length: bool | None = None) -> bytes:
        """Return a file's content without secrets.

        What has a NUL byte in it may be read by offsets, so there each secret is overwritten and the length kept;
        `keep_length` says otherwise.
        """
        if content.startswith(_WIDE) and keep_length is None:
            return self.clean(content.decode("utf-16", errors="replace")).encode("utf-16")
        keep = b"\0" in content if keep_length is None else keep_length
        if not keep:
            content = self._in_json(content)
        looked_at = content.translate(_LINES_OF_DATA) if b"\0" in content else content
        found = [*self._found(looked_at, _DEPTH, keep)]
        for each in found:
            self.taken[each.kind] += each.count
        return _replaced(content, found, keep)

    def _in_json(self, content: bytes) -> bytes:
        """Return what is JSON, as a whole or line by line, with its texts cleaned as they are without their escapes.

        Lines that a text in it has are none to who looks at the JSON; what holds no such text is left as it is written.
        """
        if content.lstrip()[:1] in _JSON and (whole := self._of_json(content, indent=1)) is not None:
            return whole
        lines = content.split(b"\n")
        for number, line in enumerate(lines):
            if line.lstrip()[:1] in _JSON and (cleaned := self._of_json(line)) is not None:
                lines[number] = cleaned
        return b"\n".join(lines)

    def _of_json(self, text: bytes, indent: int | None = None) -> bytes | None:
        """Return a text of JSON cleaned; None where it is none, or where only its words stand in it."""
        if _ESCAPED.search(text) is None:
            return None
        try:
            written = json.loads(text)
            cleaned = self.tree(written)
            if cleaned == written:
                return text
            again = json.dumps(cleaned, ensure_ascii=False, indent=indent)
        except (ValueError, RecursionError):
            return None
        return again.encode(errors="surrogatepass") + (b"\n" if text.endswith(b"\n") else b"")

    def tree(self, value: Any, name: str = "") -> Any:
        """Return plain data or a record without secrets: in a mapping also those whose key says that they are."""
        return self._tree(value, name, {})

    def _tree(self, value: Any, name: str, done: dict[tuple[int, str], Any]) -> Any:
        """Return `value` cleaned; what YAML's aliases have in many places is `done` once."""
        if isinstance(value, Mapping | list | tuple):
            key = (id(value), name)
            if key not in done:
                done[key] = self._container(value, name, done)
            return done[key]
        if is_dataclass(value) and not isinstance(value, type):
            return replace(
                value, **{each.name: self._tree(getattr(value, each.name), "", done) for each in fields(value)}
            )
        if value is None or isinstance(value, bool | Enum):
            return value
        if name and is_secret(name):
            self.taken[KIND] += 1
            return REDACTED + "".join(PLACEHOLDER.findall(str(value)))  # builds differ as they did
        return self.clean(value) if isinstance(value, str) else value

    def _container(self, value: Any, name: str, done: dict[tuple[int, str], Any]) -> Any:
        if isinstance(value, Mapping):
            return {key: self._tree(item, str(key), done) for key, item in value.items()}
        return type(value)(self._tree(item, name, done) for item in value)

    def _found(self, text: bytes, depth: int, keep: bool) -> Iterator[Secret]:
        """Yield what is to go, apart from each other and in order."""
        found = (
            known(text, self._known),
            _by_itself(text),
            self._in_long_words(text, depth, keep),
        )
        return apart(chain(*found))

    def _in_long_words(self, text: bytes, depth: int, keep: bool) -> Iterator[Secret]:
        """Yield texts in base64 that have secrets in them, each with what it is without; of other words, the random."""
        for word in chain(_ENCODED.finditer(text), _SHORT_OUTPUT.finditer(text)):
            start, end = word.span("value")
            if depth and (packed := _unpacked(word["value"])) is not None:
                if inner := next(self._found(packed, depth - 1, keep), None):
                    yield Secret(start, end, inner.kind)  # packed anew it would be another text in every part
                continue
            decoded = _decoded(word["value"]) if depth else None
            if decoded is None:
                yield from random_words(text, start, end)
            elif found := self._again(start, end, decoded, word["value"], depth, keep):
                yield found
        for lines in _WRAPPED.finditer(text) if depth else ():
            written = lines[0].replace(lines["break"], b"")
            decoded = _decoded(written)
            if decoded and (found := self._again(*lines.span(), decoded, written, depth, keep)):
                width = len(lines["first"])
                again = found.instead or b""
                wrapped = lines["break"].join(again[at : at + width] for at in range(0, len(again), width))
                yield replace(found, instead=wrapped)

    def _again(self, start: int, end: int, decoded: bytes, written: bytes, depth: int, keep: bool) -> Secret | None:
        """Return a text in base64 as it is without the secrets in it; None where it has none."""
        kept = keep or not _is_text(decoded)
        login = _LOGIN.fullmatch(decoded)
        if login and mixes(login["value"], digits=1):
            return Secret(start, end, "login in base64")
        inner = [*self._found(decoded, depth - 1, kept)]
        if not inner:
            return None
        again = _encode(_replaced(decoded, inner, kept), like=written)
        return Secret(start, end, inner[0].kind, again, sum(each.count for each in inner))


def redact(text: str, values: Iterable[str] = ()) -> str:
    """Return a text without secrets, of which no run is known; `values` are known ones."""
    return Redactor(values).clean(text)


def secrets_in(text: str) -> set[str]:
    """Return what by name or form is a secret in a text."""
    content = text.encode(errors="surrogatepass")
    found = apart(_by_itself(content))
    return {content[each.start : each.end].decode(errors="replace") for each in found if each.kind != USER}


def _by_itself(text: bytes) -> Iterable[Secret]:
    """Return what is a secret by name or form, whoever's it is; runs of one scenario have the same short texts."""
    return _of_short(text) if len(text) <= _SHORT else chain(named(text), formed(text), logins(text))


@lru_cache(maxsize=4096)
def _of_short(text: bytes) -> tuple[Secret, ...]:
    return (*named(text), *formed(text), *logins(text))


def _replaced(text: bytes, found: Iterable[Secret], keep: bool) -> bytes:
    pieces, at = [], 0
    for each in found:
        size = each.end - each.start
        instead = each.instead if each.instead is not None else _MASK * size if keep else MARK
        if keep and len(instead) != size:
            instead = _MASK * size
        pieces += [text[at : each.start], instead]
        at = each.end
    return b"".join([*pieces, text[at:]])


def _decoded(written: bytes) -> bytes | None:
    """Return what a word in base64 says: a text, or data with texts in it; None where it says nothing."""
    if _WORDS_ONLY.match(written):
        return None
    bare = written.rstrip(b"=").translate(_STANDARD)
    bare = bare[: len(bare) - (len(bare) % 4 == 1)]
    decoded = base64.b64decode(bare + b"=" * (-len(bare) % 4))
    legible = len(decoded.translate(None, _ILLEGIBLE))
    return decoded if legible >= _LEGIBLE * len(decoded) or _is_text(decoded) else None


def _unpacked(written: bytes) -> bytes | None:
    """Return what a word in base64 says that is compressed, as Helm keeps its releases; None where it is not."""
    if not written.startswith(_GZIP):
        return None
    bare = written.rstrip(b"=").translate(_STANDARD)
    try:
        packed = base64.b64decode(bare[: len(bare) // 4 * 4])
        return zlib.decompressobj(wbits=31).decompress(packed, _UNPACKED_BYTES)
    except (ValueError, zlib.error):
        return None


def _is_text(decoded: bytes) -> bool:
    try:
        text = decoded.decode()
    except UnicodeDecodeError:
        return False
    return sum(not letter.isprintable() and not letter.isspace() for letter in text) <= len(text) // 8


def _encode(decoded: bytes, *, like: bytes) -> bytes:
    """Return a text in base64, in the alphabet and with the padding that another one has."""
    encoded = base64.b64encode(decoded)
    if b"-" in like or b"_" in like:
        encoded = encoded.translate(_FOR_ADDRESSES)
    return encoded if like.endswith(b"=") or len(like) % 4 == 0 else encoded.rstrip(b"=")


_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_FOR_ADDRESSES: Final = bytes.maketrans(b"+/", b"-_")
