"""A step that ran again although the same build had done it before, and nothing had been removed since.

What is the same build is told by its actor and its arguments, and a step by its name there: digests of steps differ
from client to client, for the context's has the session in it. Only what the first build had come to the end of before
the second began counts, so builds beside each other say nothing.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import anyio

from harness.client.detectors.base import Detection, Success
from harness.core.outcome import Symptom

_STEP: Final = re.compile(r"\] (RUN|COPY|ADD) ")
"""What the name of a step says that the cache is for; the rest of a Dockerfile's vertexes are sources and metadata."""
_Build = tuple[str, tuple[tuple[str, str], ...]]


class CacheMisses:
    """The steps that one daemon has done, and must have in its cache as long as nobody removes anything."""

    def __init__(self) -> None:
        self._done: dict[_Build, dict[str, float]] = {}
        """When each step of each build was first known to be done."""
        self._disturbers = 0

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Forget all that is done: something that may remove it goes on meanwhile."""
        self._disturbers += 1
        self._done.clear()
        try:
            yield
        finally:
            self._disturbers -= 1
            self._done.clear()

    def weigh(self, build: Success) -> Detection | None:
        """Return a finding where a step ran that was done before the build began; remember what is done now."""
        if self._disturbers or not build.uses_cache:
            return None
        steps: dict[str, bool] = {}
        for vertex in build.steps:
            if _STEP.search(vertex.name) and vertex.completed and not vertex.error:
                steps[vertex.name] = steps.get(vertex.name, False) or vertex.cached
        done = self._done.setdefault((build.actor, (*sorted(build.args.items()),)), {})
        again = [name for name, cached in steps.items() if not cached and done.get(name, build.started) < build.started]
        for name in steps:
            done.setdefault(name, anyio.current_time())
        if not again:
            return None
        more = f", and {len(again) - 1} more" if len(again) > 1 else ""
        text = f"ran again, though nothing had changed and nothing had been removed: {again[0]}{more}"
        return Detection(Symptom.MISS, error=text)
