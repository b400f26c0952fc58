"""`repro bundle`: one archive with all that a report needs, and nothing that it must not have."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.report import bundle as module
from harness.report.bundle import Unfinished, bundle
from harness.store.find import find_run
from harness.store.folder import RunFolder
from harness.store.folders import LeadsOut
from tests.support.stub_runs import run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")
VALUE = "hunter2hunter2"


@pytest.fixture
def hung(tmp_path: Path) -> RunFolder:
    """A run with a hang at its third build, and evidence of it."""
    build = {"args": {"N": "{iteration}", "NPM_TOKEN": VALUE}}
    _, _, folder = run(write_scenario(tmp_path, clients={"3": "hang"}, build=build))
    evidence = folder.path / "findings" / "3"
    (evidence / "goroutines-0.txt").write_text("goroutine 1 [select]:\nmain.f()\n\t/x.go:1\n")
    (evidence / "history.db").write_bytes(VALUE.encode())
    (evidence / "cache.db").write_bytes(b"\0\xff binary")
    (folder.path / "daemon" / "daemon.log").write_text(f"level=debug msg=solve build-arg:NPM_TOKEN={VALUE}\n")
    return folder


def contents(archive: Path) -> dict[str, bytes]:
    """Return the files of an archive, without the folder that all are in."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            stream = tar.extractfile(member)
            assert stream
            found[member.name.partition("/")[2]] = stream.read()
    return found


def test_a_whole_report(hung: RunFolder, tmp_path: Path) -> None:
    """The issue says what was seen, how to see it again, with what versions, and what could not be captured."""
    omitted = bundle(hung, tmp_path / "b.tgz")
    found = contents(tmp_path / "b.tgz")
    text = found["ISSUE.md"].decode()
    for said in ("hang at iteration 3", "## Reproduction", "--seed", "kernel", "## Evidence"):
        assert said in text
    assert "Could not be captured" in text
    assert found["goroutines.txt"].startswith(b"1 goroutines in 1 buckets")
    assert found["findings/3/cache.db"] == b"\0\xff binary", "what is no text is not touched"
    assert "dockerfiles/one/Dockerfile" in found
    assert b"dockerfile: one\n" in found["stubbed.yaml"]
    assert list(omitted) == ["findings/3/history.db"]


def test_no_secret_leaves(hung: RunFolder, tmp_path: Path) -> None:
    """An argument whose name says that it is secret is in no file of the archive, whatever prints it."""
    bundle(hung, tmp_path / "b.tgz")
    assert not [name for name, content in contents(tmp_path / "b.tgz").items() if VALUE.encode() in content]
    assert VALUE in (hung.path / "scenario.yaml").read_text(), "the run itself keeps it"


def test_it_can_be_attached(hung: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is left out, and named with its size; what matters most comes first."""
    monkeypatch.setattr(module, "_ROOM", 20_000)
    (hung.path / "findings" / "3" / "zzz.bin").write_bytes(b"\0" + os.urandom(50_000))
    omitted = bundle(hung, tmp_path / "b.tgz")
    assert "for which there was no room" in omitted["findings/3/zzz.bin"]
    assert "findings/3/zzz.bin" in contents(tmp_path / "b.tgz")["ISSUE.md"].decode()
    assert (tmp_path / "b.tgz").stat().st_size < 25_000


def test_the_reproducer_runs(hung: RunFolder, tmp_path: Path) -> None:
    """The scenario in the archive runs from the unpacked folder, with its own Dockerfile."""
    bundle(hung, tmp_path / "b.tgz")
    with tarfile.open(tmp_path / "b.tgz") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    (scenario,) = (tmp_path / "unpacked").glob("*/stubbed.yaml")
    words = [sys.executable, "-m", "harness", "run", str(scenario), "--results", str(tmp_path / "again")]
    assert subprocess.run(words, check=False, capture_output=True, timeout=60).returncode == 1


def test_a_run_without_a_verdict(hung: RunFolder, tmp_path: Path) -> None:
    """A run that died has nothing to hand over."""
    (hung.path / "summary.json").unlink()
    with pytest.raises(Unfinished, match="no summary"):
        bundle(hung, tmp_path / "b.tgz")


@pytest.mark.parametrize(("link", "target"), [("findings/3/shadow.txt", "/etc/shadow"), ("findings/4", "/etc")])
def test_links_out_of_a_run(hung: RunFolder, tmp_path: Path, link: str, target: str) -> None:
    """A symbolic link that leads out of a received run's folder is named, and nothing of the host is packed."""
    (hung.path / link).symlink_to(target)
    with pytest.raises(LeadsOut, match="symbolic link out of its folder"):
        bundle(hung, tmp_path / "x.tgz")
    with pytest.raises(LeadsOut):
        find_run(str(hung.path), tmp_path)
    (hung.path / link).unlink()
    (hung.path / "findings" / "3" / "inside.txt").symlink_to(hung.path / "run.json")
    bundle(hung, tmp_path / "x.tgz")
