"""What is found on one daemon: recorded at once, then its evidence captured, diagnosed, and told to the user's command.

A hang ends its daemon's part in the run (`FindingRecorder.hung`); what ends because of it is for the session to say.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import anyio
import anyio.to_thread

from harness.actors.base import Unanswered
from harness.buildkit.cache_db import read_graph
from harness.client.watched_build import Watch
from harness.core.errors import CaptureError
from harness.core.files import write_whole
from harness.core.outcome import Outcome, Phase, Symptom
from harness.core.records import Finding
from harness.daemons.base import Daemon
from harness.evidence.database import DatabaseCopy, find_database
from harness.evidence.steps import BuildSteps, RecentBuilds, Steps
from harness.evidence.table import (
    DUMPS_ALONE,
    Stages,
    capture_all,
    of_build,
    of_death,
    of_failure,
    of_graph,
    of_growth,
    of_orphan,
)
from harness.run.conductor import Conductor
from harness.run.graph_state import DATABASES, account_of_faults, fault_lines
from harness.run.notify import notify
from harness.run.orphans import Orphan
from harness.run.webhook import post

_APART_SECONDS: Final = 1.0
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class FindingRecorder:
    """Records what one daemon has shown, and captures the evidence of it.

    Args:
        conductor: the run's.
        daemon: the one under test.
        generation: which daemon of the run it is, from 1.
        inflight: the builds that run now, by iteration; of the caller, who keeps it up to date.
    """

    def __init__(self, conductor: Conductor, daemon: Daemon, generation: int, inflight: Mapping[int, Watch]) -> None:
        self.hang: Finding | None = None
        """The daemon's first."""
        self.hung = False
        """Whether the daemon has shown what the scenario hunts."""
        self._conductor, self._scenario = conductor, conductor.scenario
        self._daemon, self._generation, self._inflight = daemon, generation, inflight
        self._recent = RecentBuilds()
        self._contradicted = False
        """Whether its cache graph was found to contradict itself."""
        log = daemon.facts.log
        self._log_before = log.stat().st_size if log and log.is_file() else 0
        """Bytes of its log that are an earlier daemon's."""

    def ended(self, watch: Watch) -> None:
        """Remember the steps of a build that is over, for findings soon after it."""
        self._recent.add(BuildSteps.of(watch, self._conductor.began))

    async def build(self, watch: Watch) -> None:
        """Record what a detector found of a build whose client still waits, or has just ended."""
        assert watch.found is not None  # noqa: S101 — what brings a watch here
        found = watch.found
        finding = replace(
            self._finding(found.kind, watch.iteration, watch.actor, waited=found.waited, detail=found.error),
            args=watch.request.args,
            phase=watch.progress.came_to,
            completed_steps=watch.progress.completed_vertexes,
            last_progress=tuple(watch.progress.last),
        )
        output = "\n".join([*watch.progress.last, *watch.progress.messages]) + "\n"

        def evidence() -> Stages:
            others = [other for other in self._inflight.values() if other is not watch]
            return of_failure(others, self._steps()) if found.error else of_build(watch, others, self._steps())

        await self._record(finding, output.encode(), evidence, found.dumps)

    async def orphan(self, orphan: Orphan) -> None:
        """Record that the daemon still holds a build whose client is gone."""
        build = orphan.iteration
        finding = replace(
            self._finding(orphan.outcome, build.number, build.actor, waited=orphan.waited),
            args=build.args,
            phase=orphan.progress.phase,
            completed_steps=orphan.progress.completed_vertexes,
            last_progress=tuple(orphan.progress.last),
            seen_by="history",
        )
        self._conductor.database.amend(build.number, outcome=finding.kind, seen_by=finding.seen_by)
        await self._record(finding, orphan.log, lambda: of_orphan([*self._inflight.values()], self._steps(orphan)))

    async def unanswered(self, act: Unanswered) -> None:
        """Record an act that did not come back; its evidence is that of a build that lost its client."""
        finding = self._finding(Symptom.ACT, self._conductor.begun, act.actor, waited=act.waited, detail=act.what)
        await self._record(finding, b"", lambda: of_orphan([*self._inflight.values()], self._steps()))

    async def growth(self, what: str, text: str) -> None:
        """Record that something grows without bound."""
        finding = self._finding(Symptom.GROWTH, self._conductor.begun, what, detail=f"{what}: {text}")
        await self._record(finding, b"", lambda: of_growth([*self._inflight.values()], self._steps()))

    async def death(self, how: str) -> bool:
        """Record that the daemon is gone, and return whether the scenario hunts that."""
        kind = self._daemon.facts.kind
        finding = self._finding(Symptom.DEATH, self._conductor.begun, kind, detail=how)
        await self._record(replace(finding, phase=Phase.EXITED), b"", lambda: of_death(self._log_before))
        return finding.hunted

    async def inconsistency(self) -> None:
        """Find a cache graph that contradicts itself, where the scenario looks for that; once a daemon.

        It is read twice, seconds apart: what is found is in both, and the second is kept. Where it cannot be read,
        nothing is said.
        """
        conductor, daemon = self._conductor, self._daemon
        if self._contradicted or not self._scenario.looks_at_graph:
            return
        first = await anyio.to_thread.run_sync(_faults_of, daemon, abandon_on_cancel=True)
        if not first:
            return
        await anyio.sleep(_APART_SECONDS)
        finding = self._finding(Symptom.INCONSISTENCY, conductor.begun, daemon.facts.kind)
        folder = conductor.folder.evidence(finding)
        folder.path.mkdir(exist_ok=True)
        captured = await capture_all(daemon, folder.path, (tuple(map(DatabaseCopy, DATABASES)),))
        again = await anyio.to_thread.run_sync(_faults_in, folder.path / "cache.db")
        lasting = [fault for fault in first if fault in again]
        if not lasting or self._contradicted:
            shutil.rmtree(folder.path, ignore_errors=True)
            return
        self._contradicted = True
        write_whole(folder.path / "inconsistency.txt", account_of_faults(folder.path, lasting).encode())
        finding = replace(finding, detail="\n".join(lasting))
        await self._record(finding, b"", of_graph, results=captured)

    def _finding(
        self, kind: Outcome | Symptom, iteration: int, actor: str, *, waited: float = 0.0, detail: str = ""
    ) -> Finding:
        """Return a finding of now, of no build's progress."""
        return Finding(
            iteration=iteration,
            kind=kind,
            at=anyio.current_time() - self._conductor.began,
            actor=actor,
            args={},
            phase=Phase.STARTED,
            waited=waited,
            completed_steps=0,
            last_progress=(),
            hunted=kind in self._scenario.stop.hunted,
            generation=self._generation,
            detail=detail,
        )

    def _steps(self, orphan: Orphan | None = None) -> Steps:
        """Return the builds in flight and those that have ended, with what the daemon says of one without a client."""
        began = self._conductor.began
        began_at = time.time() - (anyio.current_time() - began)
        builds = [*self._recent, *(BuildSteps.of(watch, began) for watch in self._inflight.values())]
        if orphan:
            text = orphan.progress.vertexes.values()
            builds = [
                build.with_steps(text) if build.iteration == orphan.iteration.number else build for build in builds
            ]
        return Steps(builds, began_at)

    async def _record(
        self,
        finding: Finding,
        output: bytes,
        evidence: Callable[[], Stages],
        dumps: Path | None = None,
        results: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Record a finding, then capture what there is to see of it.

        Args:
            finding: what was found.
            output: the progress of its build, as rawjson; empty where it has none.
            evidence: what to capture, asked for when its turn has come.
            dumps: the folder of those that there are already; it is removed.
            results: what became of what was captured to find it.
        """
        conductor = self._conductor
        conductor.database.add(finding)
        conductor.observer.found(finding)
        if finding.kind is Outcome.HANG and self.hang is None:
            self.hang = finding
        folder = conductor.folder.evidence(finding)
        folder.path.mkdir(exist_ok=True)
        if output:
            write_whole(folder.path / "progress.jsonl", output)
        if dumps:
            for dump in dumps.glob("goroutines-*.txt"):
                dump.rename(folder.path / dump.name)
            shutil.rmtree(dumps, ignore_errors=True)
        async with conductor.capturing:  # one at a time; who comes second may find that the run has what it needs
            if not self.hung and conductor.may_capture(finding.kind):
                await self._capture(finding, evidence(), results)
            if finding.hunted and not self.hung:
                self.hung = True
                conductor.hunted()
        await self.inconsistency()

    async def _capture(self, finding: Finding, stages: Stages, results: Mapping[str, str]) -> None:
        """Capture the evidence of a finding, diagnose it, and run the user's command for it."""
        conductor, scenario, facts = self._conductor, self._scenario, self._daemon.facts
        folder = conductor.folder.evidence(finding)

        def tell(number: int, of: int) -> None:
            conductor.observer.doing(f"capturing the evidence of iteration {finding.iteration}, step {number} of {of}")

        wanted = DUMPS_ALONE if scenario.on_hang.capture == "dumps" else stages
        captured = {**results, **await capture_all(self._daemon, folder.path, wanted, tell)}
        subject = {"kind": facts.kind, "version": facts.version}
        diagnosis = await anyio.to_thread.run_sync(folder.write_diagnosis, subject, finding)
        if command := scenario.on_finding:
            captured["on_finding"] = await notify(command, conductor.folder, scenario.name, finding, diagnosis)
        if webhook := scenario.webhook:
            captured["webhook"] = await post(webhook, conductor.folder, scenario.name, finding, diagnosis)
        folder.write_captured(captured)


def _faults_of(daemon: Daemon) -> tuple[str, ...]:
    """Return what contradicts itself in a daemon's graph now; nothing where it cannot be read."""
    with suppress(CaptureError, OSError):
        return _faults_in(find_database(daemon.facts, "cache.db"))
    return ()


def _faults_in(file: Path) -> tuple[str, ...]:
    with suppress(CaptureError, OSError):
        return fault_lines(read_graph(file))
    return ()
