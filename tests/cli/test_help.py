"""What `repro` says of itself: the tasks, every command's help, its version, and what a shell completes."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from harness import __version__
from harness.cli.main import _exit_code, _loaded
from harness.cli.table import ABOUT, COMMANDS, epilog
from harness.core.outcome import ExitCode

_MOST_LINES = 52
"""Of a screen."""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its words, those below others too."""
    for name in COMMANDS:
        command = _loaded(name)
        yield name, command
        yield from ((f"{name} {below}", each) for below, each in getattr(command, "commands", {}).items())


ALL = dict(commands())


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a terminal of the customary width."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")


@pytest.mark.parametrize("name", ["signatures", "toolchain"])
def test_a_group_alone_lists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A group of commands that can list what there is does so where it is told nothing else."""
    assert _exit_code([name]) == 0
    alone = capsys.readouterr().out
    assert _exit_code([name, "list"]) == 0
    assert alone == capsys.readouterr().out != ""


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("name", ["", *ALL])
def test_help_fits_on_a_screen(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`-h` of all, and of each command, is a screen at most, and shows at least one example of a command."""
    assert _exit_code([*name.split(), "-h"]) == 0
    told = capsys.readouterr().out
    assert len(told.splitlines()) <= _MOST_LINES
    assert f"repro {name}" in told
    assert "Example" in told or not name


def examples() -> Iterator[str]:
    """Yield every line that help offers to be typed."""
    lines = [line for each in ALL.values() for line in (each.epilog or "").splitlines()]
    for line in [*lines, *ABOUT.splitlines()]:
        _, separator, words = line.partition("repro ")
        if separator and line.startswith("  "):
            yield words.partition(" > ")[0]


@pytest.mark.parametrize("example", [*examples()])
def test_examples_can_be_typed(example: str) -> None:
    """Each example is of a command that there is, with arguments and options that it takes."""
    name, *words = shlex.split(example)
    command = ALL[name]
    if hasattr(command, "commands"):
        command, words = ALL[f"{name} {words[0]}"], words[1:]
    assert not command.make_context("repro", words).args


def test_alone_it_shows_the_tasks() -> None:
    """`repro` alone shows the help of all, and has found nothing clean: git would take 0 for a good commit."""
    ended = subprocess.run([sys.executable, "-m", "harness"], capture_output=True, text=True, check=False, timeout=180)
    assert ended.returncode == ExitCode.USAGE
    for task in ("see a hang now", "my builds hang now", "am I affected?", "soak overnight", "upgrade safe?"):
        assert task in ended.stdout
    assert not ended.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` says the version, and nothing else."""
    assert _exit_code(["--version"]) == 0
    assert capsys.readouterr().out == f"repro {__version__}\n"


def test_a_mistyped_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that is not there is answered with the one that was meant."""
    assert _exit_code(["bundel"]) == ExitCode.USAGE
    assert "Did you mean 'bundle'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "among"),
    [
        ("repro bis", {"bisect"}),
        ("repro run prune-", {"prune-race", "prune-window", "prune-at-import", "prune-cancelled"}),
        ("repro run prune-race --daemon bu", {"buildkit:"}),
        ("repro show la", {"last"}),
    ],
)
def test_completion(words: str, among: set[str]) -> None:
    """A shell is offered commands, scenarios, runs and kinds of daemons; of the list of all, nothing is loaded."""
    typed = words.split()
    environment = {
        **os.environ,
        "_REPRO_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(typed) - 1),
    }
    argv = [sys.executable, "-m", "harness"]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=180)
    assert set(ended.stdout.split()) == among, ended.stderr


def test_one_example_is_no_list() -> None:
    """One example stands below the singular."""
    assert epilog("repro list").splitlines()[1] == "Example:"


@pytest.mark.parametrize(("words", "code"), [("run --help", ExitCode.CLEAN), ("run x --itreations 5", ExitCode.USAGE)])
def test_what_runs_is_not_loaded_for_the_options(words: str, code: ExitCode) -> None:
    """The help of `repro run`, and its answer to a wrong option, load nothing of what runs a scenario."""
    script = (
        "import sys; from harness.cli.main import _exit_code; code = _exit_code(sys.argv[1:]);"
        "print([name for name in sys.modules if name.startswith(('harness.run', 'harness.scenario'))]); sys.exit(code)"
    )
    argv = [sys.executable, "-c", script, *words.split()]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=180)
    assert ended.returncode == code
    assert ended.stdout.splitlines()[-1] == "[]"
