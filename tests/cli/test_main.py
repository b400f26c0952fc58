"""The command line's words and exit codes, through the real program."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import _print_error
from harness.core.errors import DaemonStartError, Interrupted, StoreError, UsageError
from harness.core.outcome import ExitCode
from tests.support.stub_runs import run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


def repro(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `repro` with words."""
    environment = {**os.environ, "COLUMNS": "200", **(env or {})}
    argv = [sys.executable, "-m", "harness", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=180)


@pytest.mark.parametrize(
    "words",
    [
        ["nothing-of-the-sort"],
        ["run"],
        ["run", "no-such-file.yaml"],
        ["run", "x.yaml", "--iterations", "many"],
        ["show", "no-such-run"],
        ["toolchain", "add", "nonsense:1"],
        ["toolchain", "remove", "debian:never"],
    ],
)
def test_usage_errors_exit_with_129(words: list[str]) -> None:
    """What the user got wrong exits with 129 and one sentence: 2, the customary one, means "bad" to git."""
    ended = repro(*words)
    assert ended.returncode == 129, ended.stderr
    assert ended.stderr.startswith("repro: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["nothing-of-the-sort"], "repro --help"),
        (["run"], "repro run --help"),
        (["show", "--nothing"], "repro show --help"),
        (["bisect", "start"], "repro bisect start --help"),
        (["bisect", "nothing"], "repro bisect --help"),
    ],
)
def test_what_is_wrong_names_the_help_that_serves(words: list[str], asked: str) -> None:
    """Who forgets a word of a command is sent to the help of that command."""
    assert repro(*words).stderr.rstrip().endswith(f"(`{asked}` lists what there is)")


def test_a_command_loads_only_itself() -> None:
    """What other commands need, such as a client of Docker and a web server, is not waited for."""
    argv = [sys.executable, "-X", "importtime", "-m", "harness", "show", "--help"]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=180).stderr
    modules = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert "harness.cli.display.summary" in modules
    assert not {"docker", "starlette", "bokeh", "harness.actors.table"} & modules


def test_help_loads_no_command() -> None:
    """The list of all, and a mistyped command, wait neither for what reads scenarios nor for what draws screens."""
    argv = [sys.executable, "-X", "importtime", "-m", "harness", "--help"]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=180).stderr
    modules = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert "harness.cli.table" in modules
    assert not {"pydantic", "yaml", "rich", "harness.scenario"} & modules


def test_bad_scenario_lists_every_problem(tmp_path: Path) -> None:
    """Every fault is told at once, with file and line, before anything is started."""
    scenario = write_scenario(tmp_path, build={"paralel": 2, "dockerfile": "nowhere"}, detect={"stall": "soon"})
    ended = repro("run", str(scenario))
    assert ended.returncode == 129
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    assert all(f"{scenario}:" in line for line in lines)
    assert not (tmp_path / "results").exists()


def test_options_set_what_the_scenario_says(tmp_path: Path) -> None:
    """`--iterations`, `--time` and `--set` override the file, and the resolved scenario that is kept shows it."""
    scenario = write_scenario(tmp_path)
    code, output, folder = run(scenario, "--iterations", "3", "--set", "actors.ci.parallel=2", "--seed", "5")
    assert code == 0, output
    summary = folder.summary()
    assert summary is not None
    assert (summary.iterations, summary.seed) == (3, 5)
    assert "parallel: 2" in (folder.path / "scenario.yaml").read_text()


def test_kept_scenario_runs_again(tmp_path: Path) -> None:
    """The resolved scenario in a run's folder is a scenario like any other."""
    _, _, folder = run(write_scenario(tmp_path))
    ended = repro("run", str(folder.path / "scenario.yaml"), "--results", str(tmp_path / "again"))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_json_lines_tell_the_whole_run(tmp_path: Path) -> None:
    """With `--json` every line is an object, each iteration has one, and the last is the summary."""
    code, output, _ = run(write_scenario(tmp_path, clients={"4": "hang"}), "--json")
    events = [json.loads(line) for line in output.splitlines()]
    assert code == 1
    assert [event["event"] for event in events][-1] == "summary"
    assert [event["number"] for event in events if event["event"] == "iteration"] == [1, 2, 3, 4]
    assert [event["iteration"] for event in events if event["event"] == "finding"] == [4]
    assert events[-1]["verdict"] == "hang"


def test_show_tells_a_run_again(tmp_path: Path) -> None:
    """`repro show` prints the verdict from the folder, whatever it was, and exits with 0."""
    _, output, folder = run(write_scenario(tmp_path, clients={"4": "hang"}))
    shown = repro("show", str(folder.path))
    assert shown.returncode == 0
    assert shown.stdout.strip() in output
    as_json = repro("show", folder.name, "--results", str(folder.path.parents[1]), "--json")
    assert json.loads(as_json.stdout)["first_hang"]["iteration"] == 4


def test_show_of_a_run_that_died(tmp_path: Path) -> None:
    """A run without a summary is told as one that still goes on or died, not as clean."""
    _, _, folder = run(write_scenario(tmp_path))
    (folder.path / "summary.json").unlink()
    shown = repro("show", str(folder.path))
    assert shown.returncode == 0
    assert "NO VERDICT" in shown.stdout


def test_list_names_every_shipped_scenario() -> None:
    """`repro list` shows what is in `scenarios/`, none of it broken."""
    ended = repro("list")
    assert ended.returncode == 0
    for name in ("kill-every-third", "concurrent-same-build", "concurrent-prune", "prune-race", "control-hang"):
        assert name in ended.stdout
    assert "problems" not in ended.stdout


def test_schema_is_json() -> None:
    """`repro schema` prints a JSON Schema, also into a pipe."""
    schema = json.loads(repro("schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")


def test_clean_with_nothing_to_do() -> None:
    """`repro clean` on a clean host says so and exits with 0."""
    ended = repro("clean")
    assert ended.returncode == 0
    assert "nothing was left behind" in ended.stdout


def test_clean_leaves_running_runs_alone(cache: Path) -> None:
    """The ledger of a harness that still runs is not settled."""
    stat = Path(f"/proc/{os.getpid()}/stat").read_text()
    us = {
        "pid": os.getpid(),
        "start_ticks": int(stat[stat.rindex(")") + 2 :].split()[19]),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    }
    (cache / "ledgers").mkdir()
    ledger = cache / "ledgers" / "live.json"
    ledger.write_text(json.dumps({"name": "live", "harness": us, "processes": [], "folders": [], "cgroups": []}))
    ledger.chmod(0o644)
    ended = repro("clean")
    assert ended.returncode == 0
    assert ended.stdout == f"live: still running (pid {os.getpid()}); left alone\n"
    assert ledger.exists()


def test_clean_leaves_what_another_host_has_alone(cache: Path) -> None:
    """What is of another host is named, with where it can be cleaned, and is not said not to be there."""
    harness = {"pid": os.getpid(), "start_ticks": 1, "boot": "another"}
    (cache / "ledgers").mkdir()
    ledger = cache / "ledgers" / "far.json"
    owned: dict[str, list[str]] = {"processes": [], "folders": [], "cgroups": []}
    ledger.write_text(json.dumps({"name": "far", "harness": harness, "host": "elsewhere", "namespace": 1, **owned}))
    ledger.chmod(0o644)
    ended = repro("clean")
    assert ended.returncode == 0
    assert ended.stdout == "far: made on host elsewhere; run `repro clean` there; left alone\n"
    assert ledger.exists()


def test_clean_refuses_what_a_forged_ledger_names(tmp_path: Path, cache: Path) -> None:
    """A folder of somebody else's, and a ledger that others can write to, are named and left as they are."""
    (tmp_path / "theirs").mkdir()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (cache / "ledgers").mkdir()
    for name, mode in (("forged", 0o600), ("open", 0o666)):
        ledger = cache / "ledgers" / f"{name}.json"
        harness = {"pid": 2**22 + 1, "start_ticks": 1, "boot": boot}
        owned = {"processes": [], "folders": [str(tmp_path / "theirs")], "cgroups": []}
        ledger.write_text(json.dumps({"name": name, "harness": harness, **owned}))
        ledger.chmod(mode)
    ended = repro("clean")
    assert ended.returncode == 255
    assert ended.stdout.splitlines() == [
        f"{cache}/ledgers/open.json: not believed, for others can write to it; left alone",
        f"forged: {tmp_path}/theirs is not where runs have theirs, and was left",
        "what was left may be somebody else's: look at it (ps -fp PID, ls -la FOLDER); if it is a run's, end or remove "
        f"it and say repro clean again; if it is not, remove the ledger that names it: {cache}/ledgers/forged.json",
    ]
    assert (tmp_path / "theirs").is_dir()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), ExitCode.USAGE),
        (DaemonStartError("dockerd", "x", Path("/nowhere")), ExitCode.INCONCLUSIVE),
        (StoreError(Path("/nowhere"), "x"), ExitCode.BROKEN),
        (Interrupted(), ExitCode.INTERRUPTED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_errors_have_their_exit_codes(error: BaseException, code: ExitCode, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of error has an exit code that ``git bisect run`` reads as it is meant."""
    assert _print_error(error) is code
    assert capsys.readouterr().err.startswith("repro: ")


def test_bug_of_ours_is_no_bad_commit(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that nobody foresaw exits with 255 and asks to be reported, instead of Python's 1."""
    assert _print_error(ZeroDivisionError("oops")) is ExitCode.BROKEN
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert "please report it" in told


@pytest.mark.parametrize("at_terminal", [True, False], ids=["terminal", "pipe"])
def test_nobody_waits_in_the_dark(tmp_path: Path, at_terminal: bool) -> None:
    """A command that is slow to load says so at a terminal; a log, and who gets an answer at once, hear nothing."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'harness.cli.commands.affected':\n"
        "            time.sleep(1)\n"
        "sys.meta_path.insert(0, Slow())\n"
    )
    path = os.pathsep.join((str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])))
    ours, theirs = os.openpty() if at_terminal else os.pipe()
    with os.fdopen(ours, "rb", buffering=0) as stderr:
        argv = [sys.executable, "-m", "harness", "affected", "--daemon", "buildkit:v0.23.2"]
        env = {**os.environ, "PYTHONPATH": path}
        ended = subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, stderr=theirs, timeout=180, check=False)
        os.set_blocking(ours, False)
        told = (stderr.read(1000) or b"").decode()
        os.close(theirs)
    assert ended.returncode == 1
    assert told.split("\r\n")[0] == ("repro: loading `repro affected`" if at_terminal else "")
