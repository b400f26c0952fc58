"""Changes each file that anything reads, thousands of times: each reader reads it, or says in a sentence what is wrong.

`damage` looks at whole runs with whole commands; this asks the readers themselves, a file at a time.
"""

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.buildkit.cache_db import read_pair
from harness.buildkit.daemon_log import read_log
from harness.buildkit.diagnosis import read_dump, read_file
from harness.buildkit.progress import Progress, items_in
from harness.cli.commands.signatures import own_files
from harness.cli.kinds import VOCABULARY
from harness.core.errors import HarnessError
from harness.core.records import Action, Audit, Finding, Iteration, Sample
from harness.evidence.lookup import read_lookups
from harness.evidence.steps import read_steps
from harness.experiments.bisect.state import restore
from harness.experiments.journal import entries
from harness.experiments.series import SeenRun
from harness.host.cache import cache_folder
from harness.host.ledger import Ledger, disbelieved, ledgers
from harness.scenario import load
from harness.store.evidence import EvidenceFolder
from harness.store.folder import RunFolder
from harness.toolchain import cached_toolchains
from tests.adversary.world import Options, Try
from tests.web.runs import ended

DATA: Final = Path(__file__).parents[1] / "data"
MOST_SECONDS: Final = 5.0
"""What any reader may take for a file of this size, on a host with other work."""
_TOKENS: Final = (
    *(b"\0", b"\xff\xfe", b"null", b"[]", b"{}", b'""', b"-1", b"1e999", b"NaN", b"9" * 400, b"\\ud800", b"\n", b"\t"),
    *(
        b"true",
        b"'",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"&a *a",
        b"!!python/name:os.system",
        b"../..",
        b"\x1b",
    ),
)


@dataclass(frozen=True)
class Reader:
    """A file, and what reads it."""

    file: Path
    read: Callable[[], object]


def mutations(options: Options) -> Iterator[Try]:
    """Mutate each file so many times; a try for each reader."""
    for name, reader in _readers(options.place).items():
        if not options.wants(name):
            continue
        whole = reader.file.read_bytes()
        chance = random.Random(f"{options.seed} {name}")
        wrong: dict[str, int] = {}
        done, slowest = 0, 0.0
        while done < options.mutations and not options.over:
            content, done = mutated(whole, chance), done + 1
            reader.file.write_bytes(content)
            began = time.process_time()
            try:
                reader.read()
            except HarnessError:
                pass
            except Exception as error:
                place = error.__traceback__
                while place and place.tb_next:
                    place = place.tb_next
                where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
                problem = f"{type(error).__name__} {str(error)[:60]} ({where})"
                wrong[problem] = wrong.get(problem, 0) + 1
            slowest = max(slowest, time.process_time() - began)
        reader.file.write_bytes(whole)
        if slowest > MOST_SECONDS:
            wrong[f"took {slowest:.1f} s of CPU"] = 1
        told = "; ".join(f"{count} × {problem}" for problem, count in wrong.items())
        yield Try(f"{name}: {done} mutations, the slowest {slowest:.2f} s", told)


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """Return other content: bits turned, parts left out, doubled, swapped, or put in from elsewhere."""
    content = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        size = len(content)
        at, length = chance.randrange(size + 1), chance.choice((1, 1, 4, 30, 500))
        match chance.randrange(7):
            case 0 if size:
                content[min(at, size - 1)] ^= 1 << chance.randrange(8)
            case 1:
                del content[at : at + length]
            case 2:
                content[at:at] = content[at : at + length] * chance.choice((1, 2, 50))
            case 3:
                content[at:at] = chance.choice(_TOKENS)
            case 4:
                content[at : at + length] = chance.choice(_TOKENS)
            case 5:
                other = chance.randrange(size + 1)
                content[at : at + length] = content[other : other + length]
            case _:
                content[at : at + length] = chance.randbytes(length)
        if not chance.randrange(40):
            del content[at:]
    return bytes(content)


def _readers(place: Path) -> dict[str, Reader]:
    run = ended(place / "results")
    evidence = run.path / "findings" / "3"
    folder = EvidenceFolder(evidence)
    scenario = place / "prune-race.yaml"
    shutil.copy(Path(__file__).parents[2] / "scenarios" / "prune-race.yaml", scenario)
    (evidence / "diagnosis.json").write_text(_diagnosis())
    shutil.copy(DATA / "goroutines" / "hang-buildkitd-v0.23.2-0.txt", evidence / "goroutines-0.txt")
    shutil.copy(DATA / "goroutines" / "leak-dockerd-28.5.2-idle.txt", evidence / "counted.txt")
    shutil.copy(DATA / "bbolt" / "cache.db", evidence / "cache.db")
    shutil.copy(DATA / "logs" / "buildkitd-0.23.2-hang.log", evidence / "daemon.log")
    shutil.copy(DATA / "progress" / "buildctl-0.23.2-hang.jsonl", evidence / "progress.jsonl")
    (evidence / "steps.json").write_text(json.dumps(_STEPS))
    (evidence / "lookups.json").write_text(json.dumps([{"kind": "record", "id": "a", "goroutine": 1}]))
    journal, state = place / "looks.jsonl", place / "state.json"
    journal.write_text(json.dumps({"side": "A", "number": 1, "exposure": {"builds": 5, "hung": False}}) + "\n")
    state.write_text('{"format": 1, "asked": {}, "candidates": [], "observations": []}')
    signatures = place / "signatures.yaml"
    shutil.copy(Path(__file__).parents[2] / "harness" / "buildkit" / "goroutines" / "signatures.yaml", signatures)
    ledger = Ledger.open("mutated")
    ledger.detach()
    record = _toolchain()
    return {
        "run.json": Reader(run.path / "run.json", run.manifest),
        "summary.json": Reader(run.path / "summary.json", run.summary),
        "scenario.yaml": Reader(run.path / "scenario.yaml", run.scenario),
        "run.db": Reader(run.path / "run.db", lambda: _records(run)),
        "a scenario": Reader(scenario, lambda: load(scenario, VOCABULARY)),
        "captured.json": Reader(evidence / "captured.json", folder.captured),
        "diagnosis.json": Reader(evidence / "diagnosis.json", lambda: folder.diagnosis({})),
        "steps.json": Reader(evidence / "steps.json", lambda: read_steps(evidence)),
        "lookups.json": Reader(evidence / "lookups.json", lambda: read_lookups(evidence)),
        "a dump": Reader(evidence / "goroutines-0.txt", lambda: read_dump(evidence / "goroutines-0.txt")),
        "a counted dump": Reader(evidence / "counted.txt", lambda: read_file(evidence / "counted.txt")),
        "cache.db": Reader(evidence / "cache.db", lambda: read_pair(evidence / "cache.db")),
        "daemon.log": Reader(evidence / "daemon.log", lambda: _log(evidence / "daemon.log")),
        "progress": Reader(evidence / "progress.jsonl", lambda: _progress(evidence / "progress.jsonl")),
        "signatures": Reader(signatures, lambda: own_files(signatures)),
        "a ledger": Reader(ledger.file, lambda: [[*ledgers()], [*disbelieved()]]),
        "toolchain.json": Reader(record, cached_toolchains),
        "looks.jsonl": Reader(journal, lambda: entries(journal, SeenRun)),
        "state.json": Reader(state, lambda: restore(place)),
    }


_STEPS: Final = {
    "began": 1.5,
    "builds": [
        {
            "iteration": 3,
            "actor": "ci",
            "started": 1.0,
            "killed": None,
            "ended": None,
            "steps": [{"digest": "sha256:a", "name": "b", "inputs": []}],
        }
    ],
}


def _records(run: RunFolder) -> object:
    return run.read(Iteration), run.read(Action), run.read(Finding), run.read(Sample), run.read(Audit)


def _log(file: Path) -> object:
    with file.open(errors="replace") as lines:
        return read_log(lines)


def _progress(file: Path) -> object:
    content = file.read_bytes()
    progress = Progress(0.0)
    for number in range(0, len(content), 4096):
        progress.feed(content[number : number + 4096], float(number))
    return items_in(content)


def _diagnosis() -> str:
    return json.dumps(
        {
            "kind": "deadlock",
            "sentence": "x",
            "because": "y",
            "frames": ["a", "b"],
            "signature": "s",
            "known": None,
        }
    )


def _toolchain() -> Path:

    folder = cache_folder("toolchains") / "path-x"
    folder.mkdir(parents=True, exist_ok=True)
    program = {"version": "v1", "sha256": "0" * 64, "source": "x"}
    (folder / "toolchain.json").write_text(
        json.dumps({"format": 1, "origin": {"url": "u", "checked": "by x"}, "programs": {"buildkitd": program}})
    )
    return folder / "toolchain.json"
