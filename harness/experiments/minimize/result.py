"""What a search leaves, in a folder that can be sent: scenario, contexts, ``reproduce.sh`` and ``RATE.md``."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from harness.analysis.watched_rate import watched_rate
from harness.core.errors import InfraError
from harness.core.outcome import Outcome
from harness.core.units import counted
from harness.experiments.minimize.case import Case, kind_of
from harness.experiments.minimize.script import NoStraightLine, script_of
from harness.experiments.minimize.search import Minimized
from harness.experiments.minimize.sequential import Bounds, Tally
from harness.host.proc import Command, Completed, running
from harness.store.minimized import SCRIPT
from harness.toolchain import resolve

_DEADLINE_SECONDS: Final = 180.0
_CLEAN_SECONDS: Final = 10.0


class ScriptBroke(InfraError):
    """A script that ended neither with what it is to show nor without."""

    def __init__(self, output: str) -> None:
        super().__init__(f"{SCRIPT} broke: {' '.join(output.split())[-400:]}")


@dataclass(frozen=True)
class Measured:
    """How often a script showed what it is to show, with one toolchain."""

    toolchain: str
    version: str
    tally: Tally

    def __str__(self) -> str:
        """Return it as a row of a table."""
        exact = watched_rate(self.tally.hangs, self.tally.trials)
        return f"| {self.toolchain} | {self.version} | {self.tally} | {exact.interval} |"


def write(folder: Path, case: Case, about: str, kind: str = Outcome.HANG) -> str:
    """Write the scenario, the contexts and, where the case has that form, the script; return why not, where not."""
    folder.mkdir(parents=True, exist_ok=True)
    reduced = Case({"name": case.scenario["name"], "about": about, **case.tree()}, case.contexts)
    reduced.write(folder)
    try:
        text = script_of(case, about, kind)
    except NoStraightLine as reason:
        (folder / SCRIPT).unlink(missing_ok=True)
        return str(reason)
    (folder / SCRIPT).write_text(text)
    (folder / SCRIPT).chmod(0o755)
    return ""


async def measure(folder: Path, spec: str, attempts: int, kind: str, report: Callable[[str], None]) -> Measured:
    """Run the script so often with a toolchain's programs, in an environment that has nothing else.

    Args:
        folder: the result's.
        spec: the toolchain.
        attempts: how often.
        kind: what it shows: a `hang`, a `failure`.
        told: hears of each.

    Raises:
        UsageError: the toolchain has no buildkitd.
        InfraError: it cannot be obtained.
        ScriptBroke: the script did.
    """
    toolchain = await resolve(spec)
    toolchain.require("buildkitd")
    programs = folder.parent / "bin" / spec.replace("/", "_").replace(":", "_")
    programs.mkdir(parents=True, exist_ok=True)
    for name, binary in toolchain.binaries.items():
        (programs / name).unlink(missing_ok=True)
        (programs / name).symlink_to(binary.path)
    tally = Tally()
    environment = {"BUILDKIT_BIN": str(programs.resolve()), "PATH": os.environ.get("PATH", os.defpath)}
    script = (folder / SCRIPT).resolve()
    command = Command(("env", "-i", *(f"{key}={value}" for key, value in environment.items()), str(script)))
    for number in range(1, attempts + 1):
        done = await _run(command)
        if done.returncode not in {0, 1}:
            raise ScriptBroke(done.stdout + done.stderr)
        tally = tally.with_one(hung=done.returncode == 1)
        report(f"{SCRIPT} {number} of {attempts} with {spec}: {kind.upper() if done.returncode else f'no {kind}'}")
    version = toolchain.binaries["buildkitd"].version
    return Measured(spec, version, tally)


async def _run(command: Command) -> Completed:
    """Run it to its end; one that is cut off cleans up after itself."""
    async with running(command) as script:
        try:
            return await script.completed(_DEADLINE_SECONDS, check=False)
        finally:
            with anyio.CancelScope(shield=True):
                await script.child.end(_CLEAN_SECONDS)


def rates(found: Minimized, why_no_script: str, measured: list[Measured], bounds: Bounds, looked_for: str) -> str:
    """Return ``RATE.md``; `looked_for` is the kind of finding and its signature."""
    kinds = [kind_of(actor) for actor in found.case.actors]
    acts = ", ".join(counted(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))
    lines = [f"# How often `{found.case.scenario['name']}` shows it", ""]
    lines += [f"{acts}. The {looked_for}.", ""]
    if measured:
        lines += [f"`{SCRIPT}`, each attempt on a fresh daemon, in an empty environment:", ""]
        lines += [
            "| daemon | version | seen | 95 % interval of the rate |",
            "|---|---|---|---|",
            *map(str, measured),
            "",
        ]
    if why_no_script:
        lines += [f"There is no `{SCRIPT}`: {why_no_script}. `repro run scenario.yaml` runs it.", ""]
    exact, before = watched_rate(found.tally.hangs, found.tally.trials), found.original
    lines += [
        f"`scenario.yaml` while it was searched for: {found.tally} attempts (95 %: {exact.interval}); what it was made "
        f"from: {before} attempts.",
        "",
        f"A change that lowered the rate to {bounds.ratio:g} times what it was, or less, stayed with a chance of at "
        f"most {bounds.kept_wrongly:g}; one that did not lower it was undone with at most "
        f"{bounds.dropped_wrongly:g}; each, on average over what the rate may be. "
        + ("No part of it can be left out." if found.whole else "The time was over before every part had been tried."),
        "",
        *[f"- {change}" for change in found.changes],
    ]
    return "\n".join(lines) + "\n"
