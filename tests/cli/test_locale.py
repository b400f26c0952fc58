"""Other languages and encodings than UTF-8: what is written and read is the same, and the screen is the user's own."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.support.stub_runs import last_run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")

main = import_module("harness.cli.main")  # which `harness.cli` has a function of the same name for

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "REPRO_REPORT": ""}
"""What Python does in a locale of plain ASCII that is not named C."""


def repro(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run `repro` where text is plain ASCII."""
    argv = [sys.executable, "-m", "harness", *words]
    return subprocess.run(argv, capture_output=True, check=False, timeout=180, env=os.environ | ASCII)


def test_ascii(tmp_path: Path) -> None:
    """A run whose scenario and folders have other letters is run, shown, reported and packed."""
    place = tmp_path / "Prüfstand"
    place.mkdir()
    scenario = write_scenario(place, build={"args": {"N": "ä→{iteration}"}}, about="Größe", stop={"iterations": 2})
    done = repro("run", str(scenario), "--results", str(place / "results"))
    assert done.returncode == 0, done.stderr
    folder = last_run(scenario)
    assert "Größe" in (folder.path / "report.html").read_text()
    assert "about: Größe" in (folder.path / "scenario.yaml").read_text()
    for words in (("show", str(folder.path)), ("bundle", str(folder.path), "-o", str(place / "ä.tgz"))):
        done = repro(*words)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert (place / "ä.tgz").exists()


def test_another_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins anew in UTF-8, with the words that it was given, and writes to the screen as that expects it."""
    began = []
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    monkeypatch.setattr(main, "getpreferredencoding", lambda _: "ISO-8859-1")
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "harness", "list"])
    monkeypatch.setattr("os.execve", lambda program, argv, env: began.append((program, argv, env)))
    main._require_utf8()
    [(program, argv, env)] = began
    assert (program, argv[1:]) == (sys.executable, ["-X", "utf8", "-m", "harness", "list"])
    assert env["PYTHONIOENCODING"] == "ISO-8859-1:backslashreplace"
    assert "PYTHONIOENCODING" not in os.environ, "or all that this process starts would have it"


def test_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where text is UTF-8 already, whatever it is called, nothing begins anew."""
    for name in ("UTF-8", "utf8", "UTF8"):
        monkeypatch.setattr(main, "getpreferredencoding", lambda _, name=name: name)
        main._require_utf8()
