"""Takes secrets out of text before it leaves the machine: by what their names, or their forms, say they are."""

import re
from collections.abc import Iterable
from typing import Final

REDACTED: Final = "<redacted>"
"""Plain text in YAML and JSON alike, so that what is cleaned can still be read."""
_NAMES: Final = r"(?:passw(?:or)?d|passphrase|secret|token|(?:api|access|private)[_-]?key|credential|authorization)"
_NAMED: Final = re.compile(
    rf"(?P<name>(?<![/.\w])[\w-]*{_NAMES}[\w-]*[\"']?(?:\s*[:=]|\s(?=\S*$))\s*[\"']?(?:(?:bearer|basic)\s+)?)"
    r"(?P<value>[^\s\"',;&}\]]+)",
    re.IGNORECASE | re.MULTILINE,
)
_FORMS: Final = (
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), REDACTED),  # credentials in an address
    (
        re.compile(
            r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|AKIA[0-9A-Z]{16}|xox[abp]-[\w-]{10,})\b"
        ),
        REDACTED,
    ),
    (re.compile(r"\b(?P<kind>bearer|basic)\s+[\w.~+/-]{12,}=*", re.IGNORECASE), rf"\g<kind> {REDACTED}"),
    (re.compile(r'(?P<key>"auth"\s*:\s*")[^"]+'), rf"\g<key>{REDACTED}"),  # docker's config.json
)
_LEAST: Final = 4
"""Letters that a value must have to be looked for wherever it stands: of shorter ones there would be no text left."""


def is_secret(name: str) -> bool:
    """Whether something of that name is one."""
    return bool(re.search(_NAMES, name, re.IGNORECASE))


def redact(text: str, values: Iterable[str] = ()) -> str:
    """Return `text` without secrets; `values` are known ones, which go wherever they stand."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _LEAST:
            text = text.replace(value, REDACTED)
    text = _NAMED.sub(lambda match: f"{match['name']}{REDACTED}", text)
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text
