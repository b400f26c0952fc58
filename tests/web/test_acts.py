"""Runs are started, stopped and gone on with from the page: only what is ours, and only as it was meant."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.store.folder import RunFolder
from harness.web import acts
from harness.web.acts import CannotAct, RunControls, holder_of
from tests.web.client import Client
from tests.web.runs import ended, going_on, recorded


class Process:
    """Stands in for what is started."""

    def __init__(self, argv: list[str], **options: Any) -> None:
        self.argv, self.options = argv[3:], options
        MADE.append(self)

    def poll(self) -> int | None:
        """It goes on."""
        return None


MADE: list[Process] = []


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start nothing."""
    MADE.clear()
    monkeypatch.setattr(subprocess, "Popen", Process)


def test_start(tmp_path: Path) -> None:
    """A run is started by the command that a person would type, in a session of its own, which outlives the server."""
    page = Client(tmp_path)
    page.log_in()
    answer = page.post("/runs/start", scenario="prune-race", daemon="path:/x", iterations="5", time="", seed="--keep")
    assert answer.status_code == 303
    [started] = MADE
    assert started.argv == [
        "run",
        "prune-race",
        "--daemon=path:/x",
        "--iterations=5",
        "--seed=--keep",
        f"--results={tmp_path}",
    ]
    assert started.options["start_new_session"]
    assert "repro run prune-race" in page.get("/").text
    assert "repro run prune-race" not in Client(tmp_path).get("/").text, "who may not act does not see what was typed"


@pytest.mark.parametrize("scenario", ["", "../x", "/etc/x.yaml", "--help", "nothing"])
def test_only_shipped_scenarios(tmp_path: Path, scenario: str) -> None:
    """No file of this host is run by its name."""
    page = Client(tmp_path)
    page.log_in()
    assert page.post("/runs/start", scenario=scenario).status_code == 409
    assert MADE == []


def test_resume(tmp_path: Path) -> None:
    """A run that died is gone on with; one that goes on is not."""
    page, died = Client(tmp_path), recorded(tmp_path)
    page.log_in()
    address = f"/runs/s/{died.name}/resume"
    assert f'action="{address}"' in page.get("/").text
    assert f'action="{address}"' not in Client(tmp_path).get("/").text
    assert page.post(address).status_code == 303
    assert [each.argv for each in MADE] == [["resume", str(died.path)]]
    with died.locked():
        assert page.post(address).status_code == 409


def test_resume_of_one_that_was_interrupted(tmp_path: Path) -> None:
    """A run that its user ended has the button too; one that came to its end has not."""
    page, over, run = Client(tmp_path), ended(tmp_path), ended(tmp_path)
    run.write_json("summary.json", run.read_json("summary.json") | {"ending": "interrupted"})
    page.log_in()
    assert f'action="/runs/s/{run.name}/resume"' in page.get("/").text
    assert f'action="/runs/s/{over.name}/resume"' not in page.get("/").text


def test_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that has the run locked is ended as by Ctrl-C, and no other: not the one that a record names."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *each: killed.append(each))
    page = Client(tmp_path)
    page.log_in()
    with going_on(tmp_path) as folder:
        assert page.post(f"/runs/s/{folder.name}/stop").status_code == 303
    assert killed == [(os.getpid(), signal.SIGINT)]
    assert page.post(f"/runs/s/{folder.name}/stop").status_code == 409
    assert page.post("/runs/s/nothing/stop").status_code == 404
    assert len(killed) == 1


def test_who_only_looks_on_holds_nothing(tmp_path: Path) -> None:
    """A lock for a moment's look is no run's, and a folder that is gone is nobody's."""
    folder = ended(tmp_path)
    assert holder_of(folder.path) is None
    assert holder_of(tmp_path / "nowhere") is None


def test_what_cannot_be_started_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, or a form sends what is in no command line, that is the answer."""
    (tmp_path / "results").write_text("no folder")
    with pytest.raises(CannotAct, match="cannot be started"):
        RunControls(tmp_path / "results").resume(RunFolder(tmp_path))
    monkeypatch.undo()
    with pytest.raises(CannotAct, match="cannot be started: embedded null byte"):
        RunControls(tmp_path).start({"scenario": "control-clean", "iterations": "5\0"})
    assert acts.scenarios()
