"""Logins in addresses: ``https://user:password@host``, and ``user:password@host`` as mirrors are written."""

import re
from collections.abc import Iterator
from typing import Final

from harness.report.redact.found import Secret

KIND: Final = "password in an address"
USER: Final = "user in an address"
_IN_ADDRESS: Final = re.compile(rb"""[^\s"'`<>\\]{0,2048}+""")
_ADDRESS_BYTES: Final = 2048
_AUTHORITY: Final = re.compile(rb"""(?P<user>[^\s:/?#@"'`<>\\|]{0,256}+)(?P<colon>:?)""")
_HOST: Final = re.compile(rb"(?:\[[0-9a-fA-F:.]{2,45}\]|[\w-]{1,63}(?:\.[\w-]{1,63}){0,10})(?![\w.-])")
_DIGEST: Final = re.compile(rb"(?:sha\d{3}|blake3|md5)\b")
_PORT: Final = re.compile(rb"\d{1,5}(?:[/?#]|$)")
_NAMED_HOST: Final = re.compile(
    rb"(?:[\w-]{1,63}\.){1,8}[a-zA-Z]{2,24}(?![\w.@-])|localhost\b|(?:\d{1,3}\.){3}\d{1,3}\b|[\w-]{1,63}:\d{2,5}\b"
)
_BEFORE_A_HOST: Final = re.compile(
    rb"""(?<![\w/:@.%+-])(?P<user>[\w.%+-]{1,64}):(?P<value>[^\s"'`@/:,;(){}\[\]<>]{3,256})$"""
)
_OF_MAIL: Final = frozenset(
    {b"mailto", b"sip", b"from", b"to", b"cc", b"by", b"author", b"maintainer", b"email", b"npm"}
)
_HARMLESS_USERS: Final = frozenset({b"git", b"anonymous", b"hg", b"svn"})


def logins(text: bytes) -> Iterator[Secret]:
    """Yield the users and the passwords that stand before the host in an address; a user may be the secret."""
    yield from _bare_logins(text)
    at = 0
    while (at := text.find(b"://", at)) >= 0:
        scheme, at = text[max(0, at - 8) : at].lower(), at + 3
        authority = _AUTHORITY.match(text, at)
        if not authority:
            continue
        if not authority["colon"]:
            user = authority["user"]
            is_web = scheme.endswith((b"http", b"https"))
            if text[authority.end() : authority.end() + 1] == b"@" and is_web and user.lower() not in _HARMLESS_USERS:
                yield Secret(*authority.span("user"), KIND)
            continue
        start = authority.end()
        if text.find(b"@", start, start + _ADDRESS_BYTES) < 0:
            continue
        until = _IN_ADDRESS.match(text, start).end()  # type: ignore[union-attr]  # it matches nothing as well
        host = _last_host(text, start, until)
        if host and not _PORT.match(text, start, until):
            if authority["user"]:
                yield Secret(*authority.span("user"), USER)
            yield Secret(start, host, KIND)
            at = host


def _last_host(text: bytes, start: int, until: int) -> int:
    """Return where the last ``@`` stands that a host follows; 0 where none does. A digest is no host."""
    at = text.rfind(b"@", start, until)
    while at > start:
        if _HOST.match(text, at + 1, until) and not _DIGEST.match(text, at + 1, until):
            return at
        at = text.rfind(b"@", max(start, at - 256), at)
    return 0


def _bare_logins(text: bytes) -> Iterator[Secret]:
    """Yield what is in ``user:password@host`` without a scheme, as registries' mirrors are written."""
    at = 0
    while (at := text.find(b"@", at)) >= 0:
        if _NAMED_HOST.match(text, at + 1) and not _DIGEST.match(text, at + 1):
            before = _BEFORE_A_HOST.search(text[max(0, at - 322) : at])
            if before and before["user"].lower() not in _OF_MAIL:
                password = at - len(before["value"])
                yield Secret(password - 1 - len(before["user"]), password - 1, USER)
                yield Secret(password, at, KIND)
        at += 1
