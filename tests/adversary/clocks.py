"""The wall clock jumps in the middle of a run, by libfaketime; and the whole run is in a time namespace of its own.

`REPRO_FAKETIME` names a ``libfaketime.so.1``; without it that part is left out, for this host's own clock is not ours.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.core.records import Iteration
from tests.adversary.world import Options, Repro, Try, ended, summary_of, traceback_in

_JUMP_SECONDS = 3.0
JUMPS = {"a year on": "+365d", "an hour back": "-1h", "ten years back": "-3650d", "a minute back": "-60"}


def clocks(options: Options) -> Iterator[Try]:
    """Let the clock jump; see whether anything is taken for a hang, and whether times in the records make sense."""
    library = os.environ.get("REPRO_FAKETIME")
    for name, jump in JUMPS.items() if library else ():
        if options.over:
            return
        repro = Repro(options.place / name.replace(" ", "-"))
        repro.place.mkdir()
        clock = repro.place / "clock"
        clock.write_text("+0")
        env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        yield Try(f"jumps {name}", "; ".join(_ran(options, repro, env, (), clock, jump)))
    if not library:
        yield Try("jumps: left out, for REPRO_FAKETIME names no libfaketime.so.1")
    for name, option in {"monotonic": "--monotonic", "since boot": "--boottime"}.items():
        repro = Repro(options.place / name.replace(" ", "-"))
        repro.place.mkdir()
        wrapped = ("unshare", "--time", option, "1000000")
        if subprocess.run([*wrapped, "true"], check=False, capture_output=True).returncode != 0:
            yield Try(f"{name} clock: left out, for this kernel has no time namespaces")
            continue
        yield Try(f"{name} clock ahead by 11 days", "; ".join(_ran(options, repro, {}, wrapped)))


def _ran(
    options: Options,
    repro: Repro,
    env: Mapping[str, str],
    wrapped: tuple[str, ...],
    clock: Path | None = None,
    jump: str = "",
) -> list[str]:
    words = ("run", "prune-race", "--daemon", options.daemon, "--iterations", "30", "--results", str(repro.results))
    output = repro.place / "output.log"
    process = repro.start(*words, output=output, env=env, wrapped=wrapped)
    repro.begun(process)
    time.sleep(_JUMP_SECONDS)
    if clock:
        clock.write_text(jump)
    if (code := ended(process)) is None:
        return ["did not end in 240 s"]
    said = output.read_text(errors="replace")
    problems = [end] if (end := traceback_in(said)) else []
    problems += [f"exits with {code}: {said[-300:]}"] if code not in {0, 125} else []
    for run in repro.runs():
        iterations, summary = run.read(Iteration), summary_of(run)
        if any(each.exited is not None and each.exited < each.started for each in iterations):
            problems.append("an iteration ends before it begins")
        if summary is None or not 0 < summary.seconds < 240:
            problems.append(f"the run took {summary.seconds if summary else 'no'} seconds")
    return problems + repro.left()
