"""Signals at bad moments: stopped for 90 s, hung up on, ended twice, interrupted at once."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

from harness.core.records import Iteration
from tests.adversary.world import Options, Repro, Try, ended, traceback_in

HUP, TERM, INT, STOP, CONT = (
    signal.SIGHUP,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGSTOP,
    signal.SIGCONT,
)
STOPPED_SECONDS = 90.0
_INTERRUPTED = {130, -INT}
"""To a shell these are the same."""
SEQUENCES: dict[str, Sequence[tuple[float, signal.Signals]]] = {
    "HUP at once": [(0.3, HUP)],
    "HUP while it starts": [(4.0, HUP)],
    "HUP in mid-build": [(3.0, HUP)],
    "TERM in mid-build": [(3.0, TERM)],
    "INT in mid-build": [(3.0, INT)],
    "TERM twice": [(3.0, TERM), (0.2, TERM)],
    "HUP then TERM": [(3.0, HUP), (1.0, TERM)],
    "five INT": [(2.0, INT), *[(0.05, INT)] * 4],
    "STOP for 90 s": [(2.0, STOP), (STOPPED_SECONDS, CONT)],
}
"""Each: so long after the run began (the first two: after the start), which signal."""
COMMANDS = {
    "compare": ("--looks", "4", "--iterations", "10"),
    "minimize": ("--attempts", "1", "--time", "2m"),
    "verify": ("--time", "2m"),
}


def signals(options: Options) -> Iterator[Try]:
    """Send each sequence to a run, and a hang-up to each search; see how it ends, and what it leaves."""
    for name, sequence in SEQUENCES.items():
        if options.over:
            return
        if not options.wants(name):
            continue
        repro = Repro(options.place / name.replace(" ", "-"))
        repro.place.mkdir()
        words = ("run", "prune-race", "--daemon", options.daemon, "--iterations", "25", "--results", str(repro.results))
        code, output = _sent(repro, words, sequence, begun=sequence[0][0] < 4 and sequence[0][0] > 1)
        problems = [end] if (end := traceback_in(output)) else []
        stopped = sequence[0][1] is STOP
        if code not in ({0} if stopped else _INTERRUPTED) and (repro.runs() or code != -sequence[0][1]):
            problems.append(f"exits with {code}: {output[-300:]}")
        for run in repro.runs() if stopped else ():
            wrong = [each.number for each in run.read(Iteration) if each.outcome in {"hang", "stall"}]
            problems += [f"iteration {number} is a finding" for number in wrong]
        if len(sequence) > 1 and not stopped:
            repro("clean")  # the second signal ends it at once, and says that this is to be done
        yield Try(f"run: {name}", "; ".join([*problems, *repro.left()]))
    for command, more in COMMANDS.items():
        if options.over:
            return
        if not options.wants(command):
            continue
        repro = Repro(options.place / command)
        repro.place.mkdir()
        after = random.Random(f"{options.seed} {command}").uniform(0, 20)
        searching: tuple[str, ...] = {
            "compare": (command, options.daemon, options.daemon, "--set-b", "daemon.gc=tiny", *more),
            "verify": (command, "prune-race", "--broken", options.daemon, "--fixed", options.daemon, *more),
            "minimize": (command, "prune-race", "--daemon", options.daemon, *more),
        }[command]
        code, output = _sent(repro, (*searching, "--results", str(repro.results)), [(after, HUP)], begun=True)
        problems = [end] if (end := traceback_in(output)) else []
        if code not in _INTERRUPTED:
            problems.append(f"exits with {code}: {output[-300:]}")
        yield Try(f"{command}: HUP after {after:.0f} s", "; ".join([*problems, *repro.left()]))


def _sent(
    repro: Repro, words: Sequence[str], sequence: Sequence[tuple[float, signal.Signals]], *, begun: bool
) -> tuple[int, str]:
    output = repro.place / "output.log"
    process = repro.start(*words, output=output)
    if begun:
        repro.begun(process)
    for after, number in sequence:
        try:
            process.wait(after)
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, number)
    if (code := ended(process)) is None:
        return -signal.SIGKILL, "did not end in 240 s"
    time.sleep(0.2)
    return code, output.read_text(errors="replace")
