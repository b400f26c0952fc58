"""The examples for CI and systemd: they can be read, and each command in them is one that `repro` takes."""

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.test_help import ALL

EXAMPLES = Path(__file__).parents[1] / ".github" / "examples"
_EXPANDED = re.compile(r"\$\{\{.*?\}\}")
"""What GitHub puts in before a shell reads it."""


def workflow_steps() -> Iterator[str]:
    """Yield every shell command of the workflow."""
    workflow = yaml.safe_load((EXAMPLES / "workflow.yml").read_text())
    assert workflow[True].keys() == {"schedule", "workflow_dispatch"}  # YAML 1.1 reads the key `on` so
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            yield from _EXPANDED.sub("1h", step.get("run", "")).splitlines()


def unit_commands() -> Iterator[str]:
    """Yield every command of the units."""
    for file in sorted(EXAMPLES.glob("*.service")):
        unit = configparser.ConfigParser(strict=True, interpolation=None, delimiters="=")
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read(file)
        assert set(unit.sections()) <= {"Unit", "Service", "Install"}
        yield from (value for key, value in unit["Service"].items() if key.startswith("Exec"))


COMMANDS = [
    words[words.index(word) + 1 :]
    for line in (*workflow_steps(), *unit_commands())
    for words in [shlex.split(line.replace('"$(command -v repro)"', "/bin/repro"))]
    for word in words
    if word.endswith("/repro")
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_can_be_typed(words: list[str]) -> None:
    """Each command is one that there is, with options that it takes."""
    assert not ALL[words[0]].make_context("repro", words[1:]).args


def test_there_are_some() -> None:
    """The soak, the watch, and what a CI asks are all among them."""
    assert {words[0] for words in COMMANDS} >= {"run", "watch", "affected", "bundle", "doctor", "clean"}
    timer = configparser.ConfigParser(interpolation=None, delimiters="=")
    timer.read(EXAMPLES / "repro-soak.timer")
    assert timer["Timer"]["OnCalendar"]
    assert (EXAMPLES / "repro-soak.service").exists()
