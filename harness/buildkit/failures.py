"""The errors of builds, told apart by their kind: what differs from build to build is taken out of the text.

``ERROR: failed to solve: parent snapshot sha256:6a28… does not exist: not found`` and the same of another snapshot have
one signature, ``parent snapshot <digest> does not exist: not found``. What names a kind stays: the status of a process,
the answer of a server.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from harness.buildkit.engines import released_with
from harness.core.records import Diagnosis

_LONGEST: Final = 300
_READ: Final = 4_000
"""Characters of an error that are looked at; a step's output can be longer than all else of a run."""
_HASHED: Final = 12

_WRAPPERS: Final = re.compile(
    r"^(?:(?:error|err|fatal): |time=\S+ level=\w+ msg=|failed to (?:build|solve|receive status): "
    r"|target [\w.-]+: |rpc error: code = unknown desc = )+",
    re.IGNORECASE,
)
"""What clients put in front: ``ERROR: failed to build: failed to solve:`` of buildx, ``error: failed to solve:`` of
buildctl, ``target app: failed to solve:`` of bake.
"""
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_KEPT: Final = re.compile(
    r"(?:exit (?:code|status)|status code|code|signal|status)[:=]? *\d{1,3}\b(?!\.)|\b[45]\d\d (?=[A-Z][a-z])"
)
"""Numbers that name a kind: of an exit, of a server's answer."""
_RULES: Final = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]*[^\s\"'<>:,.;)]", "<url>"),
        (
            r"\b\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z\b|[+-]\d\d:?\d\d))?(?: [A-Z]{3,4})?",
            "<time>",
        ),
        (r" m=[+-]\d+(?:\.\d+)?", ""),
        (r"\b(?:layer-|manifest-|config-|index-)?sha(?:256|384|512)[:-][0-9a-f]{6,}", "<digest>"),
        (r"\bextract-\d+-[\w=-]+", "<id>"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<id>"),
        (r"\b(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{25}\b", "<id>"),
        (r"\b0x[0-9a-f]+\b", "<address>"),
        (r"(?:\b(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:]+\]|\blocalhost)(?::\d+)(?:/[\w./:@-]*\w)?", "<address>"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}\b", "<address>"),
        (r"\b(?=[a-f]*\d)[0-9a-f]{12,}\b", "<id>"),
        (r"(?<![\w<>/.:])(?:[A-Za-z]:\\|~?/)[^\s:\"',;()\[\]{}=]*", "<path>"),
        (r"\b\d+(?:\.\d+)?(?:ns|us|µs|ms|[smh])(?:\d+(?:\.\d+)?(?:ms|[ms]))*(?![\w.])", "<duration>"),
        (r"\b\d+(?:\.\d+)? ?[kKMGT]i?B\b", "<size>"),
        (r"(?<![A-Za-z<])\d+(?:\.\d+)*(?![A-Za-z])", "N"),
    )
)
"""Whatever is nearer to the front is taken out first: a digest has digits, a URL has a path."""


@dataclass(frozen=True)
class KnownFailure:
    """A kind of error that has been reported."""

    name: str
    pattern: "re.Pattern[str]"
    """What its signature has in it."""
    link: str
    fixed_in: Mapping[str, str]
    """By product, the first release without it; nothing where that is not known."""


_KNOWN: Final = tuple(
    KnownFailure(name, re.compile(pattern), link, released_with(fixed) if fixed else {})
    for name, pattern, link, fixed in (
        # A COPY that fails, or is cut off, lets go of what it copies to once too often; a prune then removes that from
        # under the builds that share it. So from v0.8.0 on (commit 7ce58c31b), up to b09b53edc.
        (
            "failed-copy-releases",
            r"failed to prepare <id> as <id>: parent snapshot <id> does not exist",
            "moby/buildkit#6821",
            "v0.31.0",
        ),
        ("parent-snapshot-missing", r"parent snapshot .* does not exist", "moby/buildkit#6521", ""),
        ("inconsistent-graph-state", r"inconsistent graph state", "moby/buildkit#2303", ""),
        ("internal-not-found", r"^internal: not found|code = internal .*not found", "moby/buildkit#5784", ""),
    )
)


@lru_cache(maxsize=4096)
def signature_of(error: str) -> str:
    """Return an error without what differs from build to build; empty for an empty one.

    Args:
        error: as a client told it: its last line, or several.
    """
    text = " ".join(_ANSI.sub("", error[:_READ]).split())
    text = _WRAPPERS.sub("", text)
    words: list[str] = []

    def keep(match: "re.Match[str]") -> str:
        words.append(match[0])
        return f"\x00{chr(0xE000 + len(words) - 1)}\x00"

    text = _KEPT.sub(keep, text)
    for pattern, what in _RULES:
        text = pattern.sub(what, text)
    text = re.sub("\x00(.)\x00", lambda match: words[ord(match[1]) - 0xE000], text)
    return text[:_LONGEST].rstrip()


def known_failure(signature: str) -> KnownFailure | None:
    """Return what a signature is known as; None where nobody has reported it."""
    lowered = signature.lower()
    return next((known for known in _KNOWN if known.pattern.search(lowered)), None)


def diagnose_failure(error: str, *, late: bool) -> Diagnosis:
    """Return what an error comes to, in the form of every other finding's diagnosis.

    Args:
        error: as the client told it.
        late: whether the build's export had completed before.
    """
    signature = signature_of(error)
    known = known_failure(signature)
    when = "failure after the export" if late else "failure"
    named = f" ({known.name}), known: {known.link}" if known else ", not known"
    return Diagnosis(
        kind="late failure" if late else "failure",
        because=error,
        signature=known.name if known else name_of(signature),
        known=known is not None,
        fixed_in=known.fixed_in if known else {},
        link=known.link if known else "",
        sentence=f"{when}{named}: {signature or 'without a word'}",
        goroutines=(),
        frames=(),
    )


def name_of(signature: str) -> str:
    """Return a name for a signature that nobody has named: the same in every run."""
    return f"unknown-{hashlib.sha256(f'failure {signature}'.encode()).hexdigest()[:_HASHED]}"
