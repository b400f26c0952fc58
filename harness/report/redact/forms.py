"""What secrets look like by themselves: the issuers' prefixes, keys in PEM, and plain randomness."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from harness.report.redact.found import Secret

_TABLE: Final = Path(__file__).with_name("forms.yaml")
_PEM_BYTES: Final = 65_536
"""How far the end of a key is looked for."""
_PEM: Final = re.compile(rb"-----BEGIN(?:[ A-Z0-9_-]{0,100}?PRIVATE KEY(?: BLOCK)?| OpenVPN Static key V\d)-----")
_PEM_LINES: Final = re.compile(rb"(?:[A-Za-z0-9+/=]|\\{1,8}[nr]|[\s\"',:;-]){0,65536}+")
_MANIFEST_BYTES: Final = 1000
_KIND_SECRET: Final = re.compile(rb"kind\\?[\"']?:[ \t]{0,4}\\?[\"']?Secret\b")
_SECRET_DATA: Final = re.compile(rb"(?<![A-Za-z])(?:data|stringData)\\?[\"']?:(?=[\s{\\])")
_SECRET_ENTRY: Final = re.compile(
    rb"[\w.-]{1,64}\\?[\"']?:[ \t]{0,4}\\?[\"']?(?P<value>[A-Za-z0-9+/]{8,400}+={0,3})(?=[\s\"'\\,}]|$)"
)
_LONG_WORD: Final = re.compile(rb"[\w.~+/=:-]{14,}+")
_RANDOM: Final = re.compile(rb"[A-Za-z0-9_-]{32,512}+")
_PREFIXED: Final = re.compile(rb"(?<![\w-])(?:[a-z][a-z0-9]{1,14}_){1,2}(?P<value>[A-Za-z0-9]{24,512}+)(?![\w-])")
"""A token as issuers make them today: their own short name, and what is random."""
_DIGITS: Final = re.compile(rb"[0-9]")
_CAPITALS: Final = re.compile(rb"[A-Z]")
_CHANGES: Final = re.compile(rb"(?<=[a-z])[A-Z0-9]|(?<=[A-Z])[a-z0-9]|(?<=[0-9])[A-Za-z]")
_DIGEST: Final = re.compile(rb"sha(?:1|256|384|512)-")
_DIGEST_BEFORE: Final = re.compile(rb"(?<!\w)(?:h1:|SHA256:|_state=)$")
"""What is no secret: digests of Go's modules and of keys, and where an upload to a registry stands."""


_TYPED: Final = "typed on a command line"
_GIVEN: Final = (
    r"(?:\"(?P<value>[^\"\r\n]{1,255})\"|'(?P<single>[^'\r\n]{1,255})'|(?P<bare>[^\s\"'$<>|&;-][^\s\"']{0,255}))"
)
"""What is given to a program: in quotes, or one word; a variable is no secret."""


def _option(program: str, option: str) -> str:
    """Return an expression for what a program is given behind one of its options, also right behind it."""
    return (
        rf"(?<![\w-]){re.escape(program)}[ \t](?:[^\r\n|;&]{{0,200}}?[ \t])?{re.escape(option)}[ \t=:]{{0,4}}{_GIVEN}"
    )


def _follows(verb: str) -> str:
    """Return an expression for what follows a verb at once, and is no word of a sentence."""
    return rf"(?<![\w-]){re.escape(verb)}[ \t]{{1,4}}(?=[^\d\s]{{0,255}}\d){_GIVEN}"


def _after(command: str, words: int) -> str:
    """Return an expression for what a command is given behind so many other words."""
    return rf"(?<![\w-]){re.escape(command)}[ \t]{{1,4}}(?:[^\s|;&-][^\s|;&]{{0,255}}[ \t]{{1,4}}){{{words}}}{_GIVEN}"


def _escaped(literal: str) -> str:
    """Return the start of an expression for what begins with `literal`, and is not the inside of a longer word.

    A literal that ends in a mark is clear enough to be found in the middle of one.
    """
    quoted = re.escape(literal)
    if len(literal) >= 4 and not literal[-1].isalnum():
        return quoted
    return rf"{quoted}(?:(?<![\w-]{quoted})|(?<=\\[nrtbf]{quoted})|(?<=%[0-9A-Fa-f][0-9A-Fa-f]{quoted}))"


@dataclass(frozen=True)
class Form:
    """One form of one kind of secret."""

    kind: str
    needed: bytes
    """What a text must have for it to be looked for; in any case where it is in lower case."""
    is_word: bool
    """Whether it is part of one long word."""
    written: str
    """An expression. Its first group that matches is the secret; without one, all of it is."""

    def found(self, text: bytes) -> Iterator[Secret]:
        """Yield where it stands."""
        for match in _expression(self.written).finditer(text):
            yield Secret(*match.span(match.lastindex or 0), self.kind)


@cache
def _expression(written: str) -> re.Pattern[bytes]:
    """Return an expression to use; most are not needed in most texts, and all take a second to be made."""
    return re.compile(written.encode())


@dataclass(frozen=True)
class Table:
    """`forms.yaml`."""

    forms: tuple[Form, ...]
    named_for: tuple[bytes, ...]
    """Services whose keys have no form."""


@cache
def table() -> Table:
    """Return what is in `forms.yaml`."""
    written = yaml.safe_load(_TABLE.read_text())
    forms = [
        Form(kind, literal.encode(), True, f"{_escaped(literal)}{then}")
        for kind, tails in written["begins"].items()
        for then, literals in tails.items()
        for literal in map(str, literals)
    ]
    forms += [
        Form(kind, needed.encode(), False, whole)
        for kind, wholes in written["has"].items()
        for needed, whole in wholes.items()
    ]
    forms += [
        Form(_TYPED, program.encode(), False, _option(program, option))
        for option, programs in written["commands"].items()
        for program in map(str, programs)
    ]
    forms += [Form(_TYPED, command.encode(), False, _after(command, n)) for command, n in written["words"].items()]
    forms += [Form(_TYPED, verb.encode(), False, _follows(verb)) for verb in written["verbs"]]
    return Table(tuple(forms), tuple(name.encode() for name in written["named_for"]))


def formed(text: bytes) -> Iterator[Secret]:
    """Yield what has the form of a secret, whatever stands around it."""
    lowered, words = text.lower(), b" ".join({*_LONG_WORD.findall(text)})  # a log has the same words again and again
    for form in table().forms:
        if form.needed in (words if form.is_word else lowered if form.needed.islower() else text):
            yield from form.found(text)
    for word in _PREFIXED.finditer(words):
        if mixes(word["value"], digits=1):
            yield from (Secret(*match.span(), "random word") for match in re.finditer(re.escape(word[0]), text))
    yield from _keys(text)
    yield from _kubernetes(text)


def _keys(text: bytes) -> Iterator[Secret]:
    """Yield private keys in PEM, between their first line and their last; of one that is cut off, what there is."""
    at = 0
    while match := _PEM.search(text, at):
        end = text.find(b"-----END", match.end(), match.end() + _PEM_BYTES)
        if end < 0:
            lines = _PEM_LINES.match(text, match.end())
            end = lines.end() if lines else match.end()
        if end > match.end():
            yield Secret(match.end(), end, "private key")
        at = end


def _kubernetes(text: bytes) -> Iterator[Secret]:
    """Yield the values of a Kubernetes secret, whatever their names; its kind stands before its data or after it."""
    at = 0
    for data in _SECRET_DATA.finditer(text):
        start, end = data.end(), data.end() + _MANIFEST_BYTES
        if start < at or not _KIND_SECRET.search(text, max(0, start - _MANIFEST_BYTES), end):
            continue
        for entry in _SECRET_ENTRY.finditer(text, start, end):
            yield Secret(*entry.span("value"), "Kubernetes secret")
            at = entry.end()


def random_words(text: bytes, start: int, end: int) -> Iterator[Secret]:
    """Yield long words that no person and no encoding of digests makes: all kinds of letters, thoroughly mixed."""
    if _DIGEST_BEFORE.search(text[max(0, start - 12) : start]) or _DIGEST.match(text, start, end):
        return
    for match in _RANDOM.finditer(text, start, end):
        if is_random(match[0]):
            yield Secret(*match.span(), "random word")


def is_random(word: bytes) -> bool:
    """Whether a word mixes upper and lower case and digits as chance does, and names do not."""
    return mixes(word, digits=3)


def mixes(word: bytes, digits: int) -> bool:
    """Whether a word mixes upper and lower case as chance does, with at least so many digits among them."""
    if word.islower() or word.isupper():
        return False
    capitals = len(_CAPITALS.findall(word))
    return len(_DIGITS.findall(word)) >= digits and capitals >= 3 and len(_CHANGES.findall(word)) >= 0.42 * len(word)
