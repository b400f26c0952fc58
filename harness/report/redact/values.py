"""Where a value ends that stands behind a name: in quotes, in a header, to the line's end, or one word."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harness.report.redact.found import Secret
from harness.report.redact.names import is_sure, words_of

MARK: Final = b"<redacted>"
KIND: Final = "named value"
_MOST: Final = 8192
"""Bytes that a value may have; what is longer has a form of its own."""
_PROSE: Final = frozenset(
    {"token", "tokens", "auth", "authorization", "secret", "secrets", "key", "pass", "credential"}
)
"""Names that are words of sentences as well: ``failed to fetch oauth token: unexpected status``."""

QUOTE: Final = re.compile(rb"[$@]?(?P<slashes>\\{0,15})(?P<quote>[\"'`])")
SPELLED_QUOTE: Final = rb"(?:\\{1,15}(?:u002[27]|x2[27])|&(?:quot|apos|#3[49]|#x2[27]);)"
"""A quote as JSON, JavaScript and HTML may spell it."""
_SPELLED: Final = re.compile(SPELLED_QUOTE)
_PARTS: Final = re.compile(rb"\[\s{0,40}(?P<quote>[\"'])(?P<value>[^\]\r\n]{1,4096}?)(?P=quote)\s{0,40}\]")
_BLOCK: Final = re.compile(
    rb"(?:![\w!]{1,20}[ \t]{1,4})?[|>][-+0-9]{0,3}[ \t]{0,16}\r?\n"
    rb"(?P<value>(?:[ \t]{1,200}+[^\r\n]{0,4096}+(?:\r?\n|$)){1,200}+)"
)
_WORD: Final = re.compile(
    rb"(?:[^\s\"'`\\,;&<|]{1,8192}+"
    rb"|\\(?![nrt\"'`\\])"
    rb"|[,;](?!\s|$|[\w.-]{1,64}[=:])"  # a=1,token=…,b=2
    rb"|&(?!(?:amp;)?[\w.%-]{1,64}=)"  # ?token=…&b=2
    rb"|<(?!/)|\|(?![\s|]|$)){1,8192}+"
)
_PUNCTUATION: Final = b")]},;.>"
_LINE: Final = re.compile(rb"[^\r\n\"]{0,8192}+")
_LINE_ENDS: Final = re.compile(rb"\\{1,8}[nr]|[\"'`][ \t]|[ \t]#|[ \t](?=[\w.-]{1,40}=)|[\"'`]$")
_HEADER: Final = re.compile(rb"[^\r\n\"'`\\\]]{1,8192}+")
_SCHEME: Final = re.compile(
    rb"\[?(?:bearer|basic|digest|token|apikey|api-key|negotiate|ntlm|hawk|aws4-hmac-sha256|signature|bot|oauth|key|gitlab"
    rb"|splunk)[ \t]{1,4}(?P<value>\S)",
    re.IGNORECASE,
)
_NOTHING: Final = re.compile(
    rb"(?:true|false|yes|no|on|off|null|none|nil|undefined|unset|empty|peer|trust|ident|0|string|bool|int|\*+|x{3,}|\.{2,})$"
    rb"|\$|\{\{|%\{|<[\w .-]{1,40}>$|\(.{0,2}$",
    re.IGNORECASE,
)
"""What stands for a value: a variable, a placeholder, a type."""
_REDACTED: Final = re.compile(MARK + rb"(?:\{iteration[ %0-9]{0,20}\}){0,9}$")
_DIGEST: Final = re.compile(rb"(?:sha\d{3}|md5|blake3):[0-9a-f]{8,}")
PATH: Final = re.compile(
    rb"(?:~|\.{1,2})?(?:/[\w.@+-]{1,40}){2,20}/?$"
    rb"|[\w.-]{1,64}\.(?:pem|key|crt|json|ya?ml|txt|go|py|toml)(?::\d+)?$"
    rb"|[A-Za-z]:\\"
)
NO_WORD: Final = re.compile(rb"(?=[^\d]{0,255}\d)(?=\S{0,255}[A-Za-z])\S{8,}")
"""What begins with letters and digits in one, as no word of a sentence does."""
_MOUNT: Final = re.compile(rb"(?:id|type|env|src|source|target)=")


@dataclass(frozen=True)
class Place:
    """A name that says that a secret follows."""

    text: bytes
    start: int
    """Where the name begins."""
    name: str
    between: bytes
    """What stands between the name and the value."""
    begin: int
    """Where the value begins."""

    @property
    def last(self) -> str:
        """The name's last word."""
        return (words_of(self.name) or [""])[-1]

    @property
    def is_written_out(self) -> bool:
        """Whether a colon and a blank precede the value, as in YAML, in headers and in sentences."""
        return b":" in self.between and self.between.endswith((b" ", b"\t"))

    @property
    def begins_line(self) -> bool:
        """Whether the name is the first thing in its line."""
        return not self.text[max(0, self.start - 60) : self.start].rpartition(b"\n")[2].strip(b" \t-")


Span = tuple[int, int]
_NONE: Final = (0, 0)


def value_at(place: Place) -> Secret | None:
    """Return the value at a place; None where it is empty, a variable, a digest, a word of a sentence."""
    begin, end = next(span for read in _READERS if (span := read(place)) is not None)
    value = place.text[begin:end]
    begin += len(value) - len(value.lstrip())
    value = value.strip()
    if not value or _REDACTED.match(value) or _NOTHING.match(value) or _DIGEST.match(value):
        return None
    if PATH.match(value) and not is_sure(place.name):
        return None
    return Secret(begin, begin + len(value), KIND)


def _quoted(place: Place) -> Span | None:
    """Read to the quote that is as deep in other quotes as the first: JSON in JSON has backslashes before both."""
    if spelled := _SPELLED.match(place.text, place.begin):
        end = place.text.find(spelled[0], spelled.end(), spelled.end() + _MOST)
        return (spelled.end(), end) if end >= 0 else None
    quote = QUOTE.match(place.text, place.begin)
    if quote is None:
        return None
    text, first, depth, at = place.text, quote.end(), len(quote["slashes"]), quote.end()
    while (at := text.find(quote["quote"], at, first + _MOST)) >= 0:
        slashes = at - len(text[first:at].rstrip(b"\\")) - first
        if slashes <= depth:
            return first, at - slashes
        at += 1
    end = text.find(b"\n", first, first + _MOST)
    return first, end if end >= 0 else min(len(text), first + _MOST)


def _list(place: Place) -> Span | None:
    """Read all of a list in brackets whose parts are in quotes, of a name that says so beyond doubt."""
    parts = _PARTS.match(place.text, place.begin) if is_sure(place.name) else None
    return parts.span("value") if parts else None


def _block(place: Place) -> Span | None:
    """Read the indented lines behind YAML's ``|`` and ``>``."""
    block = _BLOCK.match(place.text, place.begin)
    return block.span("value") if block else None


def _header(place: Place) -> Span | None:
    """Read what a header says, but for the scheme; a sentence with the word in it says nothing."""
    if place.last not in {"authorization", "cookie"}:
        return None
    if scheme := _SCHEME.match(place.text, place.begin):
        start = scheme.start("value")
    elif place.last == "cookie" or NO_WORD.match(place.text, place.begin):
        start = place.begin + (place.text[place.begin : place.begin + 1] == b"[")
    else:
        return _NONE
    header = _HEADER.match(place.text, start)
    return header.span() if header else _NONE


def _element(place: Place) -> Span | None:
    """Read to the end of an XML element."""
    if not place.between.startswith(b">"):
        return None
    end = place.text.find(b"<", place.begin, place.begin + _MOST)
    return (place.begin, end) if end >= 0 else _NONE


def _line(place: Place) -> Span | None:
    """Read to the line's end, to a comment or the next name, where a value may have blanks in it."""
    if place.name == "PASS":  # what tests print
        return _NONE
    if not place.is_written_out or place.name.startswith("-") or not (place.begins_line or is_sure(place.name)):
        return None
    line = _LINE.match(place.text, place.begin)
    stop = _LINE_ENDS.search(place.text, *line.span()) if line else None
    return place.begin, stop.start() if stop else line.end() if line else place.begin


def _word(place: Place) -> Span:
    """Read to the next blank or quote, or what ends a parameter."""
    word = _WORD.match(place.text, place.begin)
    if word is None:
        return _NONE
    begin, end = word.span()
    if place.text[begin : begin + 1] in b"[{(" and not place.is_written_out:
        begin += 1
    while end > begin and place.text[end - 1] in _PUNCTUATION:
        end -= 1
    value = place.text[begin:end]
    is_prose = place.last in _PROSE or place.last.startswith("secret")
    is_sentence = place.is_written_out and is_prose and not NO_WORD.match(value)
    is_mount = place.name.startswith("-") and _MOUNT.match(value)  # --secret id=…,src=…
    return _NONE if is_sentence or is_mount else (begin, end)


_READERS: Final[tuple[Callable[[Place], Span | None], ...]] = (_quoted, _list, _block, _header, _element, _line, _word)
"""In order: the first that knows what stands there reads it; the last reads anything."""
