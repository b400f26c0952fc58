"""SIGKILLs the harness at random moments, also while it goes on with a run: is anything lost, doubled or left?"""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from harness.core.records import Iteration
from harness.store.folder import RunFolder
from tests.adversary.world import Options, Repro, Try, ended, events, summary_of, traceback_in

GONE_SECONDS = 2.0
"""How long processes may outlive a killed harness."""
SCENARIO = """\
name: killed
daemon: {limits: {memory: 2GiB, disk: 2GiB}, renew: {every: 10}}
actors:
  - build: ci
    dockerfile: diamond
    args: {N: "{iteration % 7}"}
    export: image
    parallel: 2
    kill: {chance: 0.3, after: {uniform: [100ms, 1s]}, grace: 2s}
  - prune: loop
    all: true
    when: {interval: {uniform: [0s, 200ms]}}
  - freeze: suspended
    target: client
    when: {phase: solving, of: ci, chance: 0.1, lasting: 1s}
stop: {iterations: 16, time: 10m}
detect: {export_hang: 20s, stall: 60s, orphan: 20s}
"""


def kills(options: Options) -> Iterator[Try]:
    """Kill a run, and go on with it, killing that too now and then, until it ends by itself."""
    chance = random.Random(f"{options.seed} kills")
    repro = Repro(options.place)
    scenario = options.place / "killed.yaml"
    scenario.write_text(SCENARIO)
    for number in range(options.kills):
        if options.over:
            return
        words = ["run", str(scenario), "--daemon", options.daemon, "--results", str(repro.results), "--json", "--trust"]
        words += ["--seed", str(options.seed + number), *(["--shards", "2"] if chance.random() < 0.2 else [])]
        known = {run.name for run in repro.runs()}
        begun, after = chance.random() < 0.85, chance.uniform(0, 15)
        output = options.place / f"kill-{number}.log"
        process = repro.start(*words, output=output)
        if begun:
            repro.begun(process, len(known))
        ended = _killed(process, after)
        told = events(output)
        new = [run for run in repro.runs() if run.name not in known]
        problems = outlived(repro)
        if not new:
            code, said = repro("clean")
            problems += [f"clean exits with {code}: {said[-200:]}"] if code else []
            problems += repro.left()
            yield Try(f"kill {number} after {after:.1f} s, before the run", "; ".join(problems))
            continue
        if not ended:
            problems += _go_on(repro, new[0], told, chance, options.place / f"kill-{number}-again.log")
        problems += _recorded(new[0], told) + repro.left()
        code, said = repro("clean")
        problems += [f"clean exits with {code}: {said[-200:]}"] if code else []
        problems += [f"after clean: {each}" for each in repro.left()]
        iterations = len(new[0].read(Iteration)) if (new[0].path / "run.db").exists() else 0
        yield Try(f"kill {number} after {after:.1f} s, {iterations} iterations", "; ".join(problems))


def _killed(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """SIGKILL a process after a while; return whether it had ended by itself."""
    return ended(process, seconds) is not None


def outlived(repro: Repro) -> list[str]:
    """Return the processes that are still there some seconds after the harness has died."""
    give_up = time.monotonic() + GONE_SECONDS
    while left := [each for each in repro.left() if each.startswith("process")]:
        if time.monotonic() > give_up:
            return [f"outlived the harness: {each}" for each in left]
        time.sleep(0.2)
    return []


def _go_on(repro: Repro, run: RunFolder, told: dict[int, str], chance: random.Random, output: Path) -> list[str]:
    """Go on with a run until it ends by itself; now and then that is killed as well."""
    problems: list[str] = []
    for again in (chance.random() < 0.4, False):
        process = repro.start("resume", str(run.path), "--json", "--trust", output=output)
        if again and not _killed(process, chance.uniform(1, 15)):
            problems += outlived(repro)
            continue
        if (code := ended(process, 400)) is None:
            return [*problems, "resume did not end in 400 s"]
        text = output.read_text(errors="replace")
        told |= events(output)
        if code not in {0, 1, 125} and not _never_began(text, code):
            problems.append(f"resume exits with {code}: {traceback_in(text) or text[-300:]}")
        break
    return problems


def _never_began(text: str, code: int) -> bool:
    return code == 129 and ("died before its first iteration" in text or "it ended by itself" in text)


def _recorded(run: RunFolder, told: dict[int, str]) -> list[str]:
    """Return what does not hold of a run's records: each iteration once, with the outcome that was told."""
    if not (run.path / "run.db").exists():
        return ["lost all that was told"] if told else []
    iterations = run.read(Iteration)
    outcomes = {each.number: str(each.outcome) for each in iterations}
    problems = [f"{len(iterations) - len(outcomes)} doubled"] if len(iterations) != len(outcomes) else []
    problems += [f"lost iteration {number}" for number in told if number not in outcomes]
    problems += [
        f"iteration {number} was {outcome}, and is {outcomes[number]}"
        for number, outcome in told.items()
        if outcomes.get(number, outcome) != outcome
    ]
    problems += [f"gap before {number}" for number in outcomes if number > 1 and number - 1 not in outcomes]
    summary = summary_of(run)
    if summary and {**summary.outcomes} != Counter(outcomes.values()):
        problems.append(f"the summary counts {dict(summary.outcomes)}")
    return problems + [f"left behind: {each}" for each in (summary.left_behind if summary else ())]
