"""`repro serve` as a process: what it prints is where it is, and what it cannot do it refuses as a usage error."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from harness.cli.main import _exit_code

TOKEN = "a-token-that-is-long-enough"  # noqa: S105 — a test's


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start it; yield the process and the address that it prints."""
    argv = [sys.executable, "-m", "harness", "serve", *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found, process.communicate()[1]
            yield process, found[0]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_printed_can_be_opened(tmp_path: Path, number: signal.Signals) -> None:
    """The address that is printed answers at once, and lets nobody in; the next one does, once; neither has the token.
    Ctrl-C and SIGTERM end it without a trace.
    """
    with serving(str(tmp_path), "--port", "0", "--token", TOKEN) as (process, address):
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        assert TOKEN not in address + found[0]
        assert httpx.get(address).status_code == 401
        with httpx.Client(follow_redirects=True) as browser:
            assert browser.get(found[0]).status_code == 200
            assert browser.get(address).status_code == 200
        assert httpx.get(found[0]).status_code == 401
        process.send_signal(number)
        _, errors = process.communicate(timeout=180)
        assert (process.returncode, "Traceback" in errors) == (130, False)


def test_a_guessable_token_is_refused(tmp_path: Path) -> None:
    """A token that is too short ends in a usage error, and nothing listens."""
    argv = [sys.executable, "-m", "harness", "serve", str(tmp_path), "--token", "short"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 129
    assert "--token is shorter than" in done.stderr


def test_a_missing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped folder would be an empty page for ever: it ends in a usage error that names it."""
    assert _exit_code(["serve", str(tmp_path / "nowhere")]) == 129
    assert f"there is no folder {tmp_path / 'nowhere'}" in capsys.readouterr().err


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    """A port that another program has ends in a usage error that says which."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        argv = [sys.executable, "-m", "harness", "serve", str(tmp_path), "--port", port]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 129
    assert f"cannot listen at 127.0.0.1, port {port}" in done.stderr
