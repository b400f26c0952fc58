"""The end of a run as a person reads it: details first, the verdict and what to do next last, in twelve lines."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.analysis.judge import without_a_finding
from harness.analysis.rates import rate
from harness.cli.display.summary import tell
from harness.core.outcome import Ending, ExitCode, Verdict
from harness.core.records import FORMAT, ActorTotals, AftermathAnswer, Audit, Diagnosis, Leak, Summary
from harness.report.words import rate_line
from harness.store.folder import RunFolder

LIVELOCK = Diagnosis(
    kind="livelock",
    because="one goroutine was busy in all 3 dumps",
    signature="export-livelock",
    known=True,
    fixed_in={"BuildKit": "v0.25.0", "Engine": "28.5.0"},
    link="https://github.com/moby/buildkit/issues/6209",
    sentence="livelock in solver.(*exporter).ExportTo (export-livelock): the walk turns for ever; known: fixed in …",
    goroutines=(7,),
    frames=("github.com/moby/buildkit/solver.(*exporter).ExportTo",),
)
UNKNOWN = replace(LIVELOCK, known=False, fixed_in={}, link="", sentence="deadlock in x, not known: " + "w" * 900)
CLEAN = Summary(
    format=FORMAT,
    scenario="prune-race",
    daemon={"kind": "buildkitd", "version": "v0.25.1", "toolchain": "path:/opt/b"},
    seed=8,
    verdict=Verdict.CLEAN,
    because=without_a_finding(rate(0, 429)),
    ending=Ending.ITERATIONS,
    exit_code=ExitCode.CLEAN,
    iterations=500,
    outcomes={"ok": 429, "timed_out": 71},
    first_hang=None,
    first_stall=None,
    rate=rate(0, 429),
    tail_seconds={"p50": 0.1, "p99": 0.2, "max": 0.3},
    seconds=74.0,
    iterations_per_minute=405.0,
    unattended_seconds=0.0,
)
HANG = replace(
    CLEAN,
    daemon={"kind": "buildkitd", "version": "v0.23.2", "toolchain": "path:/opt/b"},
    verdict=Verdict.HANG,
    because="export hang at iteration 2, 15.7 s into the run",
    ending=Ending.FINDINGS,
    exit_code=ExitCode.HANG,
    rate=rate(1, 24, 3),
    diagnosis=LIVELOCK,
    aftermath={"restart_heals": AftermathAnswer("yes", 0.3)},
)
LOST = replace(CLEAN, verdict=Verdict.INCONCLUSIVE, because="interrupted", ending=Ending.INTERRUPTED)
DIED = replace(LOST, because="the daemon died\n  line\n  line", ending=Ending.DAEMON_DIED)
IDLE = ActorTotals("prune", 28, 28, 0, 0)
CASES = {
    "clean": CLEAN,
    "clean with little effect": replace(CLEAN, actors={"loop": IDLE}),
    "clean of an affected release": replace(CLEAN, daemon=HANG.daemon),
    "hang, known": HANG,
    "hang, unknown": replace(HANG, diagnosis=UNKNOWN),
    "hang, no diagnosis": replace(HANG, diagnosis=None),
    "interrupted": LOST,
    "daemon died": DIED,
    "failed": replace(LOST, because="499 builds failed", ending=Ending.ITERATIONS, outcomes={"ok": 1, "failed": 499}),
    "unable": replace(LOST, because="it cannot\ngive --daemon docker:24.0.0", ending=Ending.UNABLE),
    "grows": replace(
        LOST,
        because="no build came to the end of its export",
        ending=Ending.ITERATIONS,
        outcomes={"timed_out": 30},
        rate=rate(0, 0),
        leak=Leak("yes", 40.0, 28.0, 42.0, None),
    ),
    "all killed": replace(LOST, ending=Ending.ITERATIONS, outcomes={"timed_out": 500}, rate=rate(0, 0)),
    "all cut off": replace(
        LOST,
        ending=Ending.ITERATIONS,
        outcomes={"cut_off": 500},
        rate=rate(0, 0),
        actors={"blow": ActorTotals("restart", 9, 9, 9, 9)},
    ),
    "without effect": replace(LOST, because="loop never took effect", ending=Ending.ITERATIONS, actors={"loop": IDLE}),
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run's folder, with a report."""
    made = RunFolder.create(tmp_path / "re sults", "prune-race")
    story: dict[str, Any] = {"started": "2026-11-28T07:00:00+00:00", "seed": 8, "argv": ["repro"], "pid": 1}
    made.write_json("run.json", story | {"daemon": CLEAN.daemon, "toolchain": {"spec": "path:/opt/b"}})
    with made.database():
        pass
    (made.path / "report.html").touch()
    return made


def told(folder: RunFolder, summary: Summary, width: int = 200, against: str | None = None) -> str:
    """Return what a person is shown."""
    out = io.StringIO()
    tell(Console(file=out, width=width, highlight=False), folder, summary, against)
    return out.getvalue()


def block(text: str) -> list[str]:
    """Return the last lines: those after the last empty one."""
    return text.rstrip().rpartition("\n\n")[2].splitlines()


@pytest.mark.parametrize("width", [20, 50, 80, 140])
@pytest.mark.parametrize("summary", CASES.values(), ids=CASES)
def test_the_verdict_comes_last(folder: RunFolder, summary: Summary, width: int) -> None:
    """The verdict, what to do next, the folder and the report are the last lines, twelve at most, at every width."""
    lines = block(told(folder, summary, width, against="1/100"))
    assert len(lines) <= 12
    assert lines[0].startswith(f"{summary.verdict.upper()}  ")
    names = [line.split()[0] for line in lines[1:] if line[4] != " "]
    assert names[-2:] == ["folder", "report"]
    assert "next" in names
    assert "rate" in names or summary.verdict is Verdict.CLEAN


def test_what_a_daemon_is_unable_to_is_said_once(folder: RunFolder) -> None:
    """The reason stands behind the verdict, the advice as what to do next; neither stands above as well."""
    text = told(folder, CASES["unable"])
    assert [text.count(part) for part in ("it cannot", "give --daemon docker:24.0.0")] == [1, 1]


@pytest.mark.parametrize("summary", [case for case in CASES.values() if case.verdict is Verdict.HANG])
def test_after_a_hang_nothing_says_otherwise(folder: RunFolder, summary: Summary) -> None:
    """Of a run that hung, no line says that a rate is ruled out, and none that the release is free of the hang."""
    text = told(folder, summary)
    assert "ruled out" not in text
    assert "below" not in text
    assert "rules out" not in text


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("clean", "`repro resume '{}' --iterations 5000`"),
        ("clean of an affected release", "`repro run merged-and-killed --daemon path:/opt/b`"),
        ("hang, known", "`repro verify prune-race --broken path:/opt/b --fixed buildkit:v0.25.0`"),
        ("hang, unknown", "`repro bundle '{}'`"),
        ("interrupted", "`repro resume '{}'`"),
        ("daemon died", "{}/daemon"),
        ("failed", "`repro show '{}'`"),
        ("unable", "next       give --daemon docker:24.0.0"),
        ("grows", "`repro run '{}/scenario.yaml' --set 'stop.on=[hang,growth]'`"),
        ("all killed", "let some builds come to their end: `kill` may have a `chance` below 1"),
        ("all cut off", "let some builds come to their end: the `when` of blow may have a `chance` below 1"),
        ("without effect", "`repro check '{}/scenario.yaml'`"),
    ],
)
def test_what_to_do_next(folder: RunFolder, name: str, step: str) -> None:
    """What to do next can be typed as it stands, whatever the folder is called."""
    assert step.format(folder.path) in "\n".join(block(told(folder, CASES[name])))


def test_the_fix_is_of_the_same_product(folder: RunFolder) -> None:
    """Of a dockerd the release of the Engine is named that has the fix, not the one of BuildKit."""
    daemon = {**HANG.daemon, "kind": "dockerd", "version": "28.3.3 with BuildKit v0.23.2"}
    assert "--fixed docker:28.5.0`" in told(folder, replace(HANG, daemon=daemon))


def test_the_release_is_placed(folder: RunFolder) -> None:
    """The verdict says whether the release is one of those that are known for the hang."""
    assert "BuildKit v0.25.1 has the fix of export-livelock" in told(folder, CLEAN)
    assert "BuildKit v0.23.2 is in the range of export-livelock" in told(folder, HANG)


def test_figures_agree() -> None:
    """One bound is told, in words, and the rate of a clean run is the same one: no second interval beside it."""
    assert (
        without_a_finding(CLEAN.rate)
        == "no hang in 429 builds; one in 144 builds or more often is ruled out (95 % sure)"
    )
    assert rate_line(CLEAN.rate) == "0 in 429 builds that could have hung: fewer than one in 144 (95 % sure)"
    assert without_a_finding(rate(0, 6)).startswith("no hang in 6 builds; one in 2.5 builds or more often")
    assert rate_line(HANG.rate).startswith("1 in 24 builds that could have hung: from one in ")
    assert rate_line(HANG.rate).endswith("; 3 more were ended while they waited after their export, and may have hung")
    assert rate_line(rate(0, 0)) == "0 in 0 builds that could have hung"


def test_too_few_audits_are_told(folder: RunFolder) -> None:
    """A run whose audits do not suffice for a word on growth says how many it takes; one with that word does not."""
    with folder.database() as database:
        for number in range(2):
            database.add(Audit(5 * number, 1, 1.0, 0.0, True, 60, 60, (), 40, 2**27, 0))
    assert "audits         2, and it takes 8 of one daemon to say what grows" in told(folder, CLEAN)
    assert "audits  " not in told(folder, replace(CLEAN, leak=Leak("no", 0.0, 0.0, 0.01, None)))
