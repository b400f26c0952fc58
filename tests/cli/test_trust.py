"""A scenario from elsewhere executes nothing on the host unless the user vouches for it."""

from pathlib import Path

import pytest

from harness.cli.trust import NotTrusted, from_elsewhere, load_trusted
from harness.scenario.load import PROJECT

QUIET = """
name: mine
actors:
  - build: ci
    dockerfile: trivial
stop: {iterations: 6}
"""

EXECUTING = {
    "on_finding": (QUIET + "on_finding: touch /owned\n", "on_finding: touch /owned"),
    "a-toolchain": (QUIET + "daemon: {toolchain: 'path:/tmp/x'}\n", "path:/tmp/x"),
    "a-folder": (QUIET + "daemon: {toolchain: /tmp/x}\n", "toolchain /tmp/x"),
    "of-several": (QUIET + "daemons: {a: {toolchain: 'image:x/y:1'}}\n", "image:x/y:1"),
    "an-image": (QUIET + "daemon: {driver: docker-container, image: x.tar}\n", "privileged"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the user's, in which they also work."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(("text", "told"), EXECUTING.values(), ids=EXECUTING.keys())
def test_from_elsewhere(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], text: str, told: str) -> None:
    """It is refused with what it would execute; vouched for, or the user's own, it is loaded, and that is shown."""
    downloaded = tmp_path / "downloaded.yaml"
    downloaded.write_text(text)
    with pytest.raises(NotTrusted, match="--trust") as refused:
        load_trusted(downloaded, trust=False)
    assert told in str(refused.value)
    assert load_trusted(downloaded, trust=True).name == "mine"
    assert told in capsys.readouterr().err
    own = home / "own.yaml"
    own.write_text(text)
    assert load_trusted(own, trust=False).name == "mine"
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_what_executes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario that executes nothing on the host needs nobody's word, nor does one whose toolchain is overridden."""
    file = tmp_path / "downloaded.yaml"
    file.write_text(QUIET)
    load_trusted(file, trust=False)
    file.write_text(EXECUTING["a-toolchain"][0])
    load_trusted(file, trust=False, toolchain="auto")
    load_trusted(file, ["daemon.toolchain=path:/mine"], trust=False)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("home")
def test_shipped_by_name() -> None:
    """A shipped scenario is loaded by its name from any folder."""
    assert load_trusted(Path("prune-race"), trust=False).name == "prune-race"


def test_whose_it_is(tmp_path: Path, home: Path) -> None:
    """Shipped ones are trusted; a link out of the home, a file or a folder that all may write, are not."""
    assert from_elsewhere(PROJECT / "scenarios" / "prune-race.yaml") == ""
    outside = tmp_path / "outside.yaml"
    outside.write_text(QUIET)
    (home / "link.yaml").symlink_to(outside)
    assert "neither shipped" in from_elsewhere(home / "link.yaml")
    shared = home / "shared"
    shared.mkdir()
    (shared / "x.yaml").write_text(QUIET)
    assert from_elsewhere(shared / "x.yaml") == ""
    shared.chmod(0o1777)
    assert "every user may write" in from_elsewhere(shared / "x.yaml")
