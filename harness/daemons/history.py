"""What clients print of the builds that a daemon holds to be running: which those are, and how far each has come."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import anyio

from harness.core.errors import CaptureError
from harness.daemons.base import ITERATION_ARG, RunningBuild
from harness.host.proc import Command, child

_FOLLOW_SECONDS: Final = 3.0
"""How long a client that follows a build is listened to: what has been is told at once."""
_ATTRIBUTE: Final = f"build-arg:{ITERATION_ARG}"


def running_in_buildctl(text: str) -> tuple[RunningBuild, ...]:
    """Return the running builds in ``buildctl debug histories --format json``: those without ``CompletedAt``."""
    records = [event.get("record") or {} for event in _objects(text)]
    return tuple(
        RunningBuild(str(record.get("Ref")), _number((record.get("FrontendAttrs") or {}).get(_ATTRIBUTE)))
        for record in records
        if record and not record.get("CompletedAt")
    )


def running_in_buildx(text: str) -> tuple[RunningBuild, ...]:
    """Return the running builds in ``buildx history ls --no-trunc --format json``; their arguments are not in it.

    A ``ref`` there is ``default/default/yzeidc79…``: the builder, its node, and the name that other commands take.
    """
    running = [record for record in _objects(text) if str(record.get("status")).lower() == "running"]
    return tuple(RunningBuild(str(record.get("ref")).rpartition("/")[2]) for record in running)


def iteration_in_buildx(text: str) -> int | None:
    """Return the iteration in ``buildx history inspect --format json``; None where it is no build of ours."""
    try:
        record = json.loads(text)
        given = {arg["Name"]: arg["Value"] for arg in record.get("BuildArgs") or ()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaptureError(f"the record of a build cannot be read: {error}") from error
    return _number(given.get(ITERATION_ARG))


async def tee(command: Command) -> bytes:
    """Return what a client prints that follows a build: to its end, or for a while.

    Raises:
        CaptureError: it printed no progress: the build is gone, or the daemon does not answer.
    """
    received = bytearray()
    async with child(command) as client:
        with anyio.move_on_after(_FOLLOW_SECONDS):
            async for chunk in client.output():
                received += chunk
    if not any(line.startswith(b"{") for line in received.splitlines()):
        said = " ".join(received.decode(errors="replace").split())
        raise CaptureError(f"no progress within {_FOLLOW_SECONDS:g} s: {said or 'not a word'}")
    return bytes(received)


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects, one a line.

    Raises:
        CaptureError: a line is none.
    """
    for line in text.splitlines():
        try:
            item = json.loads(line)
        except ValueError as error:
            raise CaptureError(f"the records of builds cannot be read: {line[:200]}") from error
        if isinstance(item, dict):
            yield item


def _number(text: object) -> int | None:
    return int(text) if isinstance(text, str) and text.isdecimal() else None
