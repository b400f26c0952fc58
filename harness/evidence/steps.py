"""The steps of the build that hangs, and of builds beside and shortly before it: which steps they shared."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from harness.buildkit.progress import Vertex
from harness.client.watched_build import Watch
from harness.core.errors import CaptureError, StoreError
from harness.core.files import read_bytes
from harness.core.outcome import Phase
from harness.evidence.base import Subject

_MOST_STEPS: Final = 20_000
"""Of builds that have ended, together: some ten megabytes."""


@dataclass(frozen=True)
class BuildSteps:
    """One build with its steps; times are seconds since the run began."""

    iteration: int
    actor: str
    args: Mapping[str, str]
    started: float
    killed: float | None
    exited: float | None
    steps: tuple[Vertex, ...]

    @classmethod
    def of(cls, watch: Watch, began: float) -> "BuildSteps":
        """Return those of a build that is, or was, watched; `began`: the monotonic time of the run's start."""
        reached = watch.progress.reached
        return cls(
            watch.iteration,
            watch.actor,
            watch.request.args,
            reached[Phase.STARTED] - began,
            None if watch.killed is None else watch.killed - began,
            reached[Phase.EXITED] - began if Phase.EXITED in reached else None,
            tuple(watch.progress.vertexes.values()),
        )

    def with_steps(self, later: Iterable[Vertex]) -> "BuildSteps":
        """Return it with what was learnt of its steps after its client had ended."""
        steps = {step.digest: step for step in (*self.steps, *later)}
        return replace(self, steps=tuple(steps.values()))


class RecentBuilds:
    """Builds that have ended, the latest ones: they may be why another hangs."""

    def __init__(self) -> None:
        self._builds: deque[BuildSteps] = deque()
        self._steps = 0

    def add(self, build: BuildSteps) -> None:
        """Take one that has ended; those that ended longest ago go."""
        self._builds.append(build)
        self._steps += len(build.steps)
        while self._steps > _MOST_STEPS and len(self._builds) > 1:
            self._steps -= len(self._builds.popleft().steps)

    def __iter__(self) -> Iterator[BuildSteps]:
        """Return them, the one that ended first before the others."""
        return iter(self._builds)


@dataclass(frozen=True)
class Steps:
    """``steps.json``: `began`, when the run began by the clock in seconds since 1970; `builds`, each with its steps."""

    builds: Sequence[BuildSteps]
    began: float
    name: str = "steps"
    deadline: float = 2.0

    async def capture(self, daemon: Subject, folder: Path) -> None:  # noqa: ARG002 — we have heard it all ourselves
        """Write what the builds' clients were told of their steps."""
        if not self.builds:
            raise CaptureError("no build was watched")
        written = {"began": self.began, "builds": [asdict(build) for build in self.builds]}
        (folder / "steps.json").write_text(json.dumps(written, indent=1) + "\n")


def read_steps(folder: Path) -> Steps | None:
    """Return the steps in a finding's folder; None where there are none."""
    try:
        written = json.loads(read_bytes(folder / "steps.json"))
        builds = [
            BuildSteps(
                **{**build, "steps": tuple(Vertex(**{**s, "inputs": tuple(s["inputs"])}) for s in build["steps"])}
            )
            for build in written["builds"]
        ]
        return Steps(builds, float(written["began"]))
    except (StoreError, ValueError, TypeError, KeyError):
        return None
