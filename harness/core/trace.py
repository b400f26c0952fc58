"""Trace ids for our clients (W3C Trace Context), by which each line of a daemon's log names its build.

buildctl and buildx take them from ``TRACEPARENT``, as BuildKit's own steps do; without it each makes one up. The
control API takes them from the header ``traceparent``.
"""

import hashlib
from typing import Final

_NAME_BYTES: Final = 8
VARIABLE: Final = "TRACEPARENT"


def trace_of(actor: str, number: int) -> str:
    """Return the trace id of an actor's build, by its iteration, or of its act, by its count: 32 hex digits."""
    return hashlib.sha256(f"repro {actor}".encode()).digest()[:_NAME_BYTES].hex() + f"{number:016x}"


def parent_of(actor: str, number: int) -> str:
    """Return what a request is sent with to have that trace id: it is traced, as a client's is anyway."""
    trace = trace_of(actor, number)
    return f"00-{trace}-{trace[-16:]}-01"


def environment_of(actor: str, number: int) -> dict[str, str]:
    """Return what a client's environment has for the client to send it."""
    return {VARIABLE: parent_of(actor, number)}
