"""A run from its start to its verdict, and one that died from where it stood.

1. The host is checked (`preflight`), the toolchain is had, and the kind of daemon is chosen. Of a scenario with several
   daemons, this is done for each; then the other steps are gone through side by side.
2. The run folder is made; `scenario.yaml` and `run.json` are written.
3. The actors set up what they need on disk.
4. The daemon is started, and awaited; the actors act on it, until the scenario's end, a finding or an interrupt
   (`Conductor`); one that hung is asked what it still does (`aftermath`); it is ended, and everything in its ledger is
   given back. A scenario that renews its daemon does this again and again.
5. What was set up on disk is removed.
6. The verdict is computed from the records (`judge`), and `summary.json` is written last.

A run that is gone on with has its folder: what it left on the host is given back, what was in flight is recorded as cut
off, and the other steps are as above, on a fresh daemon.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import anyio

from harness import __version__
from harness.core.errors import Interrupted, UsageError
from harness.core.manifest import Programs, Resumption, RunManifest
from harness.core.outcome import Ending
from harness.core.records import FORMAT, Summary
from harness.core.rng import first_seed
from harness.host.cache import cache_folder
from harness.host.hostinfo import describe, require_bearable
from harness.host.interrupt import interruptible, unheard
from harness.run.disk_budget import require_budget
from harness.run.observer import Reporter
from harness.run.plan import RunOptions, plan_run
from harness.run.preflight import require_fit
from harness.run.reclaim import reclaim
from harness.run.run import Run
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from harness.store.resume_point import ResumePoint, mark_cut_off, resume_point_of
from harness.toolchain import Toolchain

_UNFINISHED: Final = {Ending.INTERRUPTED, Ending.INFRA}
_BOUNDED: Final = {Ending.ITERATIONS, Ending.TIME}


class WhichDaemon(UsageError):
    """One toolchain for a scenario that names several."""

    def __init__(self, daemons: Iterable[str]) -> None:
        super().__init__(
            f"--daemon says one toolchain, and the scenario has {', '.join(daemons)}: "
            f"say --set daemons.{next(iter(daemons))}.toolchain=SPEC"
        )


class ShardsOfMany(UsageError):
    """Shards of a scenario that has several daemons already."""

    def __init__(self) -> None:
        super().__init__("--shards is for a scenario with one daemon: leave it out, or `daemons`")


class Ended(UsageError):
    """A run that has nothing left to do."""

    def __init__(self, folder: RunFolder, summary: Summary) -> None:
        why = f"it ended by itself ({summary.ending}: {summary.verdict})"
        more = "; for more, say --iterations or --time" if summary.ending in _BOUNDED else ""
        super().__init__(f"{folder.path} cannot be gone on with: {why}{more}")


class NeverBegan(UsageError):
    """A run that died before it had a daemon."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(f"{folder.path} died before its first iteration: run its scenario again")


class OtherToolchain(UsageError):
    """Binaries that are not those that the run began with."""

    def __init__(self, folder: RunFolder, spec: str, programs: Iterable[str]) -> None:
        super().__init__(
            f"{folder.path} began with other binaries than toolchain {spec!r} has now ({', '.join(programs)}): "
            "iterations on both would be one figure of two daemons; start a new run"
        )


async def run_scenario(
    scenario: Scenario,
    options: RunOptions,
    audience_of: Callable[[str], Reporter],
    interrupted: Callable[[int], None] = unheard,
) -> list[tuple[Summary, RunFolder]]:
    """Run a scenario against each of its daemons, side by side; see the steps above.

    SIGINT and SIGTERM end it at once, and cleanly.

    Args:
        scenario: with one daemon, or with several by name.
        options: what the command line adds.
        audience_of: who looks on, by the daemon's name; a single one has none.
        interrupted: hears of each signal that is to end it, and which one it is, from 1.

    Returns:
        What each run came to, and its folder, in the order of the daemons.

    Raises:
        UsageError, InfraError: before the run folders were made. After that, what goes wrong is in the summaries.
        Interrupted: before the run folders were made.
    """
    if scenario.daemons and options.toolchain:
        raise WhichDaemon(scenario.daemons)
    if scenario.daemons and options.shards > 1:
        raise ShardsOfMany
    require_fit()
    async with interruptible(interrupted) as interrupt:
        plans = []
        with interrupt.cancellable():
            for name, each in scenario.by_daemon().items():
                plans.append(await plan_run(name, each, options, audience_of(name).doing))
        if interrupt.came:
            raise Interrupted
        require_bearable([burden for plan in plans for burden in plan.burdens(options.shards)], cache_folder("daemons"))
        for plan in plans if not options.anyway else ():
            require_budget(plan.scenario, options.results, cache_folder("daemons"))
        seed = first_seed(options.seed, scenario.seed)
        runs = [
            Run(
                plan,
                RunFolder.create(options.results, scenario.name),
                _manifest(plan.name, options, plan.toolchain, seed),
                audience_of(plan.name),
            )
            for plan in plans
        ]
        summaries: dict[Path, Summary] = {}

        async def go(run: Run) -> None:
            with run.folder.locked():
                summaries[run.folder.path] = await run.through(interrupt)

        async with anyio.create_task_group() as tasks:
            for run in runs:
                tasks.start_soon(go, run)
    return [(summaries[run.folder.path], run.folder) for run in runs]


async def resume_run(
    folder: RunFolder,
    scenario: Scenario,
    argv: tuple[str, ...],
    audience: Reporter,
    interrupted: Callable[[int], None] = unheard,
) -> Summary:
    """Go on with a run that died, was interrupted, or has got a later end, with the seed that it had.

    Args:
        folder: the run's.
        scenario: what it has in `scenario.yaml`; its `stop` may be another.
        argv: the command line.
        audience: who looks on.
        interrupted: hears of each signal that is to end it, and which one it is, from 1.

    Raises:
        RunGoesOn, Ended, NeverBegan, OtherToolchain: it is not to be gone on with.
        UsageError, InfraError: it cannot be, here and now.
        Interrupted: before it went on.
    """
    with folder.locked():
        manifest = folder.manifest()
        if not (folder.path / "run.db").exists():
            raise NeverBegan(folder)
        past, summary = resume_point_of(folder), folder.summary()
        if summary and not _has_more(summary, scenario, past):
            raise Ended(folder, summary)
        require_fit()
        options = RunOptions(
            results=folder.path.parent,
            toolchain=manifest.toolchain.spec,
            allow_host_damage=manifest.allow_host_damage,
        )
        async with interruptible(interrupted) as interrupt:
            with interrupt.cancellable():
                stays = await reclaim(lambda ledger: ledger.is_of(folder.name))
                plan = await plan_run(manifest.name, scenario, options, audience.doing)
            if interrupt.came:
                raise Interrupted
            had = manifest.toolchain.hashes
            has = {program: binary.sha256 for program, binary in plan.toolchain.binaries.items()}
            if had != has:
                differing = sorted(program for program in had | has if had.get(program) != has.get(program))
                raise OtherToolchain(folder, plan.toolchain.spec, differing)
            require_bearable([*plan.burdens(manifest.shards)], cache_folder("daemons"))
            mark_cut_off(folder)
            (folder.path / "summary.json").unlink(missing_ok=True)
            resumption = Resumption(_now(), argv, past.begun, past.seconds)
            manifest = replace(manifest, kept=None, pid=os.getpid(), resumed=(*manifest.resumed, resumption))
            return await Run(plan, folder, manifest, audience, past, left_behind=stays).through(interrupt)


def _has_more(summary: Summary, scenario: Scenario, past: ResumePoint) -> bool:
    """Whether a run that ended has anything left to do."""
    stop = scenario.stop
    later = (stop.iterations is None or past.begun < stop.iterations) and (
        stop.time is None or past.seconds < stop.time
    )
    return summary.ending in _UNFINISHED or (summary.ending in _BOUNDED and later)


def _manifest(name: str, options: RunOptions, toolchain: Toolchain, seed: int) -> RunManifest:
    """Return what is known of a run from its start."""
    return RunManifest(
        format=FORMAT,
        harness=__version__,
        argv=options.argv,
        pid=os.getpid(),
        started=_now(),
        seed=seed,
        name=name,
        shards=options.shards,
        keep=options.keep,
        allow_host_damage=options.allow_host_damage,
        toolchain=Programs(toolchain.spec, toolchain.binaries),
        part_of=options.part_of,
        host=describe(cache_folder("daemons")),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
