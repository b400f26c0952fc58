"""Output that cannot be written ends the output: the run goes on, and its exit code and summary are the same."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.stub_runs import last_run, write_scenario
from tests.web.runs import ended

pytestmark = pytest.mark.usefixtures("cache")


def command(scenario: Path, *options: str) -> list[str]:
    """Return a `repro run` of a scenario, its results beside it."""
    results = str(scenario.parent / "results")
    return [sys.executable, "-m", "harness", "run", str(scenario), "--results", results, "--no-report", *options]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["lines", "json"])
@pytest.mark.parametrize(("clients", "code"), [({}, 0), ({"9": "hang"}, 1)], ids=["clean", "hang"])
@pytest.mark.parametrize("reader", ["closed", "first-line", "full", "never-reads", "no-descriptor"])
def test_a_run_whose_output_is_lost(
    tmp_path: Path, options: tuple[str, ...], clients: dict[str, str], code: int, reader: str
) -> None:
    """Whatever becomes of its reader, a run ends by itself, with its own code and a summary."""
    scenario = write_scenario(tmp_path, clients=clients)
    argv = command(scenario, *options)
    ours, theirs = os.pipe()
    if reader == "full":
        os.close(theirs)
        theirs = os.open("/dev/full", os.O_WRONLY)
    if reader == "never-reads":
        os.set_blocking(theirs, False)
        while True:
            try:
                os.write(theirs, b"x" * 65536)
            except BlockingIOError:
                break
        os.set_blocking(theirs, True)
    if reader == "no-descriptor":
        argv = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *argv]
    process = subprocess.Popen(argv, stdout=theirs, stderr=theirs)
    os.close(theirs)
    if reader == "first-line":
        os.read(ours, 1)
    if reader in {"closed", "first-line"}:
        os.close(ours)
    try:
        assert process.wait(timeout=180) == code
    finally:
        process.kill()
        process.wait()
        if reader not in {"closed", "first-line"}:
            os.close(ours)
    summary = last_run(scenario).summary()
    assert summary is not None
    assert summary.exit_code == code


def test_a_reader_that_never_reads_costs_two_seconds(tmp_path: Path) -> None:
    """What a run has to say to nobody delays its end by no more than the stated grace, and some start-up."""
    scenario = write_scenario(tmp_path)
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    while True:
        try:
            os.write(theirs, b"x" * 65536)
        except BlockingIOError:
            break
    os.set_blocking(theirs, True)
    process = subprocess.Popen(command(scenario), stdout=theirs)
    os.close(theirs)
    while not list(tmp_path.glob("results/*/*/summary.json")):
        assert process.poll() is None
        time.sleep(0.05)
    ended = time.monotonic()
    assert process.wait(timeout=180) == 0
    assert time.monotonic() - ended < 15  # two seconds, and what a busy host adds
    os.close(ours)


@pytest.mark.parametrize("words", [("list",), ("--help",), ("schema",)])
def test_a_command_that_only_prints(words: tuple[str, ...]) -> None:
    """A closed pipe is no failure of a command that only prints, and no hang."""
    ours, theirs = os.pipe()
    process = subprocess.Popen([sys.executable, "-m", "harness", *words], stdout=theirs)
    os.close(theirs)
    os.close(ours)
    assert process.wait(timeout=180) == 0


def test_a_command_whose_work_is_elsewhere(tmp_path: Path) -> None:
    """A reader who never reads holds up neither the work nor, for long, the end of a command that writes files."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, b"x" * 65536)
    os.set_blocking(theirs, True)
    argv = [sys.executable, "-m", "harness", "new", str(tmp_path / "mine")]
    process = subprocess.Popen(argv, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert process.wait(timeout=180) == 0
    assert (tmp_path / "mine.yaml").exists()
    os.close(ours)


def test_a_slow_reader_of_what_is_only_printed() -> None:
    """A command whose output is its work waits for its reader, and loses nothing."""
    process = subprocess.Popen([sys.executable, "-m", "harness", "schema"], stdout=subprocess.PIPE)
    time.sleep(4)
    output, _ = process.communicate(timeout=180)
    assert output.rstrip().endswith(b"}")


def test_closed_descriptors_are_nobody_elses(tmp_path: Path) -> None:
    """Where standard output is closed from the start, what is printed does not go into the next file opened."""
    file = tmp_path / "precious"
    script = (
        "import sys\nfrom harness.cli.output import install\n"
        f"install(beside=False)\nstream = open({str(file)!r}, 'w')\n"
        "print('screen')\nsys.stdout.flush()\nstream.close()\n"
    )
    subprocess.run(["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-c", script], check=False)
    assert file.read_text() == ""


@pytest.mark.parametrize("command", ["show", "diagnose"])
def test_nothing_commands_the_terminal(tmp_path: Path, command: str) -> None:
    """What a received run has in its names sets no title, clears no screen, and turns no letters round."""
    run = ended(tmp_path / "results")
    poison = "\x1b]0;x\x07\x1b[2Jx\x9b31m\u202etxt"
    summary = json.loads((run.path / "summary.json").read_text())
    (run.path / "summary.json").write_text(json.dumps(summary | {"because": poison, "left_behind": [poison]}))
    dump = run.path / "findings" / "3" / "goroutines-0.txt"
    dump.write_text(f"goroutine 1 [{poison}]:\n{poison}.f()\n\t/x.go:1\n")
    words = (command, run.path if command == "show" else dump)
    done = subprocess.run([sys.executable, "-m", "harness", *words], capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert "txt" in said
    assert not {*said} & {*"\x1b\x07\x9b\u202e"}
