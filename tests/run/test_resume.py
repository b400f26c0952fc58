"""A run that was killed goes on: no iteration is lost or counted twice, whenever the kill came."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.outcome import Ending, Outcome, Verdict
from harness.core.records import Action, Begun, Iteration
from harness.host.ledger import ledgers
from harness.host.proc import Identity
from harness.store.folder import RunFolder
from harness.store.resume_point import DIED, mark_cut_off, resume_point_of
from tests.support.eventually import reached, until
from tests.support.small_disk import fill, mounted_disk
from tests.support.stub_runs import interrupt, last_run, recorded, repro, run, start, write_scenario

MIB = 2**20
pytestmark = pytest.mark.usefixtures("cache")


def begun_of(scenario: Path) -> list[Begun]:
    """Return what the newest run has in flight; nothing before it has a database."""
    try:
        return last_run(scenario).read(Begun)
    except Exception:
        return []


def resume(scenario: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Go on with the newest run of a scenario."""
    return repro("resume", "last", "--results", str(scenario.parent / "results"), *options)


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    """SIGKILLed twice and resumed, each iteration is recorded once, those in flight at a kill as cut off; seed and
    clock go on, and nothing is left on the host.
    """
    scenario = write_scenario(
        tmp_path, build={"parallel": 4}, clients={"default": "0.3"}, stop={"iterations": 120}, detect={"stall": "1m"}
    )
    process = start(scenario, "--seed", "7")
    reached(process, lambda: recorded(scenario) >= 20)
    process.kill()
    process.communicate(timeout=180)
    folder = last_run(scenario)
    before = resume_point_of(folder)
    cut = {begun.number for begun in folder.read(Begun)}
    assert cut, "four lines always have something in flight"
    again = subprocess.Popen(
        [sys.executable, "-m", "harness", "resume", str(folder.path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    until(lambda: recorded(scenario) >= 60)
    again.kill()
    again.communicate(timeout=180)
    cut |= {begun.number for begun in folder.read(Begun)}
    done = resume(scenario)
    summary = folder.summary()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "going on after iteration" in done.stderr
    assert summary is not None
    assert (summary.verdict, summary.ending, summary.seed) == (Verdict.CLEAN, Ending.ITERATIONS, 7)
    iterations = folder.read(Iteration)
    assert sorted(iteration.number for iteration in iterations) == [*range(1, 121)]
    assert {each.number for each in iterations if each.outcome is Outcome.CUT_OFF} == cut
    assert {each.error for each in iterations if each.number in cut} == {DIED}
    assert not folder.read(Begun)
    assert summary.outcomes == {"ok": 120 - len(cut), "cut_off": len(cut)}
    assert summary.rate.trials == 120 - len(cut)
    later = [each.started for each in iterations if each.number > before.begun]
    assert min(later) >= before.seconds
    assert summary.seconds >= max(later)
    assert [*{each.generation for each in iterations}] == [1, 2, 3]
    assert next(each["iteration"] for each in folder.read_json("run.json")["resumed"]) == before.begun
    for left in ("ledgers", "daemons", "staging"):
        assert not [*(tmp_path / "cache").glob(f"{left}/*")]


@pytest.mark.parametrize(("clients", "code"), [({}, 0), ({"2": "hang"}, 1)], ids=["clean", "hang"])
def test_killed_in_its_last_iteration(tmp_path: Path, clients: dict[str, str], code: int) -> None:
    """A run that was killed once all of its iterations had begun has its verdict as soon as it is gone on with."""
    stop, detect = {"iterations": 8, "hangs": 2}, {"export_hang": "2s", "stall": "2m"}
    scenario = write_scenario(
        tmp_path, clients={"8": "60", **clients}, stop=stop, on_hang={"then": "renew"}, detect=detect
    )
    process = start(scenario)
    reached(process, lambda: any(begun.number == 8 for begun in begun_of(scenario)))
    process.kill()
    process.communicate(timeout=180)
    done = resume(scenario)
    assert done.returncode == code, done.stdout + done.stderr
    summary = last_run(scenario).summary()
    assert summary is not None
    assert summary.ending is Ending.ITERATIONS
    assert summary.outcomes["cut_off"] == 1
    again = resume(scenario)
    assert again.returncode == 129
    assert "ended by itself" in again.stdout + again.stderr


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    """After Ctrl-C a run has a verdict, and can be gone on with all the same."""
    scenario = write_scenario(tmp_path, clients={"default": "0.4"}, stop={"iterations": 15})
    process = start(scenario)
    reached(process, lambda: recorded(scenario) >= 3)
    code, _ = interrupt(process)
    assert code == 130
    done = resume(scenario)
    summary = last_run(scenario).summary()
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary is not None
    assert summary.iterations == 15


def test_a_hang_before_the_kill_is_the_verdict(tmp_path: Path) -> None:
    """A run that was killed once it had found what it wanted builds no more, and is judged."""
    scenario = write_scenario(tmp_path, clients={"3": "hang"}, stop={"iterations": 100})
    code, _, folder = run(scenario)
    assert code == 1
    (folder.path / "summary.json").unlink()  # as if killed before it was written
    done = resume(scenario)
    summary = folder.summary()
    assert done.returncode == 1, done.stdout + done.stderr
    assert summary is not None
    assert (summary.verdict, summary.ending, summary.iterations) == (Verdict.HANG, Ending.FINDINGS, 3)


def test_what_was_frozen_on_a_shard(tmp_path: Path, cache: Path) -> None:
    """SIGKILLed while clients are frozen, on one of several daemons: what goes on gives their ledgers back as well."""
    freeze = {"freeze": "suspended", "target": "client", "when": {"interval": "200ms", "lasting": "60s"}}
    scenario = write_scenario(
        tmp_path, clients={"default": "2"}, actors=[freeze], stop={"iterations": 8}, detect={"stall": "2m"}
    )
    process = start(scenario, "--shards", "2")
    reached(process, lambda: any("frozen" in ledger.name for ledger in (cache / "ledgers").glob("*.json")))
    process.kill()
    process.communicate(timeout=180)
    ledgers = [ledger.name for ledger in (cache / "ledgers").glob("*.json")]
    assert [name for name in ledgers if not name.startswith(last_run(scenario).name)] == []
    again = subprocess.Popen(
        [sys.executable, "-m", "harness", "resume", str(last_run(scenario).path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: not {*ledgers} & {ledger.name for ledger in (cache / "ledgers").glob("*-????.json")})
    interrupt(again)
    assert [*(cache / "ledgers").glob("*")] == []


def test_what_was_frozen_ends_with_its_harness(tmp_path: Path) -> None:
    """SIGKILLed while a client is frozen, a harness leaves nobody: not what the client started, which sees nothing."""
    freeze = {"freeze": "suspended", "target": "client", "when": {"interval": "1s", "lasting": "60s"}}
    scenario = write_scenario(tmp_path, clients={"default": "600"}, actors=[freeze], detect={"stall": "1h"})
    process = start(scenario)

    def frozen() -> list[Identity]:
        return [each for ledger in ledgers() if "frozen" in ledger.name for each in ledger.processes]

    reached(process, lambda: len(frozen()) >= 4)  # the client and what it started, noted before and after
    members = frozen()
    assert len({each.pid for each in members}) == 2
    process.kill()
    process.communicate(timeout=180)
    until(lambda: not any(each.alive() for each in members))


def test_a_later_end(tmp_path: Path) -> None:
    """A clean run is not gone on with as it is; with a later end it is, and the rate is that of all iterations."""
    scenario = write_scenario(tmp_path, stop={"iterations": 5})
    run(scenario)
    refused = resume(scenario)
    assert refused.returncode == 129
    assert "for more, say --iterations" in refused.stderr
    done = resume(scenario, "--iterations", "9")
    summary = last_run(scenario).summary()
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary is not None
    assert (summary.iterations, summary.rate.trials) == (9, 9)


def test_a_run_that_goes_on_is_not_gone_on_with(tmp_path: Path) -> None:
    """Two harnesses never write one run."""
    scenario = write_scenario(tmp_path, clients={"3": "30"}, detect={"stall": "1m"})
    process = start(scenario)
    reached(process, lambda: recorded(scenario) == 2)
    refused = resume(scenario)
    shown = repro("show", "last", "--results", str(tmp_path / "results"))
    assert refused.returncode == 129
    assert "still goes on" in refused.stderr
    assert "the run goes on" in shown.stdout
    process.kill()
    process.communicate(timeout=180)
    assert "the run died; `repro resume`" in repro("show", "last", "--results", str(tmp_path / "results")).stdout


def test_other_binaries_are_refused(tmp_path: Path) -> None:
    """One run is of one daemon: with other binaries under the same name it is not gone on with."""
    scenario = write_scenario(tmp_path, stop={"iterations": 5})
    _, _, folder = run(scenario)
    (folder.path / "summary.json").unlink()
    manifest = folder.read_json("run.json")
    manifest["toolchain"]["binaries"]["buildkitd"] = {"path": "/x/buildkitd", "version": "v1", "sha256": "0" * 64}
    folder.write_json("run.json", manifest)
    refused = resume(scenario)
    assert refused.returncode == 129
    assert "began with other binaries than toolchain 'stub' has now (buildkitd)" in refused.stderr


def test_a_moment_comes_once_in_a_run(tmp_path: Path) -> None:
    """What is to happen at a time happens once, however many daemons the run has."""
    scenario = write_scenario(
        tmp_path,
        clients={"default": "0.2"},
        daemon={"kind": "stub", "config": {"default": "0.2"}, "renew": {"every": 4}},
        stop={"iterations": 16},
        actors=[{"prune": "once", "when": {"at": "500ms"}}],
    )
    code, output, folder = run(scenario)
    assert code == 0, output
    assert len(folder.read(Action)) == 1


@pytest.mark.parametrize("left", [300 * MIB, 0], ids=["low", "full"])
def test_a_disk_that_fills_up(tmp_path: Path, left: int) -> None:
    """Where the disk of its records fills up, slowly or at once, a run stops, says so, and can be read; once there is
    room it goes on, and each iteration is there once.
    """
    with mounted_disk(tmp_path, 900 * MIB) as disk:
        scenario = write_scenario(
            disk, build={"parallel": 2}, clients={"default": "0.1"}, stop={"iterations": 100}, detect={"stall": "1m"}
        )
        process = start(scenario)
        reached(process, lambda: recorded(scenario) >= 10)
        others = fill(disk, left)
        output, _ = process.communicate(timeout=180)
        folder = last_run(scenario)
        summary = folder.summary()
        assert process.returncode == 255, output
        assert "has only" in output or "full" in output
        assert summary is not None
        assert summary.ending is Ending.INFRA
        assert summary.iterations == len(folder.read(Iteration)) >= 10
        others.unlink()
        done = resume(scenario)
        assert done.returncode == 0, done.stdout + done.stderr
        assert sorted(iteration.number for iteration in folder.read(Iteration)) == [*range(1, 101)]


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
from harness.core.outcome import Outcome
from harness.store.resume_point import resume_point_of, mark_cut_off
from harness.core.records import Begun, Iteration
from harness.store.folder import RunFolder

folder, random = RunFolder(Path(sys.argv[1])), random.Random(5)

def write():
    with folder.database() as database:
        number = resume_point_of(folder).begun
        ready.write(b"x")
        while True:
            number += 1
            database.add(Begun(number, "ci", {"N": "x" * 3000}, 0.0))
            ready.write(b"x")
            database.add(Iteration(number, "ci", {}, Outcome.OK, 0.0, None, None, None, None, None, 0, "x" * 3000))
            ready.write(b"x")

with folder.database():
    pass
for _ in range(50):
    reader, writer = os.pipe()
    ready = os.fdopen(writer, "wb", buffering=0)
    child = os.fork()
    if not child:
        write()
    for _ in range(random.randrange(1, 80)):  # so many records, and some of the next, however fast the host is
        os.read(reader, 1)
    time.sleep(random.uniform(0, 0.003))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    ready.close()
    assert len(folder.read(Begun)) <= 1
    mark_cut_off(folder)
print("survived")
"""


def test_fifty_kills_in_the_middle_of_writing(tmp_path: Path) -> None:
    """Killed fifty times at any moment of writing and gone on with, every number is there once, and none is missing."""
    folder = RunFolder.create(tmp_path, "s")
    driver = subprocess.run(
        [sys.executable, "-c", KILLER, folder.path], capture_output=True, text=True, timeout=180, check=False
    )
    assert driver.stdout == "survived\n", driver.stderr
    numbers = [iteration.number for iteration in folder.read(Iteration)]
    assert len(numbers) > 500
    assert sorted(numbers) == [*range(1, len(numbers) + 1)]
    cut_off = [each for each in folder.read(Iteration) if each.outcome is Outcome.CUT_OFF]
    assert 1 <= len(cut_off) <= 50
    mark_cut_off(folder)
    assert resume_point_of(folder).begun == len(numbers)
