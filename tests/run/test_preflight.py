"""What is found before a run begins: each thing taken away is named in one sentence, as the host's fault."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cli.main import _exit_code
from harness.host.cache import CacheMisnamed, cache_folder
from harness.host.ledger import Ledger
from harness.host.surroundings import NEEDED, USEFUL
from harness.run.preflight import HostUnfit, look_around, require_fit
from tests.support.small_disk import fill, mounted_disk
from tests.support.stub_runs import write_scenario


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    lines: list[str]
    """Of standard error."""


@pytest.fixture
def repro(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Do what the command line does, in this process."""

    def run(*words: str) -> Said:
        code = _exit_code([*words])
        told = capsys.readouterr()
        return Said(code, told.out, told.err.splitlines())

    return run


@pytest.fixture
def run(tmp_path: Path, repro: Callable[..., Said]) -> Callable[[], Said]:
    """Run a scenario of the stub daemon."""
    scenario, results = write_scenario(tmp_path, stop={"iterations": 1}), tmp_path / "results"
    return lambda: repro("run", str(scenario), "--results", str(results))


def refused(ended: Said, *said: str) -> None:
    """See that a command did nothing, for a reason that one line says with what to do."""
    assert ended.code == 255
    assert ended.out == ""
    [line] = ended.lines
    assert [part for part in ("repro: ", *said) if part not in line] == []


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("limit", "has", "said"),
    [
        (resource.RLIMIT_NOFILE, 32, "32 open files"),
        (resource.RLIMIT_FSIZE, 10_240, "`ulimit -f"),
        (resource.RLIMIT_CPU, 60, "`ulimit -t"),
        (resource.RLIMIT_AS, 2**30, "`ulimit -v"),
    ],
    ids=["files", "size", "time", "addresses"],
)
def test_limits_of_the_shell(
    tmp_path: Path, run: Callable[[], Said], monkeypatch: pytest.MonkeyPatch, limit: int, has: int, said: str
) -> None:
    """A limit that the run would break on later is named before anything is made."""
    limits = resource.getrlimit
    monkeypatch.setattr("resource.getrlimit", lambda of: (has, has) if of == limit else limits(of))
    refused(run(), said, "ulimit")
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("cache")
def test_no_folder_for_temporary_files(
    tmp_path: Path, run: Callable[[], Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TMPDIR that is not there is the host's fault, not the daemon's, and nothing else is taken in its place."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    refused(run(), "nowhere", "No such file", "set TMPDIR")


@pytest.mark.usefixtures("cache")
def test_no_room_for_temporary_files(tmp_path: Path, run: Callable[[], Said], monkeypatch: pytest.MonkeyPatch) -> None:
    """A TMPDIR that can only be read, or is full, is named too."""
    with mounted_disk(tmp_path) as disk:
        monkeypatch.setenv("TMPDIR", str(disk))
        fill(disk, 2**20)
        refused(run(), "less than 16.0 MiB are free", "set TMPDIR")
        _only_read(disk)
        refused(run(), "Read-only file system", "set TMPDIR")


def _only_read(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)  # noqa: S607


@pytest.fixture
def path_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a PATH with all that a run needs, but for a program."""

    def without(missing: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        for program in {*NEEDED, *USEFUL, "sh", "find", "cat", "sleep", "env"} - {missing}:
            (folder / program).symlink_to(str(shutil.which(program)))
        monkeypatch.setenv("PATH", str(folder))

    return without


@pytest.mark.usefixtures("cache")
def test_no_setpriv(run: Callable[[], Said], path_without: Callable[[str], None]) -> None:
    """Without `setpriv` the reason is not that some other program is not there, and no daemon is blamed."""
    path_without("setpriv")
    refused(run(), "setpriv", "install util-linux")


@pytest.mark.usefixtures("cache")
def test_what_only_some_runs_need(run: Callable[[], Said], path_without: Callable[[str], None]) -> None:
    """A run goes on without what it does not need, and says so before it begins."""
    path_without("mkfs.ext4")
    ended = run()
    assert ended.code == 0, ended.lines
    assert ended.lines[0].startswith("programs: without mkfs.ext4 ")


def test_a_cache_that_is_none(
    tmp_path: Path, run: Callable[[], Said], repro: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command that needs the cache says in one line what is wrong with it; those that do not go on."""

    def refused_by_all(cache: Path, said: str) -> None:
        monkeypatch.setenv("REPRO_CACHE", str(cache))
        for ended in (run(), repro("clean"), repro("toolchain", "list")):
            refused(ended, str(cache), said, "set REPRO_CACHE")
        assert f"cache           missing  the cache cannot be used: {cache}" in repro("doctor").out

    (tmp_path / "file").touch()
    refused_by_all(tmp_path / "file", "Not a directory")
    assert repro("list").code == 0
    with mounted_disk(tmp_path) as disk:
        fill(disk, 0)
        refused_by_all(disk / "cache", "No space left on device")
        _only_read(disk)
        refused_by_all(disk / "cache", "Read-only file system")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_cache_of_another_user(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """root may use it, and is told who else can; who may not write to it is told whose it is."""
    monkeypatch.delenv("SUDO_UID", raising=False)
    require_fit()
    os.chown(cache, 4242, 4242)
    os.chown(cache / "ledgers", 4242, 4242)
    [check] = [check for check in look_around() if check.name == "cache"]
    assert (check.state, "of user 4242, who can change" in check.detail) == ("limited", True)
    with monkeypatch.context() as patched:
        patched.setattr("os.access", lambda *_: False)
        with pytest.raises(HostUnfit, match=r"denied \(.* is of user 4242\); set REPRO_CACHE"):
            require_fit()


BAD = {"colon": "a:b", "comma": "a,b", "quote": 'a"b', "newline": "a\nb", "backslash": "a\\b", "bytes": "a\udcff"}


@pytest.mark.parametrize("name", BAD.values(), ids=BAD.keys())
def test_a_cache_that_mounts_would_break_apart(
    tmp_path: Path, repro: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A cache that PATH, overlayfs or apt would not read as one folder is refused, as what the user asked for."""
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / name))
    for words in (["run", "control-clean"], ["clean"], ["doctor"], ["toolchain", "list"]):
        ended = repro(*words)
        assert ended.code == 129
        [line] = ended.lines
        assert "in its path" in line
        assert "set REPRO_CACHE" in line
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["a b", "a'b", "é", "$a", "a#b", "a%b", "a=b", "-a"])
def test_a_cache_with_an_odd_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Any other name will do; real daemons lived in each (`tests/adversary`)."""
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / name))
    assert cache_folder("x") == tmp_path / name / "x"


@pytest.mark.usefixtures("cache")
def test_several_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that is missing has a line of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostUnfit) as caught:
        require_fit()
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.usefixtures("cache")
def test_the_users_own_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a home folder is held to the same."""
    monkeypatch.delenv("REPRO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/a:b")
    with pytest.raises(CacheMisnamed, match="a colon"):
        cache_folder("x")


@pytest.mark.usefixtures("cache")
def test_nothing_is_made(tmp_path: Path) -> None:
    """What is looked at is left as it was, but for the folders of the cache."""
    require_fit()
    before = [*tmp_path.rglob("*")]
    require_fit()
    assert [*tmp_path.rglob("*")] == before


@pytest.mark.usefixtures("cache")
def test_a_run_that_goes_on_is_told_by_its_name() -> None:
    """A run is told of once, by its name, whichever of its ledgers there are at the moment."""
    one, two = "20260101T000000Z-aaaa", "20260101T000000Z-bbbb"
    begun = [Ledger.open(name) for name in (f"{one}-staging", f"{one}-1234", f"{two}-staging")]
    [told] = [check.detail for check in look_around() if check.name == "other runs"]
    for ledger in begun:
        ledger.discard()
    assert told == f"{one}, {two} still running: what is beside it changes its timing"
