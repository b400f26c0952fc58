"""`repro watch`: what it refuses, and how it ends, through the real program."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.pretend_daemon import start

Start = Callable[..., subprocess.Popen[str]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--daemon", "/no/such.sock"], "there is no /no/such.sock"),
        (["--daemon", "1", "--every", "10ms"], "--every"),
        (["--daemon", "1", "--every", "often"], "is no duration"),
        (["--daemon", "1", "--leak-after", "3"], "--leak-after"),
    ],
)
def test_refused(words: list[str], said: str) -> None:
    """What cannot be watched, or not so, is the user's error, and says what is wrong."""
    argv = [sys.executable, "-m", "harness", "watch", *words]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=180)
    assert ended.returncode == 129
    assert said in ended.stderr


def test_interrupted(process: Start, tmp_path: Path) -> None:
    """A watch goes on until it is interrupted, which is an exit code of 130; every line of `--json` is an object."""
    (tmp_path / "docker-buildx").write_text("#!/bin/sh\n")
    (tmp_path / "docker-buildx").chmod(0o755)
    daemon = start(process, tmp_path / "d.sock", name=str(tmp_path / "dockerd"))
    argv = [sys.executable, "-m", "harness", "watch", "--daemon", str(daemon.pid), "--every", "1s", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}) as watch:
        assert watch.stdout
        event = json.loads(watch.stdout.readline())
        assert (event["event"], str(daemon.pid) in event["text"]) == ("watching", True)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=180) == 130
        assert not watch.stdout.read()
    assert daemon.poll() is None
