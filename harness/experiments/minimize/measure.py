"""How often ``reproduce.sh`` shows what it is to show: each attempt on a fresh daemon, in an empty environment."""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from harness.analysis.watched_rate import watched_rate
from harness.core.errors import InfraError, UsageError
from harness.daemons.base import Slot
from harness.daemons.dockerd import open_dockerd
from harness.experiments.minimize.sequential import Tally
from harness.host.ledger import Ledger
from harness.host.proc import Command, Completed, running
from harness.scenario import DaemonSpec
from harness.store.minimized import SCRIPT
from harness.toolchain import Toolchain, equip, resolve

_DEADLINE_SECONDS: Final = 180.0
_CLEAN_SECONDS: Final = 10.0


class ScriptBroke(InfraError):
    """A script that ended neither with what it is to show nor without."""

    def __init__(self, output: str) -> None:
        super().__init__(f"{SCRIPT} broke: {' '.join(output.split())[-400:]}")


class NotMeasured(UsageError):
    """A script for a builder that this harness does not start by itself: it might be the user's own."""

    def __init__(self, driver: str) -> None:
        super().__init__(
            f"{SCRIPT} was not tried: it needs a builder of the driver {driver}; run it where there is one"
        )


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


async def measure(
    folder: Path, spec: str, daemon: DaemonSpec, attempts: int, kind: str, report: Callable[[str], None]
) -> Measured:
    """Run the script so often with a toolchain's programs, in an environment that has nothing else.

    A buildkitd is the script's own; a dockerd is private, and one for each attempt.

    Args:
        folder: the result's.
        spec: the toolchain.
        daemon: the scenario's.
        attempts: how often.
        kind: what it shows: a `hang`, a `failure`.
        report: hears of each.

    Raises:
        UsageError: the toolchain has no such daemon, or the script needs a builder that is none of ours.
        InfraError: it cannot be obtained.
        DaemonStartError: a dockerd does not start.
        ScriptBroke: the script did.
    """
    if daemon.driver not in {None, "docker", "buildctl"}:
        raise NotMeasured(f"a builder of the driver {daemon.driver}")
    toolchain = await equip(await resolve(spec), None)
    if toolchain.endpoint:
        raise NotMeasured("the host's own daemon")
    subject = daemon.wanted_kind or "buildkitd"
    toolchain.require(subject)
    programs = folder.parent / "bin" / spec.replace("/", "_").replace(":", "_")
    programs.mkdir(parents=True, exist_ok=True)
    for name, binary in toolchain.binaries.items():
        (programs / name).unlink(missing_ok=True)
        (programs / name).symlink_to(binary.path)
    path, tally = os.environ.get("PATH", os.defpath), Tally()
    for number in range(1, attempts + 1):
        if subject == "dockerd":
            async with _fresh_dockerd(toolchain, daemon, folder.parent) as client:
                done = await _run(folder / SCRIPT, {**client, "PATH": f"{programs.resolve()}:{path}"})
        else:
            done = await _run(folder / SCRIPT, {"BUILDKIT_BIN": str(programs.resolve()), "PATH": path})
        if done.returncode not in {0, 1}:
            raise ScriptBroke(done.stdout + done.stderr)
        tally = tally.with_one(hung=done.returncode == 1)
        report(f"{SCRIPT} {number} of {attempts} with {spec}: {kind.upper() if done.returncode else f'no {kind}'}")
    return Measured(spec, toolchain.binaries[subject].version, tally)


@asynccontextmanager
async def _fresh_dockerd(toolchain: Toolchain, daemon: DaemonSpec, folder: Path) -> AsyncIterator[Mapping[str, str]]:
    """Start a private dockerd; yield what its client's environment says of it."""
    name = f"{folder.name}-{secrets.token_hex(2)}"
    ledger = Ledger.open(name)
    records = folder / "dockerd" / name
    records.mkdir(parents=True)
    try:
        async with open_dockerd(toolchain, daemon, Slot(name, records, ledger)) as dockerd:
            client = dockerd.client
            yield {**client.environment, "DOCKER_HOST": client.address, "BUILDX_BUILDER": "default"}
    finally:
        with anyio.CancelScope(shield=True):
            await ledger.reclaim()


async def _run(script: Path, environment: Mapping[str, str]) -> Completed:
    """Run it to its end; one that is cut off cleans up after itself."""
    words = (f"{key}={value}" for key, value in environment.items())
    async with running(Command(("env", "-i", *words, str(script.resolve())))) as started:
        try:
            return await started.completed(_DEADLINE_SECONDS, check=False)
        finally:
            with anyio.CancelScope(shield=True):
                await started.child.end(_CLEAN_SECONDS)
