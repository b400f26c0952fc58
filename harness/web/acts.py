"""What can be done from the page: runs are started, stopped and gone on with.

A run that is started here is one like any other: a process of its own, in a session of its own, which outlives the
server. It is stopped as by Ctrl-C, and only where the kernel says that it is the process that has the run locked.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

from harness.core.errors import UsageError
from harness.report.found import environment
from harness.report.overview.digest import Digest
from harness.scenario.load import shipped_scenarios
from harness.store.folder import RunFolder
from harness.web.auth import CSRF

_LOGS: Final = ".started"
_TAIL: Final = 2000
_MOST: Final = 20
"""Runs started here that are told of."""
_OPTIONS: Final = ("daemon", "iterations", "time", "seed")


class CannotAct(UsageError):
    """Something that cannot be done, and why."""


@dataclass
class StartedRun:
    """A run that was started here."""

    words: str
    at: datetime
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def code(self) -> int | None:
        """What it exited with; None while it goes on."""
        return self.process.poll()

    @property
    def last_output(self) -> str:
        """The end of what it printed."""
        try:
            return self.log.read_bytes()[-_TAIL:].decode(errors="replace")
        except OSError:
            return ""


class RunControls:
    """Starts, stops and goes on with runs below a results folder."""

    def __init__(self, results: Path) -> None:
        self._results = results.absolute()
        self.started: list[StartedRun] = []

    def start(self, fields: dict[str, str]) -> None:
        """Start a shipped scenario, with what a form says of it.

        Raises:
            CannotAct: it is none, or cannot be started.
        """
        scenario = fields.get("scenario", "")
        if scenario not in scenarios():
            raise CannotAct(f"there is no shipped scenario {scenario!r}: others are started with `repro run FILE`")
        # each is one word with its option: none can pass for an option itself
        options = [f"--{name}={fields[name].strip()}" for name in _OPTIONS if fields.get(name, "").strip()]
        self._begin("run", scenario, *options, f"--results={self._results}")

    def resume(self, run: RunFolder) -> None:
        """Go on with a run.

        Raises:
            CannotAct: it goes on, or cannot be gone on with.
        """
        if run.is_locked:
            raise CannotAct(f"{run.name} goes on already")
        self._begin("resume", str(run.path.absolute()))

    def stop(self, run: RunFolder) -> None:
        """End a run, as Ctrl-C does.

        Raises:
            CannotAct: no process of this host has it.
        """
        pid = holder_of(run.path)
        if pid is None:
            raise CannotAct(f"no process of this host is seen to have {run.name}: end it where it was started")
        try:
            os.kill(pid, signal.SIGINT)
        except OSError as error:
            raise CannotAct(f"{run.name} cannot be ended (process {pid}): {error.strerror}") from error

    def _begin(self, *words: str) -> None:
        now = datetime.now(UTC)
        try:
            (self._results / _LOGS).mkdir(mode=0o700, exist_ok=True)
            log = self._results / _LOGS / f"{now:%Y%m%dT%H%M%S%fZ}.log"
            with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", "harness", *words],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:  # a NUL that a form has sent is in no command line
            raise CannotAct(f"a run cannot be started: {error}") from error
        self.started = [*self.started, StartedRun(f"repro {' '.join(words)}", now, process, log)][-_MOST:]


class Buttons:
    """The forms of the acts, for a visitor who may act."""

    def __init__(self, actor: RunControls, csrf: str) -> None:
        self._actor, self._csrf = actor, csrf
        self._environment = environment()

    def start(self) -> Markup:
        """Return what starts a run, and how those fare that were started here."""
        template = self._environment.get_template("templates/start.html")
        hidden = self._hidden()
        return Markup(template.render(scenarios=scenarios(), hidden=hidden, started=self._actor.started[::-1]))  # noqa: S704 — escaped there

    def of(self, run: Digest) -> Markup:
        """Return what can be done with a run."""
        word = {"goes on": "stop", "died": "resume"}.get(run.state)
        word = word or ("resume" if run.interrupted else None)
        if word is None:
            return Markup("")
        address = f"/runs/{quote(run.scenario, safe='')}/{quote(run.name, safe='')}/{word}"
        asked = {"stop": f"End run {run.name}, as Ctrl-C does?", "resume": f"Go on with run {run.name}?"}[word]
        return Markup('<form method="post" action="{}" data-confirm="{}">{}<button>{}</button></form>').format(
            address, asked, self._hidden(), word
        )

    def _hidden(self) -> Markup:
        return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF, self._csrf)


def scenarios() -> Sequence[str]:
    """Return the names of the shipped scenarios."""
    return [file.stem for file in shipped_scenarios()]


def holder_of(folder: Path, locks: Path = Path("/proc/locks")) -> int | None:
    """Return the process that the kernel says has locked a folder; None if this host shows none."""
    try:
        status = folder.stat()
        lines = locks.read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for words in map(str.split, lines):
        if words[1:2] == ["FLOCK"] and words[3:4] == ["WRITE"] and words[5:6] == [place]:
            pid = int(words[4])
            return pid if pid > 0 else None
    return None
