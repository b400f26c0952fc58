"""What a hung daemon still does, asked of it right after the hang: what the report had to find out by hand.

The questions are put in an order in which none spoils the next: first builds, then the records, then the daemon's end
and its restart on the same root.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio

from harness.client.detectors.table import detectors
from harness.client.watched_build import Watch, judge_client
from harness.core.errors import CaptureError, SubjectError
from harness.core.outcome import Outcome
from harness.core.records import AftermathAnswer, Said
from harness.daemons.base import BuildRequest, Daemon, Restartable, TellsBuilds
from harness.host.attended_clock import AttendedClock
from harness.host.proc import child
from harness.scenario import Detect

TERM_SECONDS: Final = 10.0
"""How long a daemon may take to stop on SIGTERM before the answer is no."""


@dataclass(frozen=True)
class Probes:
    """The builds to ask with."""

    same: BuildRequest
    """The one that hung."""
    other: Path
    """The context of another Dockerfile, which shares no step with it."""


async def examine(daemon: Daemon, probes: Probes, thresholds: Detect) -> Mapping[str, AftermathAnswer]:
    """Put every question to a daemon that has just hung, and return the answers by question, in order."""
    answers: dict[str, AftermathAnswer] = {}
    same = probes.same
    fresh = {key: f"{value}-again" for key, value in same.args.items()}
    other = replace(
        same,
        context=probes.other,
        args=fresh,
        tag=f"{same.tag}-aftermath",
        cache_to=None,
        cache_from=(),
        targets=(),
    )
    answers["same_build_hangs"] = await _build(daemon, same, thresholds, Outcome.HANG)
    if fresh:
        answers["new_argument_hangs"] = await _build(daemon, replace(same, args=fresh), thresholds, Outcome.HANG)
    else:
        answers["new_argument_hangs"] = AftermathAnswer("not asked", 0.0, "the build has no argument")
    answers["other_dockerfile_hangs"] = await _build(daemon, other, thresholds, Outcome.HANG)
    answers["records_stay_running"] = await _records(daemon)
    if not isinstance(daemon, Restartable):
        unasked = AftermathAnswer("not asked", 0.0, "the daemon is not ours to stop")
        return answers | dict.fromkeys(("stops_on_sigterm", "restart_heals", "same_build_works_after"), unasked)
    began = anyio.current_time()
    stopped = await daemon.stop(TERM_SECONDS)
    answers["stops_on_sigterm"] = AftermathAnswer("yes" if stopped else "no", anyio.current_time() - began)
    answers["restart_heals"] = await _restart(daemon)
    if answers["restart_heals"].said == "yes":
        answers["same_build_works_after"] = await _build(daemon, same, thresholds, Outcome.OK)
    else:
        answers["same_build_works_after"] = AftermathAnswer("not asked", 0.0, "the daemon did not come up")
    return answers


async def _build(daemon: Daemon, request: BuildRequest, thresholds: Detect, asked: Outcome) -> AftermathAnswer:
    """Run one build, watched like any other; say whether it came to the outcome that is asked for."""
    began, attention, rules = anyio.current_time(), AttendedClock(), detectors(thresholds)
    async with child(daemon.build(request)) as client:
        watch = Watch("aftermath", request, client, attention)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attention.keep, lambda: watch.look(rules))
            tasks.start_soon(watch.listen)
            with watch.patience:
                await watch.wait()
            tasks.cancel_scope.cancel()
        verdict = judge_client(watch, daemon.facts.pid)
    said: Said = "yes" if verdict.outcome is asked else "no"
    detail = verdict.error or ("" if verdict.outcome in {Outcome.HANG, Outcome.OK} else f"it came to {verdict.outcome}")
    return AftermathAnswer(said, anyio.current_time() - began, detail)


async def _records(daemon: Daemon) -> AftermathAnswer:
    """Ask whether the daemon still lists builds as running, now that no client is left."""
    began = anyio.current_time()
    if not isinstance(daemon, TellsBuilds):
        return AftermathAnswer("not asked", 0.0, "this daemon's client cannot list build records")
    try:
        running = len(await daemon.builds())
    except CaptureError as error:
        return AftermathAnswer("not asked", anyio.current_time() - began, str(error))
    return AftermathAnswer("yes" if running else "no", anyio.current_time() - began, f"{running} of them")


async def _restart(daemon: Restartable) -> AftermathAnswer:
    began = anyio.current_time()
    try:
        await daemon.start()
    except SubjectError as error:
        return AftermathAnswer("no", anyio.current_time() - began, str(error))
    return AftermathAnswer("yes", anyio.current_time() - began)
