"""Values behind names that say they are secret: ``NPM_TOKEN=…``, ``"password": "…"``, headers, flags."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from harness.report.redact.forms import table
from harness.report.redact.found import Secret
from harness.report.redact.names import is_secret, is_sure, may_lock, words_of
from harness.report.redact.values import NO_WORD, PATH, QUOTE, SPELLED_QUOTE, Place, value_at

_NAME_BYTES: Final = 64
_IN_NAMES: Final = re.compile(rb"pw|pass|secret|token|cred|auth|key|cookie|dsn|webhook|signature|sig|code|pat(?![a-z])")
"""One of these is in every name of a secret; the rest of a name is looked at only there."""
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.%-"
_AFTER: Final = re.compile(
    rb"(?P<rest>[\w-]{0,40}+)"
    rb"(?P<close>(?:\\{0,15}[\"'`]|" + SPELLED_QUOTE + rb")\]?|\[\d{0,6}\]|\]|%22|)"
    rb"(?P<between>"
    rb"(?:[ \t]{1,4}|:[ \t]{0,4})(?:As[ \t])?&?(?:'static[ \t])?"  # var token string = …
    rb"(?:string|String|str|var(?:char)?)[ \t]{0,4}:?=[ \t]{0,16}+"
    rb"|[ \t]{0,8}+(?:=>|->|<-|\\[=:]|(?:\?\??|\|\||[.+:!]{1,3})?={1,3}|:{1,3}(?!/)|\|\||%3(?i:a|d)(?:%22)?)"
    rb"[ \t]{0,16}+"  # X=…
    rb"(?:\r?\n[ \t]{1,40}+(?=\\{0,15}[\"']|[^\s:#-][^\s:]{0,255}+(?:\r?\n|$)))?"  # … on the next line
    rb"(?:\{\s{0,40}+\\{0,15}[\"'](?i:value)\\{0,15}[\"'][ \t]{0,4}:[ \t]{0,4})?"  # "X": {"value": …}
    rb"|[,/>{\s]{0,40}+<?[ \t]{0,4}\\{0,15}[\"']?"
    rb"(?i:value|default|content)\\{0,15}[\"']?[ \t]{0,4}[:=][ \t]{0,4}"  # "X", "value": …
    rb"|,[ \t]{0,16}(?=\\{0,15}[\"'])"  # "--password", "…"
    rb"|,(?=[^\s,;\"']{8,200}(?:[,\s]|$))"  # DB_PASSWORD,…
    rb"|(?:\.assign)?\((?=[\"'])"  # string password("…")
    rb"|>\s{0,40}+(?:<!\[CDATA\[)?"  # <password>…
    rb"|[ \t]{1,16}+(?![-=:|&<>;#])"  # --password …, ENV X …
    rb")"
)
_VALUE: Final = re.compile(rb"(?i)value|default|content")
_INTRODUCES: Final = re.compile(
    rb"(?:^|[\s\[(\"';])(?:ENV|ARG|LABEL|setenv|setx|config set|set[ \t]{1,4}-[a-zA-Z]{1,4})"
    rb"[ \t]{1,8}\S{0,200}$"
)
_NETRC: Final = re.compile(rb"(?:login|user|machine)[ \t]{1,8}\S{1,200}\s{1,8}$")
_SPELLED_LEAD: Final = re.compile(r"u002[27]|x2[27]")
_EMPTY: Final = re.compile(rb"(?:\{[ \t]{0,4}\}|\[[ \t]{0,4}\])(?=[\s,;}\])]|$)")
"""No secret at all: ``secrets: {}``, as a scenario without one has it."""
_ASSIGNS: Final = frozenset({b"=", b":="})
_OPAQUE: Final = re.compile(rb"[\"']?(?=(?:[^\d\s]{0,255}?\d){3})(?=\S{0,255}?[A-Za-z])[\w:/-]{20,256}(?![\w.@/])")
"""What looks like a key: long, with digits in it, and no name of a file."""
_PARAMETERS: Final = frozenset({"key", "sig", "code", "signature"})
"""Names that say so in an address alone: ``?key=…``."""


def named(text: bytes) -> Iterator[Secret]:
    """Yield the values behind names that say so; the name itself stays."""
    lowered, at = text.lower(), 0
    while match := _IN_NAMES.search(lowered, at):
        at = match.end()
        after = _AFTER.match(text, at)
        if not after:
            continue
        before = text[max(0, match.start() - _NAME_BYTES) : match.start()]
        start = match.start() - len(before) + len(before.rstrip(_LETTERS))
        found = _behind(text, start, after)
        if found:
            yield found
            at = max(at, found.end)
    yield from _of_services(text, lowered)


def _behind(text: bytes, start: int, after: re.Match[bytes]) -> Secret | None:
    """Return the value behind a name that begins at `start`."""
    name, between = text[start : after.end("rest")].decode("ascii", "replace"), after["between"]
    lead = text[max(0, start - 1) : start]
    if lead == b"\\" and name[:1] in "nrt":
        name = name[1:]  # a line's end, as JSON writes it
    if lead == b"\\" and (spelled := _SPELLED_LEAD.match(name)):
        name = name[spelled.end() :]
    if "%" in name:
        name = name.rpartition("%")[2][2:]
    is_parameter = (lead in {b"?", b"&"} or b"%3" in between) and (words_of(name) or [""])[-1] in _PARAMETERS
    last = name.rpartition(".")[2]
    is_locking = between.strip() in _ASSIGNS and may_lock(last) and _OPAQUE.match(text, after.end())
    if not is_parameter and not is_locking and not is_secret(last):
        return None
    if _EMPTY.match(text, after.end()):
        return None
    place = Place(text, start, name, between, after.end())
    return value_at(place) if _is_followed(place, lead, is_closed=bool(after["close"])) else None


def _is_followed(place: Place, lead: bytes, *, is_closed: bool) -> bool:
    """Whether what comes after a name is its value, as it surely is behind ``=`` and ``:``."""
    between = place.between
    if between.startswith(b">"):
        return lead == b"<"
    if between.endswith(b"(") or (between.startswith(b",") and not _VALUE.search(between)):
        return place.name.startswith("-") or _is_argument(place, is_closed=is_closed)
    if between.isspace() and not place.name.startswith("--"):
        if place.name.startswith("-") and lead.isspace():  # influx -password …
            return is_sure(place.name) or bool(NO_WORD.match(place.text, place.begin))
        before = place.text[max(0, place.start - 210) : place.start]
        introduced = _INTRODUCES.search(before.rpartition(b"\n")[2]) or _NETRC.search(before)
        is_clear = place.begins_line or (is_sure(place.name) and NO_WORD.match(place.text, place.begin + 1))
        return bool(introduced or (is_clear and _says_so(place)))  # password "…";
    return True


def _is_argument(place: Place, *, is_closed: bool) -> bool:
    """Whether a value stands behind a bracket or a comma: ``secret("…")``, ``setProperty("NAME", "…")``, ``NAME,…``."""
    if QUOTE.match(place.text, place.begin):
        return (is_closed or place.between.endswith(b"(")) and _says_so(place)
    return place.name.isupper() and bool(NO_WORD.match(place.text, place.begin))


def _says_so(place: Place) -> bool:
    """Whether a text in quotes is a secret, by a name that is no word of a sentence or by being none itself."""
    quote = QUOTE.match(place.text, place.begin)
    return bool(quote and (is_sure(place.name) or NO_WORD.match(place.text, quote.end())))


@cache
def _behind_service(name: bytes) -> re.Pattern[bytes]:
    return re.compile(
        rb"%b%b[ \t\w.-]{0,24}[\"'\s]{0,3}(?:=>|:{1,3}=|\|\||\?=|[=:>,])[`\"'\s=]{0,5}(?P<value>[\w.=/+-]{15,150}+)"
        % (b"(?<![a-z])" if len(name) < 6 else b"", name)  # a short one is part of other words
    )


def _of_services(text: bytes, lowered: bytes) -> Iterator[Secret]:
    """Yield long values with digits behind names of services whose keys have no form of their own."""
    for service in table().named_for:
        for match in _behind_service(service).finditer(lowered) if service in lowered else ():
            value = text[slice(*match.span("value"))]
            is_number = value.replace(b".", b"").isdigit()
            digits = sum(value.count(each) for each in b"0123456789")
            if digits >= 3 and not is_number and not PATH.match(value) and b"/" not in value[:3]:
                yield Secret(*match.span("value"), "key of a service")
