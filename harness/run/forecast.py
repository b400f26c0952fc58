"""What a scenario will do, in plain words, and what of it will have no effect though it can be run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.actors.base import Actor
from harness.analysis.leak import AUDITS_NEEDED
from harness.core.errors import StoreError
from harness.core.outcome import Outcome, Symptom
from harness.core.records import Summary
from harness.core.units import format_duration, format_size, ordinal
from harness.host.hostinfo import DISK_FLOOR
from harness.scenario import Scenario
from harness.store.folder import RunFolder

_LEAST_ITERATIONS: Final = 20
"""Fewer say little of a pace."""


def in_words(scenario: Scenario, results: Path) -> Iterator[tuple[str, str]]:
    """Yield what each part of a scenario will do, by the part's name.

    Args:
        scenario: as it would be run.
        results: where an earlier run of it says how fast it goes.
    """
    for name, spec in (scenario.daemons or {"daemon": scenario.daemon}).items():
        kind = spec.wanted_kind or "dockerd or buildkitd"
        host = spec.toolchain == "host"
        limits = ", ".join(
            f"{what} at most {known}"
            for what, known in (
                ("memory", spec.limits.memory and format_size(spec.limits.memory)),
                ("disk", spec.limits.disk and format_size(spec.limits.disk)),
                ("cpus", spec.limits.cpus and f"{spec.limits.cpus:g}"),
            )
            if known
        )
        whose = "the host's own" if host else "a private one, gone afterwards"
        renewed = f"; a fresh one every {spec.renew.every:,} builds" if spec.renew else ""
        yield name, f"{kind}, {whose}, of toolchain {spec.toolchain}{f'; {limits}' if limits else ''}{renewed}"
    for actor in _actors(scenario):
        yield actor.name, f"{actor.in_words}{f'; {_when(actor)}' if actor.when else ''}"
    if needs := "; ".join(_needs(scenario)):
        yield "needs", needs
    yield "finds", "; ".join(_finds(scenario))
    yield "ends", " or ".join(_ends(scenario))
    if taken := sum(each.disk for actor in _actors(scenario) for each in actor.burdens(scenario.daemon)):
        yield (
            "disk",
            f"{format_size(taken)} beside what the daemon keeps; it begins with {format_size(DISK_FLOOR)} free",
        )
    if earlier := _earlier(scenario, results):
        run, summary = earlier
        yield "pace", f"{_pace(scenario, summary)}, as run {run.name} had it"


def _needs(scenario: Scenario) -> Iterator[str]:
    """Yield what not every builder can do, with who can; a daemon is asked as it comes up."""
    for actor in _actors(scenario):
        for ask in actor.asks():
            if condition := ask.ability.condition:
                yield f"to {ask.ability.what} ({actor.name}.{ask.key}): {condition}"


def _finds(scenario: Scenario) -> Iterator[str]:
    """Yield what is a finding; of what always is one, as a daemon's death, what is hunted."""
    detect, hunted = scenario.detect, scenario.stop.hunted
    hang = f"a build that has exported, and whose client is still there {format_duration(detect.export_hang)} later"
    yield f"a hang: {hang}"
    yield f"a stall: no word for {format_duration(detect.stall)}"
    if detect.failures:
        yield f"a failure with {' or '.join(map(repr, detect.failures))}"
    elif Symptom.FAILURE in hunted:
        yield "any failure of a build"
    if Outcome.LATE_FAILURE in hunted:
        yield "a client that fails although its export has completed"
    if Symptom.DEATH in hunted:
        yield "a daemon that ends by itself, or does not start again"
    if Symptom.ACT in hunted:
        yield f"an act without an answer for {format_duration(detect.act)}"
    if scenario.audit:
        yield f"growth, at audits after every {ordinal(scenario.audit.every)}build"
    if scenario.looks_at_graph:
        yield "a cache graph that contradicts itself"
    if scenario.looks_at_misses:
        yield "a step that runs again for no reason"
    if scenario.slow_times:
        yield f"a client that returns {scenario.slow_times:g} times later than others"
    if any(getattr(actor, "verify", False) for actor in scenario.actors):
        yield "a result that does not hold what was asked for"


def doubts(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Yield what will hardly ever, or never, have an effect: the key, and why."""
    stop, detect = scenario.stop, scenario.detect
    for actor in _actors(scenario):
        for doubt in actor.doubts(scenario):
            yield ".".join(("actors", actor.name, *map(str, doubt.path))), doubt.message
    for hunted, after in (("export_hang", detect.export_hang), ("stall", detect.stall)):
        known = Outcome.STALL if hunted == "stall" else Outcome.HANG
        if stop.time is not None and after >= stop.time and known in stop.hunted:
            why = (
                f"finds nothing: the run ends after {format_duration(stop.time)}, before {format_duration(after)} pass"
            )
            yield f"detect.{hunted}", why
    if detect.failures and Symptom.FAILURE not in stop.hunted:
        why = (
            "is told and captured, and neither ends the run nor decides its verdict: for that say `stop.on: [failure]`"
        )
        yield "detect.failure", why
    for symptom in sorted({Symptom.GROWTH, Symptom.INCONSISTENCY} & stop.hunted if scenario.audit is None else ()):
        others = " but at other findings" if symptom is Symptom.INCONSISTENCY else ""
        yield "stop.on", f"`{symptom}` is looked for at audits, and not{others} without: say `audit: {{every: 20}}`"
    limit = stop.iterations
    for name, spec in (scenario.daemons or {"": scenario.daemon}).items():
        where = f"daemons.{name}" if name else "daemon"
        lives = min((each for each in (limit, spec.renew and spec.renew.every) if each), default=None)
        if spec.renew and limit and spec.renew.every > limit:
            yield f"{where}.renew.every", f"renews nothing: the run ends after {limit:,} iterations"
        if scenario.audit and lives and scenario.audit.every * AUDITS_NEEDED > lives:
            why = f"says nothing: it takes {AUDITS_NEEDED} looks at one daemon, which has {lives:,} iterations"
            yield "audit.every", why


def _actors(scenario: Scenario) -> list[Actor]:
    return [actor for actor in scenario.actors if isinstance(actor, Actor)]


def _when(actor: Actor) -> str:
    when = actor.when
    if when is None:
        return ""
    return when.in_words + (f", each time for {format_duration(when.lasting)}" if when.lasting else "")


def _ends(scenario: Scenario) -> Iterator[str]:
    stop = scenario.stop
    if scenario.findings_wanted:
        kinds = " or ".join(stop.on)
        yield f"at the first {kinds}" if scenario.findings_wanted == 1 else f"after {scenario.findings_wanted} hangs"
    if stop.iterations is not None:
        yield f"after {stop.iterations:,} builds"
    if stop.time is not None:
        yield f"after {format_duration(stop.time)}"


def _earlier(scenario: Scenario, results: Path) -> tuple[RunFolder, Summary] | None:
    """Return the latest run of the scenario that says how fast it goes."""
    for file in sorted((results / scenario.name).glob("*/summary.json"), reverse=True):
        run = RunFolder(file.parent)
        try:
            summary = run.summary()
        except StoreError:
            continue
        if summary and summary.iterations >= _LEAST_ITERATIONS and summary.iterations_per_minute:
            return run, summary
    return None


def _pace(scenario: Scenario, summary: Summary) -> str:
    stop, pace = scenario.stop, summary.iterations_per_minute
    ends = [stop.time] if stop.time is not None else []
    ends += [60 * stop.iterations / pace] if stop.iterations is not None else []
    seconds = min(ends)
    return f"about {pace:.0f} builds a minute: {seconds * pace / 60:,.0f} builds in {format_duration(round(seconds))}"
