"""What a worker says of itself, and of a run that it did not make."""

import socket

import pytest

from harness.experiments.fleet.host import host_of, reason_in

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nImportError: no module named x\n'


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", ""),
        ("repro: no disk\n", "repro: no disk"),
        ("repro: apt failed:\nE: no such package\n", "repro: apt failed:\nE: no such package"),
        (f"preparing\n{TRACEBACK}", "ImportError: no module named x"),
    ],
)
def test_why_a_run_was_not_made(said: str, why: str) -> None:
    """Its last words, all of them; of a traceback the line that says what is wrong."""
    assert reason_in(said) == why


@pytest.mark.parametrize("name", ["build-7-0", "SLURMCluster-3", "tcp://10.0.0.1:33333", 2])
def test_workers_of_a_machine_are_one_host(name: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a worker is called, its host is the machine, or what it was told to be."""
    monkeypatch.setattr(socket, "gethostname", lambda: "node_12.example")
    assert host_of(name) == "node-12.example"
    monkeypatch.setenv("REPRO_HOST", "rack 3")
    assert host_of(name) == "rack-3"


@pytest.mark.parametrize(
    ("machine", "name", "host"),
    [
        ("localhost", "build-7", "build-7"),
        ("localhost.localdomain", "build-7", "build-7"),
        ("(none)", "build-7", "build-7"),
        ("", "build-7", "build-7"),
        ("localhost", "tls://10.0.0.1:33333", "localhost"),
        ("localhost", 2, "localhost"),
        ("localhosts", "build-7", "localhosts"),
    ],
)
def test_a_machine_without_a_name(machine: str, name: object, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker's name is the host's, where somebody gave it one."""
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    assert host_of(name) == host
