"""SIGTERM, and SIGHUP as ssh drops: each command ends as by Ctrl-C, whatever it is in the middle of."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.eventually import reached, until
from tests.support.stub_runs import interrupt, last_run, start, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_outside_of_any_run(cache: Path, number: signal.Signals) -> None:
    """A command that is no run, here one that waits for a server, ends with 130, and leaves nothing half done."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", "toolchain", "add", "buildkit:0.25.1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"REPRO_BUILDKIT_MIRROR": f"http://127.0.0.1:{port}"},
        )
        silent.settimeout(180)
        with silent.accept()[0]:
            code, output = interrupt(process, number)
    assert code == 130, output
    assert "Traceback" not in output
    assert [*(cache / "toolchains").iterdir()] == []


def test_a_hang_up_on_a_run(tmp_path: Path) -> None:
    """A run that is hung up on has its verdict, as one that is interrupted has."""
    process = start(write_scenario(tmp_path, clients={"default": "30"}))
    reached(process, lambda: bool([*tmp_path.glob("results/*/*/run.db")]))
    code, output = interrupt(process, signal.SIGHUP)
    assert code == 130, output
    assert last_run(tmp_path / "stubbed.yaml").summary() is not None


def test_a_hang_up_on_a_search(tmp_path: Path) -> None:
    """What makes many runs ends with the one that it is in, and says how to go on."""
    scenario = write_scenario(tmp_path, clients={"default": "30"})
    words = ("--scenario", str(scenario), "--set-b", "stop.iterations=9", "--results", str(tmp_path / "results"))
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "compare", "auto", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: bool([*tmp_path.glob("results/*/*/run.db")]))
    code, output = interrupt(process, signal.SIGHUP)
    assert code == 130, output
    assert "Traceback" not in output
