"""A search that was killed leaves a daemon: who goes on with it gives that back, and nothing of anybody else."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import anyio
import pytest

from harness.experiments.successor import HARNESS, succeed
from harness.host.ledger import Ledger, ledgers
from harness.host.proc import Identity
from harness.run.reclaim import NotGivenBack
from tests.support.eventually import reached
from tests.support.stub_runs import interrupt, write_scenario


def dead() -> Identity:
    """Return a process that was, and is no more."""
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        identity = Identity.of(process.pid)
        process.kill()
    return identity


def left(name: str, harness: Identity) -> Ledger:
    """Leave a ledger with a folder, as a harness does that is killed."""
    ledger = Ledger.open(name)
    ledger.own_folder(ledger.file.parents[1] / "daemons" / name)
    ledger.harness = harness
    ledger.write()
    ledger.detach()
    return ledger


@pytest.mark.usefixtures("cache")
def test_only_what_the_last_process_left(tmp_path: Path) -> None:
    """What the process that worked on the search last has left goes; another dead one's stays for `repro clean`."""
    before, other = dead(), dead()
    (tmp_path / HARNESS).write_text(json.dumps(asdict(before)))
    left("ours", before)
    left("theirs", other)
    anyio.run(succeed, tmp_path)
    assert [ledger.name for ledger in ledgers()] == ["theirs"]
    assert json.loads((tmp_path / HARNESS).read_text()) == asdict(Identity.of(os.getpid()))


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("content", ["", "{", '{"pid": 5}', "[]", '{"pid": "x", "start_ticks": null, "boot": {}}'])
def test_a_damaged_note(tmp_path: Path, content: str) -> None:
    """A note that cannot be read is of nobody: the search goes on, and nothing is touched."""
    (tmp_path / HARNESS).write_text(content)
    left("ours", dead())
    anyio.run(succeed, tmp_path)
    assert [ledger.name for ledger in ledgers()] == ["ours"]


@pytest.mark.usefixtures("cache")
def test_what_may_be_in_use_is_not_gone_over(tmp_path: Path) -> None:
    """What another holds right now, such as `repro clean`, is named, and the search does not go on beside it."""
    before = dead()
    (tmp_path / HARNESS).write_text(json.dumps(asdict(before)))
    held = Ledger.open("held")
    held.harness = before
    held.write()
    with pytest.raises(NotGivenBack, match=r"held: .*being cleaned by another"):
        anyio.run(succeed, tmp_path)
    held.discard()


def test_a_killed_comparison_goes_on(tmp_path: Path, cache: Path) -> None:
    """SIGKILLed in a short run, and gone on with: the first daemon's folder is gone as the next one's comes."""
    scenario = write_scenario(tmp_path, clients={"default": "60"})
    results = str(tmp_path / "results")
    words = ("compare", "stub", "stub", "--scenario", str(scenario), "--results", results, "--looks", "2")

    def start(*more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "harness", *words, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def daemons() -> set[str]:
        return {folder.name for folder in (cache / "daemons").glob("*")}

    killed = start()
    reached(killed, lambda: len(daemons()) == 1)
    killed.kill()
    killed.communicate(timeout=180)
    before = daemons()
    assert before
    again = start("--resume", "last")
    reached(again, lambda: bool(daemons()) and not daemons() & before)
    interrupt(again)
    assert daemons() == set()
    assert [*ledgers()] == []
