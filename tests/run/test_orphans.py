"""Builds that were timed out: what becomes of their records, told by a history of our own, and by the stub's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.cli.display.totals import Totals
from harness.core.errors import CaptureError
from harness.core.manifest import DaemonFacts
from harness.core.outcome import Ending, Outcome, Phase, Verdict
from harness.core.records import Action, Audit, Finding, Iteration
from harness.daemons.base import BuildRequest, PruneRequest, RunningBuild
from harness.host.attended_clock import AttendedClock
from harness.host.proc import Command
from harness.run import orphans
from harness.run.orphans import Orphan, Orphans
from tests.support.stub_runs import SEEN_WITHIN, run, write_scenario

THRESHOLD = 6.0
DONE = b'{"vertexes":[{"digest":"1","name":"exporting to image","started":"a","completed":"b"}]}\n'
STEP = b'{"vertexes":[{"digest":"1","name":"[1/1] RUN true","started":"a"}]}\n'
MORE = STEP + b'{"logs":[{"vertex":"1","data":"aGVsbG8="}]}\n'


class History:
    """A daemon whose history is what a test says."""

    def __init__(self, *, says_whose: bool = False, private: bool = True) -> None:
        self.facts = DaemonFacts("told", "", "", "", private=private)
        self.records: dict[str, int | None] = {}
        self.logs: dict[str, bytes] = {}
        self.fails = False
        self.asked: list[str] = []
        self._says_whose = says_whose

    async def builds(self) -> Sequence[RunningBuild]:
        """Return the records, with or without what they are."""
        self.asked.append("builds")
        if self.fails:
            raise CaptureError("no such command")
        return [RunningBuild(ref, number if self._says_whose else None) for ref, number in self.records.items()]

    async def iteration_of(self, ref: str) -> int | None:
        """Return whose a record is."""
        self.asked.append(ref)
        return self.records[ref]

    async def progress(self, ref: str) -> bytes:
        """Return the log of a build, or fail."""
        if ref not in self.logs:
            raise CaptureError("no such job")
        return self.logs[ref]

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


class Desk:
    """Orphans of a history, looked at when a test says, with a clock that it sets."""

    def __init__(self, history: History) -> None:
        self.attention = AttendedClock()
        self.history = history
        self.found: list[Orphan] = []
        self.released: list[int] = []
        self.orphans = Orphans(history, THRESHOLD, self.attention, self._find, self.released.append)

    async def _find(self, orphan: Orphan) -> None:
        self.found.append(orphan)

    def kill(self, *numbers: int) -> None:
        """Have builds timed out now."""
        for number in numbers:
            self.orphans.expect(
                Iteration(number, "ci", {}, Outcome.TIMED_OUT, 0.0, 0.1, None, None, 1.0, 0.9, -15),
            )

    async def look(self, *seconds: float) -> None:
        """Look after so many attended seconds each."""
        for each in seconds:
            self.attention.attended += each
            await self.orphans._look(self.history)

    @property
    def outcomes(self) -> list[tuple[int, Outcome, int]]:
        """Which builds were found, as what, and after what wait."""
        return [(each.iteration.number, each.outcome, round(each.waited)) for each in self.found]


@pytest.mark.anyio
async def test_a_record_that_ends_is_released() -> None:
    """A build whose record is gone at the first look is no finding, and is not looked for again."""
    desk = Desk(History())
    desk.kill(1, 2)
    await desk.look(1.0)
    assert desk.released == [1, 2]
    assert desk.found == []
    await desk.look(100.0)
    assert desk.released == [1, 2]


@pytest.mark.anyio
@pytest.mark.parametrize("says_whose", [True, False], ids=["buildctl", "buildx"])
@pytest.mark.parametrize(
    ("log", "outcome", "phase"), [(DONE, Outcome.HANG, Phase.EXPORTED), (STEP, Outcome.STALL, Phase.SOLVING)]
)
async def test_a_record_that_stays_is_found(says_whose: bool, log: bytes, outcome: Outcome, phase: Phase) -> None:
    """A record that runs for too long is a hang where nothing is left to be done, else a stall; and found once."""
    history = History(says_whose=says_whose)
    history.records, history.logs = {"a": 1, "b": 2}, {"a": log}
    desk = Desk(history)
    desk.kill(1)
    await desk.look(2.0, 2.0, 1.9)
    assert desk.found == []
    await desk.look(0.1, 2.0, 2.0)
    assert desk.outcomes == [(1, outcome, 6)]
    assert desk.found[0].progress.phase is phase
    assert desk.released == []


@pytest.mark.anyio
async def test_a_build_that_goes_on_is_no_stall() -> None:
    """What is said after the client's end starts the time again; one that is complete then, and ends, is nothing."""
    history = History(says_whose=True)
    history.records, history.logs = {"a": 1}, {"a": STEP}
    desk = Desk(history)
    desk.kill(1)
    await desk.look(5.0)
    history.logs["a"] = MORE
    await desk.look(2.0)
    history.logs["a"] = DONE
    await desk.look(5.0, 5.0)
    history.records.clear()
    await desk.look(1.0)
    assert (desk.found, desk.released) == ([], [1])


@pytest.mark.anyio
async def test_steps_in_another_order_are_no_progress() -> None:
    """A daemon lists what has been in any order, and cuts it where it likes; that is no word of a build."""
    one, other = b'{"digest":"1","name":"RUN a"}', b'{"digest":"2","started":"x"}'
    history = History(says_whose=True)
    history.records, history.logs = {"a": 1}, {"a": b'{"vertexes":[' + one + b"," + other + b"]}\n"}
    desk = Desk(history)
    desk.kill(1)
    await desk.look(5.0)
    history.logs["a"] = b'{"vertexes":[' + other + b']}\n{"vertexes":[' + one + b']}\n{"logs":null}\nERROR: canceled\n'
    await desk.look(1.0)
    assert desk.outcomes == [(1, Outcome.STALL, 6)]


@pytest.mark.anyio
async def test_a_finding_needs_two_looks() -> None:
    """A record that is late, and complete when first looked at, may be just about to end: it is looked at again."""
    history = History(says_whose=True)
    history.records, history.logs = {"a": 1}, {"a": DONE}
    desk = Desk(history)
    desk.kill(1)
    await desk.look(60.0)
    assert desk.found == []
    history.records.clear()
    await desk.look(1.0)
    assert (desk.found, desk.released) == ([], [1])


@pytest.mark.anyio
async def test_a_new_record_is_asked_for_at_its_second_look() -> None:
    """Whose a record is costs a client: it is asked once, and not of builds that are gone by the next look."""
    history = History()
    desk = Desk(history)
    desk.kill(1)
    history.records = {"quick": 7, "slow": 8, "mine": 1}
    await desk.look(1.0)
    assert history.asked == ["builds"]
    del history.records["quick"]
    await desk.look(1.0, 1.0)
    assert sorted(history.asked) == ["builds", "builds", "builds", "mine", "slow"]
    assert desk.released == []


@pytest.mark.anyio
async def test_nothing_is_released_while_it_may_be_among_the_unknown() -> None:
    """A build is released when no record that was there at its first look can be its own, however many come anew."""
    history = History()
    desk = Desk(history)
    desk.kill(1)
    history.records = {"a": 7}
    await desk.look(1.0)
    assert desk.released == []
    history.records["b"] = 9
    await desk.look(1.0)
    assert desk.released == [1]


@pytest.mark.anyio
async def test_a_restart_takes_what_was_expected() -> None:
    """A daemon that goes down takes its running records with it: nothing is found, nothing was seen to end."""
    history = History(says_whose=True)
    history.records, history.logs = {"a": 1}, {"a": DONE}
    desk = Desk(history)
    desk.kill(1)
    await desk.look(5.0)
    desk.orphans.forget()
    await desk.look(5.0, 5.0)
    assert (desk.found, desk.released) == ([], [])


@pytest.mark.anyio
async def test_a_client_that_lists_nothing_is_left_alone() -> None:
    """An older buildx has no history: it is asked three times. One that has answered before is asked on."""
    history = History()
    desk = Desk(history)
    history.fails = True
    desk.kill(1)
    await desk.look(1.0, 1.0, 1.0)
    desk.kill(2)
    await desk.orphans.keep()  # returns, for there is nobody to ask
    assert history.asked == ["builds"] * 3
    history = History(says_whose=True)
    desk = Desk(history)
    desk.kill(1)
    history.records = {"a": 1}
    await desk.look(1.0)
    history.fails = True
    await desk.look(*[1.0] * 5)
    history.fails = False
    history.records.clear()
    await desk.look(1.0)
    assert desk.released == [1]


def test_totals_are_corrected() -> None:
    """What a screen has counted as timed out is a hang from when its finding comes."""
    totals = Totals()
    totals.add(Iteration(1, "ci", {}, Outcome.TIMED_OUT, 0.0, 0.1, None, None, 1.0, 0.9, -15))
    totals.find(Finding(1, Outcome.HANG, 9.0, "ci", {}, Phase.EXPORTED, 5.0, 1, (), hunted=True))
    assert totals.outcome_line() == "timed_out 1", "that client waits, and is counted when it ends"
    totals.find(Finding(1, Outcome.HANG, 9.0, "ci", {}, Phase.EXPORTED, 5.0, 1, (), hunted=True, seen_by="history"))
    assert totals.outcome_line() == "hang 1"


def killed(every: int) -> dict[str, Any]:
    """Return that every n-th build is killed: the others end by themselves, however long their host takes."""
    return {"kill": {"every": every, "after": "100ms"}}


KILLED = killed(1)
ORPHAN = {"export_hang": "1m", "stall": "1m", "orphan": "3s"}


@pytest.mark.usefixtures("cache")
def test_a_hang_behind_a_killed_build(tmp_path: Path) -> None:
    """A run whose every build is killed finds its hang all the same: recorded, told, with evidence, and the verdict."""
    scenario = write_scenario(
        tmp_path,
        build=KILLED | {"args": {"N": "{iteration % 4}"}},
        clients={"default": "30", "3": "orphan hang"},
        stop={"iterations": 10_000},
        detect=ORPHAN,
        on_hang={"probe": False},
    )
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert code == 1, output
    assert summary is not None
    assert (summary.verdict, summary.ending) == (Verdict.HANG, Ending.FINDINGS)
    assert summary.because.startswith("export hang at iteration 3, ")
    assert summary.because.endswith(" s into the run, behind a build that was timed out")
    assert (summary.rate.hangs, summary.rate.trials, summary.outcomes["hang"]) == (1, 1, 1)
    (finding,) = folder.read(Finding)
    assert (finding.kind, finding.seen_by, finding.args) == (Outcome.HANG, "history", {"N": "3"})
    assert 3.0 <= finding.waited < 3.0 + 2 * SEEN_WITHIN, "at the look after the threshold"
    builds = {build.number: build for build in folder.read(Iteration)}
    assert (builds[3].outcome, builds[3].seen_by, builds[3].released) == (Outcome.HANG, "history", None)
    assert builds[2].outcome is Outcome.TIMED_OUT
    assert builds[2].released is not None
    assert "exporting to image" in (folder.path / "findings" / "3" / "progress.jsonl").read_text()
    assert folder.read_json("findings/3/captured.json")["host"] == "captured"
    assert "client" not in folder.read_json("findings/3/captured.json"), "there is none"
    held = "HANG: every step has ended, and the daemon has held the build for "
    assert any(f"{held}{seconds}" in output for seconds in "345"), output


@pytest.mark.usefixtures("cache")
def test_a_stall_behind_a_killed_build(tmp_path: Path) -> None:
    """A killed build that the daemon goes on with, and does not get on with, is a stall; the run waits to see it."""
    scenario = write_scenario(
        tmp_path, build=killed(3), clients={"3": "orphan stall"}, stop={"iterations": 3}, detect=ORPHAN
    )
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert code == 125, output
    assert summary is not None
    assert (summary.ending, summary.outcomes) == (Ending.ITERATIONS, {"ok": 2, "stall": 1})
    (finding,) = folder.read(Finding)
    assert (finding.iteration, finding.kind, finding.seen_by) == (3, Outcome.STALL, "history")


@pytest.mark.usefixtures("cache")
def test_a_record_that_ends_in_time_is_nothing(tmp_path: Path) -> None:
    """A run waits after its last iteration for a record that ends in time, and is clean."""
    scenario = write_scenario(
        tmp_path,
        build=killed(2),
        clients={"2": "orphan 8"},
        stop={"iterations": 2},
        detect=ORPHAN | {"orphan": "1m"},
    )
    code, output, folder = run(scenario)
    assert code == 0, output
    first, second = folder.read(Iteration)
    assert (first.outcome, first.released) == (Outcome.OK, None)
    assert second.outcome is Outcome.TIMED_OUT
    assert second.released is not None
    assert second.killed is not None
    assert second.released - second.killed > 1.0


@pytest.mark.usefixtures("cache")
def test_what_a_run_waits_for_is_told(tmp_path: Path) -> None:
    """A run that has begun its last iteration says whom it still waits for, how long at most, and by which key."""
    scenario = write_scenario(
        tmp_path,
        build=killed(3),
        clients={"3": "orphan stall"},
        stop={"iterations": 3, "time": "16s"},
        detect=ORPHAN | {"orphan": "1h"},
    )
    _, output, folder = run(scenario)
    summary = folder.summary()
    assert summary is not None
    assert summary.ending is Ending.TIME
    assert output.count("lets go of build 3, whose client was killed, for up to 1h (`detect.orphan`)") == 1, output


@pytest.mark.anyio
async def test_many_that_are_waited_for_are_not_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them are enough, and what is over soon is not told at all."""
    told: list[str] = []
    desk = Desk(History())
    desk.kill(1, 2, 3, 4)
    await desk.orphans.drain(lambda: True, told.append)
    assert told == []
    monkeypatch.setattr(orphans, "_TELL_SECONDS", 0.0)
    await desk.orphans.drain(lambda: bool(told), told.append)
    assert "4 builds whose clients were killed (1, 2, 3, …), for up to 6s" in told[0]


@pytest.mark.anyio
async def test_a_host_that_is_held_up_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the host is held up, a build is waited for as long as makes it a finding, and no longer."""
    monkeypatch.setattr(orphans, "_LEAST_SECONDS", 0.0)
    history = History(says_whose=True)
    history.records, history.logs = {"a": 1}, {"a": DONE}
    desk = Desk(history)
    desk.orphans = Orphans(history, 0.2, desk.attention, desk._find, desk.released.append)
    desk.kill(1)
    asked = anyio.current_time()

    def later() -> bool:
        if anyio.current_time() - asked > 1.0:  # five times the threshold, none of it attended
            desk.attention.attended += 0.1
        return False

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.orphans.keep)
        await desk.orphans.drain(later, lambda _: None)
        tasks.cancel_scope.cancel()
    assert desk.attention.attended >= 0.2


@pytest.mark.usefixtures("cache")
def test_the_end_of_time_waits_for_no_record(tmp_path: Path) -> None:
    """A run whose time is up ends at once, whatever the daemon still holds; that is no finding."""
    scenario = write_scenario(
        tmp_path,
        build=killed(2),
        clients={"2": "orphan hang"},
        stop={"time": "6s"},
        detect=ORPHAN | {"orphan": "5m"},
    )
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert code == 0, output
    assert summary is not None
    assert summary.seconds < 120
    assert folder.read(Finding) == []


@pytest.mark.usefixtures("cache")
def test_records_do_not_outlive_their_daemon(tmp_path: Path) -> None:
    """After a restart of the daemon, what it held before is neither a finding nor seen to end."""
    scenario = write_scenario(
        tmp_path,
        build=KILLED | {"when": {"interval": "50ms"}},
        clients={"default": "0.01", "2": "orphan hang"},
        stop={"time": "16s"},
        detect=ORPHAN | {"orphan": "8s"},
        actors=[{"restart": "soon", "when": {"every": 3}}],
    )
    code, output, folder = run(scenario)
    assert code == 0, output
    assert folder.read(Finding) == []
    assert any(act.succeeded for act in folder.read(Action)), output
    second = next(build for build in folder.read(Iteration) if build.number == 2)
    assert (second.outcome, second.released) == (Outcome.TIMED_OUT, None)


@pytest.mark.usefixtures("cache")
def test_an_audit_counts_what_is_held(tmp_path: Path) -> None:
    """An audit tells how many builds the daemon holds that no client waits for."""
    scenario = write_scenario(
        tmp_path,
        build=KILLED,
        clients={"default": "ok", "2": "orphan 12", "3": "orphan 12"},
        stop={"iterations": 4},
        detect=ORPHAN | {"orphan": "2m"},
        audit={"every": 3},
    )
    _, output, folder = run(scenario)
    assert [audit.running for audit in folder.read(Audit)][:1] == [2], output
