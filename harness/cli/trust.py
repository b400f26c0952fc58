"""What a scenario will execute on the host: shown before the start, and refused of a scenario from elsewhere.

A build's steps run in the private daemon. What is listed here runs as the user who started the harness, often root.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import typer

from harness.cli.kinds import VOCABULARY
from harness.core.errors import UsageError
from harness.scenario import Scenario, load
from harness.scenario.load import PROJECT, find_scenario
from harness.scenario.vary import Mix

_VOUCHED: Final = ("auto", "host", "debian", "docker", "buildkit")
"""Kinds of toolchain that are there already, or whose programs a signature or a published checksum vouches for."""


class NotTrusted(UsageError):
    """A scenario from elsewhere that would execute something on this host."""

    def __init__(self, file: Path, why: str, executed: Sequence[str]) -> None:
        listed = "".join(f"\n    {line}" for line in executed)
        super().__init__(
            f"{file} {why}, and would execute on this host:{listed}\n"
            "read it, then say --trust, or copy it to a folder of your own"
        )


def load_trusted(
    file: Path, settings: Sequence[str] = (), *, trust: bool, toolchain: str | None = None, mix: Mix | None = None
) -> Scenario:
    """Load a scenario, and show on standard error what it will execute on this host.

    Args:
        file: a YAML file, or the name of a shipped scenario.
        settings: overrides, ``KEY.PATH=VALUE``.
        trust: whether the user vouches for a scenario from elsewhere.
        toolchain: what the command line says in place of the scenario's own.
        mix: what is chosen of what the scenario leaves open.

    Raises:
        ScenarioError: all problems of the scenario at once.
        NotTrusted: it is from elsewhere, would execute something, and nobody vouches for it.
    """
    file = find_scenario(file)
    scenario = load(file, VOCABULARY, settings, mix)
    said = {setting.partition("=")[0] for setting in settings}  # what the user says is the user's own
    executed = [line for key, line in host_commands(scenario, toolchain) if key not in said]
    if executed:
        why = "" if trust else from_elsewhere(file)
        if why:
            raise NotTrusted(file, why, executed)
        for line in executed:
            typer.echo(f"{file.name} executes on this host: {line}", err=True)
    return scenario


def host_commands(scenario: Scenario, toolchain: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield what the scenario executes on the host, outside a build's steps: the key that says so, and one line."""
    if scenario.on_finding:
        yield "on_finding", f"on_finding: {' '.join(scenario.on_finding.split())}"
    if scenario.webhook:
        where = scenario.webhook if scenario.webhook.startswith("$") else urlsplit(scenario.webhook).hostname
        yield "webhook", f"webhook: posts each daemon's first finding to {where}, without secrets"
    specs = {f"daemons.{name}": spec for name, spec in scenario.daemons.items()} or {"daemon": scenario.daemon}
    for key, spec in specs.items():
        if toolchain is None and spec.toolchain.partition(":")[0] not in _VOUCHED:
            yield f"{key}.toolchain", f"the daemon's programs of toolchain {spec.toolchain}"
        if spec.image is not None:
            yield f"{key}.image", f"the image {spec.image}, in a privileged container"


def from_elsewhere(file: Path) -> str:
    """Return why a file is not taken for the user's own, as the end of a sentence; nothing where it is.

    The user's own are the shipped scenarios, and what lies below the home or the working folder, belongs to the user
    (or to root, or to whom ``sudo`` was called by), and where nobody else may write.
    """
    real = file.resolve()
    if real.is_relative_to(PROJECT / "scenarios"):
        return ""
    caller = os.environ.get("SUDO_UID", "")
    users = {0, os.geteuid(), *([int(caller)] if caller.isdecimal() else [])}
    tops = [top.resolve() for top in (Path.home(), Path.cwd()) if real.is_relative_to(top.resolve())]
    if not tops:
        return "is neither shipped nor below your home or the working folder"
    top = min(tops, key=lambda path: len(path.parts))
    for place in (real, *real.parents):
        facts = place.stat()
        if facts.st_uid not in users:
            return f"belongs to another user ({place})"
        if facts.st_mode & stat.S_IWOTH:
            return f"lies where every user may write ({place})"
        if place == top:
            break
    return ""
