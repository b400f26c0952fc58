"""`repro affected`: which known hangs a daemon has, by its version, and whether it shows one now."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import typer

from harness.attach.daemon import locate, open_found
from harness.attach.traces import Traces, look_for_traces
from harness.buildkit.goroutines.signatures import Signature, signatures
from harness.buildkit.known import DaemonRelease, cure, known_in, range_of, shows
from harness.cli.console import Console
from harness.cli.options import BadOption, complete_spec
from harness.cli.output import on_the_way
from harness.core.errors import Interrupted, UnknownKind
from harness.core.outcome import ExitCode
from harness.host.interrupt import interruptible
from harness.toolchain import resolve
from harness.toolchain.base import version_of
from harness.toolchain.programs import programs_in

_NAMED: Final = re.compile(r"(docker|buildkit|image):(?:.*:)?(v?\d+\.\d+\S*)")
"""A specification that says its version, so that nothing is fetched to learn it."""


def affected(
    daemon: Annotated[
        str,
        typer.Option(
            metavar="host|SOCKET|PID|SPEC",
            help="A daemon that runs, or binaries as `repro run --daemon` takes them.",
            autocompletion=complete_spec,
        ),
    ] = "host",
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Judge by this known hang alone; again for more.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Say which known hangs a daemon has, how each shows, whether it shows one now, and which release to take.

    Nothing of a running daemon is started or changed; it is looked at for some seconds. Exits with 0: no known bug that
    a release has fixed, and no trace of a hang; 1: it has one, or hangs now; 125: its version is not known.
    """
    names = [signature.name for signature in signatures()]
    for name in only or ():
        if name not in names:
            raise UnknownKind("known bug", name, names)
    release, traces = anyio.run(_look, daemon, (lambda _: None) if as_json else on_the_way)
    found = tuple(each for each in known_in(release) if not only or each.name in only)
    fixed = [signature for signature in found if signature.fixed_in]
    hangs = traces is not None and traces.hangs
    code = ExitCode.HANG if hangs or fixed else ExitCode.CLEAN if release.is_known else ExitCode.INCONCLUSIVE
    advice = cure(fixed, release)
    if as_json:
        print(json.dumps(_as_object(release, traces, found, advice, code), indent=1))  # noqa: T201 — for machines
    else:
        _tell(Console(highlight=False), release, traces, found, advice, only)
    return code


async def _look(spec: str, doing: Callable[[str], None]) -> tuple[DaemonRelease, Traces | None]:
    if (named := _NAMED.fullmatch(spec)) is not None:
        kind = "dockerd" if named[1] == "docker" or "docker" in spec.partition(":")[2].split(":")[0] else "buildkitd"
        return DaemonRelease.of({"kind": kind, "version": named[2]}), None
    found: tuple[DaemonRelease, Traces | None] | None = None
    async with interruptible() as interrupt:
        with interrupt.cancellable():
            doing(f"looking at {spec} for some seconds" if _runs(spec) else f"asking {spec} for its version")
            found = await (_of_running(spec) if _runs(spec) else _of_binaries(spec))
    if found is None:
        raise Interrupted
    return found


def _runs(spec: str) -> bool:
    """Whether that names a daemon that runs, and not binaries."""
    return spec == "host" or spec.isdecimal() or spec.startswith(("unix://", "tcp://")) or Path(spec).is_socket()


async def _of_running(spec: str) -> tuple[DaemonRelease, Traces]:
    async with open_found(await locate(spec)) as daemon:
        traces = await look_for_traces(daemon)
        return DaemonRelease.of({"kind": daemon.facts.kind, "version": daemon.facts.version}), traces


async def _of_binaries(spec: str) -> tuple[DaemonRelease, None]:
    """Return the version of binaries; of a folder's, the daemon's program alone is asked."""
    folder = Path(spec.removeprefix("path:")).expanduser()
    found = programs_in(folder, folder / "bin") if folder.is_dir() else {}
    for kind in ("buildkitd", "dockerd"):
        if kind in found:
            return DaemonRelease.of({"kind": kind, "version": await version_of(kind, found[kind])}), None
    toolchain = await resolve(spec)
    for kind in toolchain.kinds:
        return DaemonRelease.of({"kind": kind, "version": toolchain.binaries[kind].version}), None
    raise BadOption("--daemon", f"{spec!r} has neither a dockerd nor a buildkitd")


def _as_object(
    release: DaemonRelease, traces: Traces | None, found: tuple[Signature, ...], advice: str, code: ExitCode
) -> dict[str, Any]:
    known = [
        {
            "name": each.name,
            "means": each.means.strip(),
            "shows": shows(each),
            "in": range_of(each),
            "may_be": each.suspect,
            "fixed_in": dict(each.fixed_in),
            "link": each.link,
        }
        for each in found
    ]
    now = asdict(traces) | {"hangs": traces.hangs, "busy_for_nothing": traces.is_busy_for_nothing} if traces else None
    return {"release": asdict(release), "known": known, "now": now, "take": advice, "exit_code": int(code)}


def _tell(
    console: Console,
    release: DaemonRelease,
    traces: Traces | None,
    found: tuple[Signature, ...],
    advice: str,
    only: list[str] | None,
) -> None:
    def say(line: str, style: str = "") -> None:
        console.print(line, style=style, markup=False, soft_wrap=True)

    fixed = [each for each in found if each.fixed_in]
    for each in found:
        say(f"{each.name}  {range_of(each)}; {each.link}", "bold")
        say(f"    {shows(each)}: {each.means.strip()}")
    if traces:
        _tell_traces(say, traces)
    say(f"daemon      {release}")
    if traces and traces.hangs and traces.diagnosis:
        say(f"HANGS NOW   {traces.diagnosis.sentence}", "bold red")
        say("next        `repro capture` takes the evidence while it lasts; a restart of the daemon heals most hangs")
    if fixed:
        names = ", ".join(each.name for each in fixed)
        say(f"AFFECTED    by {len(fixed)} known bugs that a release has fixed: {names}", "bold red")
        say(f"take        {advice}")
    elif not release.is_known:
        say("UNKNOWN     the daemon does not say its version, so it cannot be held against what is known", "yellow")
    else:
        say(f"NOT AFFECTED  by {' or '.join(only or ()) or 'any known bug that a release has fixed'}", "bold green")
        say("next        `repro run prune-race --daemon SPEC` looks for what is not known yet")


def _tell_traces(say: Callable[[str], None], traces: Traces) -> None:
    running = "not known" if traces.running is None else str(traces.running)
    resting = f"; {len(traces.resting)} with nothing left to do, and not returned" if traces.resting else ""
    say(f"builds      running: {running}{resting}")
    if traces.cores is not None:
        idle = ", with no build in it" if traces.is_busy_for_nothing else ""
        say(f"CPU         {traces.cores:.2f} cores{idle}")
    if traces.diagnosis:
        say(f"goroutines  {traces.diagnosis.kind}: {traces.diagnosis.because}")
    for what, why in traces.unanswered.items():
        say(f"not seen    {what}: {why}")
