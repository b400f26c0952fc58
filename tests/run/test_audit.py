"""Audits: what is read out of a daemon, and when the load waits for them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import anyio
import psutil
import pytest

from harness.buildkit.goroutines.parse import goroutines
from harness.core.errors import CaptureError
from harness.core.manifest import DaemonFacts
from harness.core.outcome import Outcome
from harness.core.records import Audit, Finding, GoroutineGroup, Iteration
from harness.daemons.base import BuildRecords, BuildRequest, PruneRequest, RunningBuild
from harness.host.proc import Command
from harness.run.audit import Auditor, grouped
from harness.scenario.model import AuditSpec
from tests.buildkit.test_bbolt import REAL
from tests.support.stub_runs import SEEN_WITHIN, TIGHT, run, write_scenario

DUMP = Path(__file__).parents[1] / "data" / "goroutines" / "leak-dockerd-28.5.2-idle.txt"


def dump(ids: Sequence[int]) -> str:
    """Return a dump of goroutines that are alike but for their ids."""
    stack = "main.wait(0x1)\n\t/src/main.go:12 +0x1a\ncreated by main.start in goroutine 1\n\t/src/main.go:7 +0x2b\n"
    return "\n".join(f"goroutine {number} [select]:\n{stack}" for number in ids)


class Told:
    """A daemon that says what it is told to."""

    facts = DaemonFacts("told", "", "", "", private=True)

    def __init__(self, *dumps: str | None, counts: Sequence[int | None] = (), running: int | None = 0) -> None:
        self._dumps, self._counts, self._running = [*dumps], [*counts], running
        self.asked = 0

    async def goroutine_count(self) -> int | None:
        """Return the counts in turn, and the last one again and again."""
        self.asked += 1
        return self._counts.pop(0) if len(self._counts) > 1 else (self._counts or [5])[0]

    async def goroutine_dump(self, deadline: float) -> str:
        """Return the next dump, or fail."""
        text = self._dumps.pop(0)
        if text is None:
            raise CaptureError(f"no answer within {deadline} s")
        return text

    async def builds(self) -> Sequence[RunningBuild]:
        """Return as many as there are, or fail."""
        if self._running is None:
            raise CaptureError("no such command")
        return [RunningBuild(str(number)) for number in range(self._running)]

    async def build_records(self) -> BuildRecords:
        """Not asked for here."""
        raise NotImplementedError

    async def cache_records(self) -> str:
        """Return two records as `du --verbose` prints them, or fail."""
        if self._running is None:
            raise CaptureError("no such command")
        return "ID:\t\ta\nSize:\t\t1B\n\nID:\t\tb\nParents:\ta\n\nTotal:\t1B\n"

    async def iteration_of(self, ref: str) -> int | None:
        """Not asked for here."""
        raise NotImplementedError

    async def progress(self, ref: str) -> bytes:
        """Not asked for here."""
        raise NotImplementedError

    def build(self, request: BuildRequest) -> Command:
        """Not asked for here."""
        raise NotImplementedError

    def prune(self, request: PruneRequest) -> Command | None:
        """Not asked for here."""
        raise NotImplementedError

    async def answers(self) -> bool:
        """Not asked for here."""
        raise NotImplementedError

    async def ended(self) -> int:
        """Not asked for here."""
        raise NotImplementedError


async def look(auditor: Auditor, daemon: Told, *, pids: Sequence[int] = (1,), iteration: int = 0) -> Audit:
    """Make one audit."""
    since = anyio.current_time()
    return await auditor.audit(daemon, pids, [psutil.Process()], iteration=iteration, began=since, since=since)


def test_a_dump_in_groups() -> None:
    """Of the leaking dockerd's dump the largest group is what the report names: gRPC's client streams, in select."""
    with DUMP.open("rb") as file:
        groups = grouped(goroutines(file))
    stream = "google.golang.org/grpc.newClientStreamWithParams"
    assert groups[0] == GoroutineGroup(stream, "select", f"{stream}.func4", 95)
    assert len(groups) == 20
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)


@pytest.mark.anyio
async def test_what_lasts_is_what_an_earlier_audit_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goroutines last by their ids: not at first, nor those that came since, nor those of a new process."""
    monkeypatch.setattr("harness.run.audit._LASTING_SECONDS", 0.001)
    auditor, daemon = (
        Auditor(count(1).__next__),
        Told(dump([1, 2, 3]), dump([2, 3, 4, 5]), dump([2, 4, 5, 9]), dump([2, 4]), dump([2])),
    )
    first, second, third = [await look(auditor, daemon, iteration=number) for number in (5, 10, 15)]
    assert [(each.iteration, each.series, each.goroutines, each.lasting) for each in (first, second, third)] == [
        (5, 1, 3, None),
        (10, 1, 4, 2),
        (15, 1, 4, 3),
    ]
    assert first.groups == ()
    assert second.groups == (GoroutineGroup("main.start", "select", "main.wait", 2),)
    assert (first.quiet, first.running) == (True, 0)
    assert first.open_files is not None
    assert first.rss is not None
    fourth, fifth = [await look(auditor, daemon, pids=(2,), iteration=number) for number in (20, 25)]
    assert [(each.series, each.lasting) for each in (fourth, fifth)] == [(2, None), (2, 1)]
    changes = [([each.ids for each in audit.came], audit.gone) for audit in (first, second, third, fourth, fifth)]
    assert changes == [([], ()), ([(2, 3)], ()), ([(4, 5)], (3,)), ([], ()), ([(2,)], ())], "by each audit, by its ids"


def test_what_an_audit_saw_a_moment_ago_does_not_last() -> None:
    """What counts is the latest audit that is long enough ago: nothing is said before there is one."""
    auditor, lasting = Auditor(count(1).__next__), []
    for number, at in enumerate([0.0, 5.0, 12.0, 13.0, 25.0]):
        found = [*goroutines(dump(range(number, number + 4)).encode().splitlines())]
        lasting.append(auditor._lasting(found, at))
    ids = [None if each is None else [goroutine.id for goroutine in each] for each in lasting]
    assert ids == [None, None, [2, 3], [3], [4, 5, 6]], "those of 0 s, of 0 s again, and of 13 s"


@pytest.mark.anyio
async def test_rest_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that falls is waited for until it stays, give or take one; one that never stays is given up."""
    monkeypatch.setattr("harness.run.audit._APART_SECONDS", 0.001)
    falling = Told(dump([1]), counts=[90, 70, 50, 30, 10, 11, 10, 10])
    assert (await look(Auditor(count(1).__next__), falling)).quiet
    assert falling.asked == 8
    monkeypatch.setattr("harness.run.audit._QUIET_SECONDS", 0.1)
    restless = Told(dump([1]), counts=[5, 9] * 10_000)
    found = await look(Auditor(count(1).__next__), restless)
    assert (found.quiet, found.goroutines) == (False, 1)


@pytest.mark.anyio
async def test_the_cache_is_counted_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """To list thousands of records costs the daemon: how many there are is known at the first audit, and then not."""
    auditor, daemon = Auditor(count(1).__next__), Told(*[dump([1])] * 4)
    assert [(await look(auditor, daemon)).cache for _ in range(2)] == [2, None]
    monkeypatch.setattr("harness.run.audit._COUNT_SECONDS", 0.0)
    assert (await look(auditor, daemon)).cache == 2
    assert (await look(Auditor(count(1).__next__), Told(dump([1]), running=None))).cache is None


@pytest.mark.anyio
async def test_a_daemon_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a daemon does not say in time is recorded as not known."""
    monkeypatch.setattr("harness.run.audit._LASTING_SECONDS", 0.001)
    monkeypatch.setattr("harness.run.audit._QUIET_SECONDS", 0.05)
    auditor, daemon = Auditor(count(1).__next__), Told(None, dump([1, 2]), dump([1]), counts=[None], running=None)
    found = [await look(auditor, daemon) for _ in range(3)]
    assert [(each.quiet, each.goroutines, each.lasting, each.running) for each in found] == [
        (False, None, None, None),
        (False, 2, None, None),
        (False, 1, 1, None),
    ]


@pytest.mark.usefixtures("cache")
def test_no_build_is_in_flight_at_an_audit(tmp_path: Path) -> None:
    """Four lines stop together at every fifth build, also after the last one, and go on: none overlaps an audit."""
    scenario = write_scenario(tmp_path, build={"parallel": 4}, stop={"iterations": 20}, audit={"every": 5})
    code, output, folder = run(scenario)
    assert code == 0, output
    audits, builds = folder.read(Audit), folder.read(Iteration)
    assert [audit.iteration for audit in audits] == [5, 10, 15, 20]
    assert len(builds) == 20
    for audit in audits:
        for build in builds:
            assert build.exited is not None
            if build.number <= audit.iteration:
                assert build.exited <= audit.at
            else:
                assert build.started >= audit.at
    assert all(audit.open_files and audit.rss for audit in audits)
    summary = folder.summary()
    assert summary is not None
    assert summary.leak is None, "the stub has no goroutines"


@pytest.mark.usefixtures("cache")
def test_a_hang_is_found_while_an_audit_waits_for_it(tmp_path: Path) -> None:
    """A client that hangs holds the audit up until it is found, and is found as in time as ever."""
    scenario = write_scenario(
        tmp_path,
        build={"parallel": 3},
        clients={"5": "hang"},
        stop={"iterations": 12, "on": ["stall"]},
        audit={"every": 6},
    )
    code, output, folder = run(scenario)
    assert code == 125, output
    (finding,) = folder.read(Finding)
    assert finding.iteration == 5
    assert finding.waited <= TIGHT + SEEN_WITHIN
    assert [audit.iteration for audit in folder.read(Audit)] == [6, 12]
    assert folder.read(Audit)[0].at > finding.at
    assert sum(build.outcome is Outcome.OK for build in folder.read(Iteration)) == 11


@pytest.mark.usefixtures("cache")
def test_an_audit_is_given_up_at_the_end(tmp_path: Path) -> None:
    """Where a run's time ends while an audit waits for a build, the run ends, and the audit is not made."""
    scenario = write_scenario(
        tmp_path,
        build={"parallel": 2},
        clients={"3": "60"},
        stop={"time": "12s"},
        detect={"export_hang": "1m", "stall": "2m"},
        audit={"every": 4},
    )
    code, output, folder = run(scenario)
    assert code == 0, output
    assert folder.read(Audit) == []
    assert len(folder.read(Iteration)) == 4


@pytest.mark.usefixtures("cache")
def test_a_renewed_daemon_is_another_series(tmp_path: Path) -> None:
    """Iterations between audits are counted from each daemon's start, and each daemon is a series of its own."""
    scenario = write_scenario(
        tmp_path,
        daemon={"kind": "stub", "renew": {"every": 5}},
        stop={"iterations": 12},
        audit={"every": 2},
    )
    _, output, folder = run(scenario)
    audits = [(audit.series, audit.iteration) for audit in folder.read(Audit)]
    assert audits == [(1, 2), (1, 4), (2, 7), (2, 9), (3, 12)], output


@pytest.mark.anyio
async def test_cache_graph(tmp_path: Path) -> None:
    """Where the daemon's root is known its graph is read: how large it is, and what of it contradicts itself."""
    (tmp_path / "cache.db").write_bytes(REAL.read_bytes())
    daemon = Told(dump([1]), dump([1]))
    audits = Auditor(count(1).__next__)

    async def audit() -> Audit:
        return await audits.audit(daemon, (), (), iteration=1, began=0.0, since=0.0)

    assert (await audit()).graph_keys is None
    daemon.facts = DaemonFacts("told", "", "", "", private=True, root=tmp_path)
    found = await audit()
    assert (found.graph_keys, len(found.graph_faults)) == (60, 1)


class Kept(Told):
    """A daemon with a heap, a root on disk, and a cache that a prune empties."""

    def __init__(self, root: Path) -> None:
        super().__init__(dump([1]))
        self.facts = replace(Told.facts, root=root)
        self.asked_for: list[dict[str, str | int]] = []

    async def page(self, path: str, deadline: float, **query: str | int) -> bytes | None:  # noqa: ARG002 — the Protocol's
        """Return a page of the heap, as Go writes one."""
        assert path == "/debug/pprof/heap"
        self.asked_for.append(query)
        return b"heap profile: 1: 2 [3: 4] @ heap/1048576\n\n# runtime.MemStats\n# Alloc = 1\n# HeapAlloc = 4711\n"

    def prune(self, request: PruneRequest) -> Command:
        """Return what removes all but one file."""
        assert (request.what, request.all) == ("everything", True)
        return Command(("rm", str(self.facts.root and self.facts.root / "cached")))

    async def cache_records(self) -> str:
        """Return one record."""
        return "ID: x\n"


@pytest.mark.anyio
async def test_what_else_is_looked_at(tmp_path: Path) -> None:
    """Only where it is asked for: the heap after two collections, what a full prune leaves, what idle processes use."""
    (tmp_path / "cached").write_bytes(b"x" * 100_000)
    (tmp_path / "kept").write_bytes(b"x" * 200_000)
    us = [psutil.Process()]
    spec = AuditSpec(every=1, memory=True, disk=True, cpu=True)
    for asked in (None, spec):
        daemon = Kept(tmp_path)
        found = await Auditor(count(1).__next__, asked).audit(daemon, [1], us, iteration=1, began=0.0, since=0.0)
        if asked is None:
            assert (found.heap, found.disk, found.kept_records, found.idle_cores) == (None,) * 4
            assert (tmp_path / "cached").exists()
            continue
        assert found.heap == 4711
        assert daemon.asked_for == [{"gc": 1, "debug": 1}] * 2
        assert found.disk is not None
        assert 200_000 <= found.disk < 300_000
        assert found.kept_records == 1
        assert found.idle_cores is not None
