"""SIGKILLs `repro` before each single step that changes something on the host: when it begins a run, and in `clean`.

Kills at random moments seldom hit what takes microseconds. As a program, ``python -m tests.adversary.steps N WORD...``
is `repro WORD...` that dies before its step N; without one it prints how many there were.
"""

import os
import random
import runpy
import signal
import sys
from collections.abc import Iterator
from typing import Any, Final

from tests.adversary.kills import outlived
from tests.adversary.world import Options, Repro, Try, ended, traceback_in

_CHANGES: Final = {
    "os.remove",
    "os.rmdir",
    "os.rename",
    "os.mkdir",
    "os.symlink",
    "os.link",
    "os.kill",
    "os.posix_spawn",
}
"""Of Python's audit events; `open` is one too where it is to write."""
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SCENARIO: Final = """\
name: stepwise
daemon: {limits: {memory: 2GiB, disk: 1GiB}}
actors:
  - build: ci
    dockerfile: diamond
    args: {N: "{iteration}"}
    export: image
stop: {iterations: 1, time: 5m}
"""


def steps(options: Options) -> Iterator[Try]:
    """Kill a run some steps further each time; and `clean` again and again, that has a kept daemon to end."""
    chance = random.Random(f"{options.seed} steps")
    scenario = options.place / "stepwise.yaml"
    scenario.write_text(SCENARIO)
    for number in range(options.kills):
        if options.over:
            return
        repro = Repro(options.place / f"{number}")
        repro.place.mkdir()
        words = ["run", str(scenario), "--daemon", options.daemon, "--results", str(repro.results), "--json", "--trust"]
        at = number * 4 + chance.randrange(4)
        if options.wants("run"):
            yield from _run_dies(repro, words, at)
        if options.wants("clean"):
            yield from _clean_dies(repro, [*words, "--keep"], chance)


def _run_dies(repro: Repro, words: list[str], at: int) -> Iterator[Try]:
    code, _ = dying(repro, at, *words)
    problems = outlived(repro) if code else []
    for run in repro.runs():
        again, told = repro("resume", str(run.path), "--json", "--trust")
        if again not in {0, 125, 129} or traceback_in(told):
            problems.append(f"resume exits with {again}: {told[-300:]}")
    yield Try(f"run dies at step {at}, {code}", "; ".join([*problems, *_cleaned(repro)]))


def _clean_dies(repro: Repro, words: list[str], chance: random.Random) -> Iterator[Try]:
    """Let a run leave its daemon, and kill each `clean` after some steps, until one comes through."""
    code, said = repro(*words)
    if code:
        yield Try("clean: left out", f"the run exits with {code}: {said[-300:]}")
        return
    for turn in range(200):
        at = chance.choice((1, 1, 2, 3, 5, 8, 13, 21, 34, 55))
        code, said = dying(repro, at, "clean")
        if code != -signal.SIGKILL:
            break
        problem = traceback_in(said)
        yield Try(f"clean {turn} dies at step {at}", problem)
    problems = [f"clean exits with {code}: {said[-300:]}"] if code else []
    yield Try("clean after all these", "; ".join([*problems, *_cleaned(repro)]))


def _cleaned(repro: Repro) -> list[str]:
    code, said = repro("clean")
    problems = [f"clean exits with {code}: {said[-300:]}"] if code or "left alone" in said else []
    code, said = repro("clean")
    problems += [] if "nothing was left behind" in said else [f"a second clean says {said[-300:]}"]
    return problems + repro.left()


def dying(repro: Repro, at: int, *words: str) -> tuple[int, str]:
    """Run it to its death before a step; return its exit code and what it printed."""
    output = repro.place / f"dying-{len([*repro.place.glob('dying-*')])}.log"
    process = repro.start(*words, output=output, wrapped=(sys.executable, "-m", "tests.adversary.steps", str(at)))
    code = ended(process, 120)
    return (1, "did not end in 120 s") if code is None else (code, output.read_text(errors="replace"))


def _die_before(step: int) -> None:
    """Have this process killed before its step of that number."""
    done, here = 0, os.getpid()

    def hear(event: str, args: tuple[Any, ...]) -> None:
        nonlocal done
        if os.getpid() == here and (event in _CHANGES or (event == "open" and _changes(*args))):
            done += 1
            if done == step:
                sys.stderr.write(f"dies before {event} {args}\n")
                sys.stderr.flush()
                os.kill(here, signal.SIGKILL)

    sys.addaudithook(hear)


def _changes(path: object, _mode: object, flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & _WRITES) and not str(path).startswith(("/dev", "/proc"))


if __name__ == "__main__":
    _die_before(int(sys.argv[1]))
    at = sys.argv.index("harness")
    sys.argv = ["repro", *sys.argv[at + 1 :]]
    sys.dont_write_bytecode = True
    runpy.run_module("harness", run_name="__main__", alter_sys=False)
