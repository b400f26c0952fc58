"""A run is clean only where what was to disturb its daemon did, and most of its builds were builds."""

from typing import Any

import pytest

from harness.actors.prune import removed
from harness.analysis.effects import totals_of
from harness.analysis.judge import judge
from harness.analysis.merge import RunSegment, merge
from harness.core.outcome import Ending, ExitCode, Outcome, Verdict
from harness.core.records import Action, Iteration, Summary


def act(
    actor: str = "loop", *, succeeded: bool = True, effect: int | None = None, detail: str = "", **more: Any
) -> Action:
    """Return an act."""
    acted = 1.0 if succeeded else None
    return Action(actor, "prune", 1, 1.0, 1.0, acted, 2.0, succeeded, detail, effect=effect, **more)


def build(number: int, outcome: Outcome = Outcome.OK, error: str = "") -> Iteration:
    """Return a build, with its export where it succeeded."""
    exported = 2.0 if outcome is Outcome.OK else None
    return Iteration(number, "ci", {}, outcome, 1.0, 1.1, 1.5, exported, 2.1, None, 0, error)


def verdict(actions: list[Action], builds: list[Iteration] | None = None) -> Summary:
    """Return what a run comes to that ended by itself."""
    return judge(
        builds or [build(number) for number in range(1, 41)],
        [],
        actions=actions,
        scenario="s",
        daemon={},
        seed=1,
        ending=Ending.ITERATIONS,
        detail="",
        seconds=60,
        unattended=0,
    )


NEVER = {
    "failed": ([act(succeeded=False, detail="invalid filter 'typ'")] * 28, "invalid filter 'typ'"),
    "removed-nothing": ([act(effect=0)] * 28, "prune loop never took effect: 28 acts changed nothing"),
    "cut-off-at-the-end": ([*[act(effect=0)] * 17, act()], "prune loop never took effect: 18 acts changed nothing"),
    "one-of-two": ([act(effect=5), act("other", effect=0)], "prune other never took effect"),
    "both": ([act(effect=0), act(succeeded=False, detail="no")], "and 1 more could not be done"),
}


@pytest.mark.parametrize(("actions", "said"), NEVER.values(), ids=NEVER.keys())
def test_an_actor_without_effect(actions: list[Action], said: str) -> None:
    """Where an actor never once took effect the run is inconclusive, 125, and that actor is named first."""
    summary = verdict(actions)
    assert (summary.verdict, summary.exit_code) == (Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
    assert said in summary.because


ENOUGH = {
    "once": [*[act(effect=0)] * 27, act(effect=4096)],
    "not-told": [act(effect=None)],
    "nothing-of-the-kind": [act(succeeded=False, detail="this daemon keeps no images", attempted=False)],
    "cut-off": [act(succeeded=False, detail="the run ended before it was done", attempted=False)],
    "none": [],
}


@pytest.mark.parametrize("actions", ENOUGH.values(), ids=ENOUGH.keys())
def test_an_actor_with_effect(actions: list[Action]) -> None:
    """One act that took effect is enough, and what was never attempted says nothing."""
    assert verdict(actions).verdict is Verdict.CLEAN


@pytest.mark.parametrize(("ok", "failed", "clean"), [(1, 499, False), (10, 11, False), (10, 10, True), (400, 3, True)])
def test_builds_that_fail(ok: int, failed: int, clean: bool) -> None:
    """Where more builds failed than succeeded the run is inconclusive, and the commonest error is told."""
    errors = ["no space left on device" if number % 3 else "not found" for number in range(failed)]
    builds = [build(number) for number in range(ok)]
    builds += [build(ok + number, Outcome.FAILED, error) for number, error in enumerate(errors)]
    summary = verdict([], builds)
    assert (summary.verdict is Verdict.CLEAN) is clean
    if not clean:
        assert f"{failed} builds failed and {ok} succeeded" in summary.because
        assert f"{errors.count('no space left on device')} times: no space left on device" in summary.because


def test_an_actor_that_never_acted() -> None:
    """An actor that follows something that never came makes the run inconclusive, though no act of it is recorded."""
    builds = [build(number) for number in range(1, 41)]
    given: dict[str, Any] = {"scenario": "s", "daemon": {}, "seed": 1, "detail": "", "seconds": 60, "unattended": 0}
    summary = judge(builds, [], expected={"merged-away": "kill"}, ending=Ending.ITERATIONS, **given)
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert "kill merged-away never acted" in summary.because


def test_totals() -> None:
    """What acts came to is counted by actor, with the commonest reason of those that were not done."""
    acts = [act(effect=7), act(effect=0), *[act(succeeded=False, detail="a")] * 2, act(succeeded=False, detail="b")]
    totals = totals_of(acts)["loop"]
    assert (totals.acts, totals.done, totals.effective, totals.effect, totals.reason) == (5, 2, 1, 7, "a")


PRINTED = {
    "buildctl": ("ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED\nabc\ttrue\t8.19kB\t\nTotal:\t8.19kB\n", 8190),
    "buildctl-large": ("ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED\nabc\ttrue\t526.34MB\t\nTotal:\t526.34MB", 526_340_000),
    "empty-records": ("ID\tRECLAIMABLE\tSIZE\tLAST ACCESSED\nabc\ttrue\t0B\ndef\ttrue\t0B\nTotal:\t0B\n", 2),
    "nothing": ("Total:\t0B\n", 0),
    "docker": ("Deleted build cache objects:\nabc\n\nTotal reclaimed space: 1.2GB\n", 1_200_000_000),
    "docker-nothing": ("Total reclaimed space: 0B\n", 0),
    "untold": ("Untagged: ci:latest\n", None),
    "silent": ("", None),
}


@pytest.mark.parametrize(("printed", "effect"), PRINTED.values(), ids=PRINTED.keys())
def test_what_a_prune_removed(printed: str, effect: int | None) -> None:
    """The effect of a prune is read from what its client prints."""
    assert removed(printed) == effect


def test_named_first() -> None:
    """An actor without effect is named before whatever else a run without a finding came to."""
    summary = verdict([act(effect=0)], [build(1, Outcome.FAILED, "no")])
    assert summary.because.startswith("prune loop never took effect")


def test_a_run_without_effect_spoils_a_clean_one() -> None:
    """Added to a clean run, one whose prunes never worked, or whose builds failed, is not made good by it."""
    clean = RunSegment("a", verdict([act(effect=7)]))
    for other in (
        verdict([act(succeeded=False, detail="no")] * 9),
        verdict([act(effect=7)], [build(number, Outcome.FAILED, "no") for number in range(40)]),
    ):
        assert merge([clean, RunSegment("b", other)]).verdict is Verdict.INCONCLUSIVE
        assert merge([RunSegment("b", other), clean]).exit_code is ExitCode.INCONCLUSIVE
    both = merge([clean, clean])
    assert both.verdict is Verdict.CLEAN
    assert both.actors["loop"].effect == 14
