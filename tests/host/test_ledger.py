"""The ledger: what a run owns is given back, whole, and nothing else is touched."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import InfraError
from harness.host import cgroup as cgroup_module
from harness.host import removal
from harness.host.cgroup import Cgroup
from harness.host.ledger import (
    ELSEWHERE,
    FolderTaken,
    GivenBack,
    Ledger,
    LedgerTaken,
    LeftAlone,
    NoPlace,
    disbelieved,
    ledgers,
    remove_remnants,
)
from harness.host.owner import host, pid_namespace
from harness.host.proc import STARTED_BY, Completed, Identity, boot_id
from harness.host.proof import no_process_of_ours

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("cache")]

Eventually = Callable[[Callable[[], bool]], bool]
Process = Callable[..., subprocess.Popen[str]]

CGROUPS = Path("/sys/fs/cgroup")


@pytest.fixture
def place(cache: Path) -> Path:
    """A folder of the cache that runs have folders in."""
    folder = cache / "staging"
    folder.mkdir()
    return folder


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(autouse=True)
def _mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what tests start carry our mark, as what `spawn` starts does."""
    monkeypatch.setenv(*STARTED_BY)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Mount, where this host lets us; what is left of it goes with the test."""
    mounted: list[Path] = []

    def make(point: Path, *options: str | Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        point.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *options, point], capture_output=True, text=True, check=False)  # noqa: S607
        if done.returncode != 0:
            pytest.skip(f"this host does not let us mount: {done.stderr.strip()}")
        mounted.append(point)

    yield make
    while any(is_mounted(point) for point in mounted):
        for point in filter(is_mounted, reversed(mounted)):
            subprocess.run(["umount", "--lazy", point], check=True)  # noqa: S607
    assert tmp_path.exists()


def is_mounted(point: Path) -> bool:
    """Whether something is mounted at a path that exists."""
    written = str(point).replace("\\", "\\134").replace(" ", "\\040")
    return any(text.split()[4] == written for text in Path("/proc/self/mountinfo").read_text().splitlines())


@pytest.fixture
def cgroup() -> Iterator[str]:
    """A name for a cgroup of ours, which exists in one hierarchy at least; removed with the test."""
    if os.geteuid() != 0:
        pytest.skip("cgroups need root")
    name = f"repro-test-{os.getpid()}"
    for parent in (CGROUPS, *sorted(CGROUPS.glob("*/"))):
        if (parent / "cgroup.procs").exists():
            with suppress(OSError):
                (parent / name).mkdir()
    made = [folder for folder in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")) if folder.is_dir()]
    if not made:
        pytest.skip("this host does not let us make cgroups")
    yield name
    for folder in made:
        for path in (*sorted(folder.rglob("*/"), reverse=True), folder):
            with suppress(OSError):
                path.rmdir()


async def test_a_tree_of_processes(process: Process, eventually: Eventually) -> None:
    """A process is ended with all that it started, also those that are deaf to SIGTERM or in a session of their own."""
    root = process("sh", "-c", "trap '' TERM; setsid sleep 1000 & echo $!; sh -c 'sleep 1000 & echo $!; wait' & wait")
    family = [root.pid, int(line(root)), int(line(root))]
    members = [Identity.of(pid) for pid in family]
    ledger = Ledger.open("run")
    ledger.own_process(root.pid)
    assert await ledger.reclaim() == []
    assert not any(member.alive() for member in members)
    assert not ledger.file.exists()
    assert eventually(lambda: root.poll() == -signal.SIGKILL)


async def test_a_pid_that_came_again(process: Process) -> None:
    """Another process that has the pid of one of ours, by start time or by boot, is not touched, nor its children."""
    parent = process("sh", "-c", "sleep 1000 & echo $!; wait")
    sleep, below = Identity.of(parent.pid), Identity.of(int(line(parent)))
    ledger = Ledger.open("run")
    ledger.processes += [replace(sleep, start_ticks=sleep.start_ticks - 1), replace(sleep, boot="another")]
    ledger.write()
    assert await ledger.reclaim() == []
    assert sleep.alive()
    assert below.alive()


async def test_a_process_that_has_ended(process: Process) -> None:
    """A process that is gone already, before it was noted or after, is no problem."""
    early, late = process("true"), process("sleep", "1000")
    early.wait()
    ledger = Ledger.open("run")
    ledger.own_process(early.pid)
    ledger.own_process(late.pid)
    assert [member.pid for member in ledger.processes] == [late.pid]
    late.kill()
    late.wait()
    assert await ledger.reclaim() == []


async def test_folders(place: Path) -> None:
    """A folder goes with all that is in it, links are removed and not followed, and one that is gone is no problem."""
    (place / "mine").mkdir()
    (place / "mine" / "file").write_text("kept")
    ledger = Ledger.open("run")
    folder = ledger.own_folder(place / "a" / "owned")
    assert (folder.stat().st_mode & 0o777) == 0o700
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file").write_text("x")
    (folder / "link").symlink_to(place / "mine")
    ledger.own_folder(place / "gone").rmdir()
    assert await ledger.reclaim() == []
    assert [*(place / "a").iterdir()] == []
    assert (place / "mine" / "file").read_text() == "kept"


async def test_settling_twice(place: Path, process: Process) -> None:
    """A second settling does nothing, also where a new folder stands in the old one's parent."""
    ledger = Ledger.open("run")
    ledger.own_folder(place / "owned")
    ledger.own_process(process("sleep", "1000").pid)
    assert await ledger.reclaim() == []
    (place / "beside").mkdir()
    assert await ledger.reclaim() == []
    assert (place / "beside").is_dir()


@pytest.mark.parametrize("below", ["m", "deep/er", "a b", "é→", "a\\040"], ids=["plain", "deep", "blank", "é", "octal"])
@pytest.mark.parametrize("name", ["owned", "ownéd", "own ed"], ids=["", "é-folder", "blank-folder"])
async def test_mounts_below_a_folder(place: Path, mount: Callable[..., None], name: str, below: str) -> None:
    """What is mounted below a folder is unmounted first: the files of a bind mount's source are not removed."""
    source = place / "source"
    source.mkdir()
    (source / "file").write_text("kept")
    ledger = Ledger.open("run")
    folder = ledger.own_folder(place / name)
    mount(folder / below, "--bind", source)
    mount(folder / below / "again", "-t", "tmpfs", "tmpfs")
    mount(folder / below / "again", "-t", "tmpfs", "tmpfs")
    assert await ledger.reclaim() == []
    assert not folder.exists()
    assert (source / "file").read_text() == "kept"


async def test_a_mount_below_a_folder_behind_a_link(place: Path, mount: Callable[..., None]) -> None:
    """A folder that is reached through a symbolic link is noted as the kernel names it, and so are mounts below it."""
    source = place / "source"
    source.mkdir()
    (source / "file").write_text("kept")
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    ledger = Ledger.open("run")
    folder = ledger.own_folder(place / "link" / "owned")
    assert folder == place.resolve() / "real" / "owned"
    mount(folder / "m", "--bind", source)
    ledger.detach()
    [read] = ledgers()  # as `repro clean` does it, in another process
    assert await read.reclaim() == []
    assert [*(place / "real").iterdir()] == []
    assert (place / "link").is_symlink()
    assert (source / "file").read_text() == "kept"


@pytest.mark.parametrize("torn", [False, True])
async def test_a_draft_that_was_left(process: Process, *, torn: bool) -> None:
    """A harness that was killed as it wrote leaves a draft: where it is whole it counts, and either way it goes."""
    ledger = Ledger.open("run")
    before = ledger.file.read_text()
    ledger.own_process(process("sleep", "1000").pid)
    draft = ledger.file.with_suffix(".draft")
    ledger.file.rename(draft)
    ledger.file.touch(0o600)
    ledger.file.write_text(before)
    if torn:
        draft.write_text(draft.read_text()[:-9])
    ledger.detach()
    [read] = ledgers()
    assert read.processes == ([] if torn else ledger.processes)
    assert await read.reclaim() == []
    assert ledger.processes[0].alive() is torn
    assert not draft.exists()
    assert [*ledgers()] == []


@pytest.mark.parametrize("made", ["folder", "file", "link", "owned"])
async def test_a_folder_that_is_there_already(place: Path, made: str) -> None:
    """What is there already is refused, and settling leaves it as it is, also where it is of another run."""
    ledger, taken = Ledger.open("run"), place / "taken"
    if made == "file":
        taken.write_text("kept")
    elif made == "owned":
        ledger.own_folder(taken)
        ledger = Ledger.open("another")
    else:
        (place / "real").mkdir()
        (place / "real" / "file").write_text("kept")
        (place / "real").rename(taken) if made == "folder" else taken.symlink_to("real")
    with pytest.raises(FolderTaken, match=r"/(taken|real) is there already") as caught:
        ledger.own_folder(taken)
    assert isinstance(caught.value, InfraError)
    assert json.loads(ledger.file.read_text())["folders"] == []
    assert await ledger.reclaim() == []
    assert taken.exists()
    if made in {"folder", "link"}:
        assert (taken / "file").read_text() == "kept"


async def test_a_mount_beside_a_folder(place: Path, mount: Callable[..., None]) -> None:
    """A mount whose path only begins like the folder's is not ours."""
    ledger = Ledger.open("run")
    ledger.own_folder(place / "owned")
    mount(place / "owned-by-another", "-t", "tmpfs", "tmpfs")
    assert await ledger.reclaim() == []
    assert is_mounted(place / "owned-by-another")


async def test_a_mount_that_stays(
    place: Path, mount: Callable[..., None], monkeypatch: pytest.MonkeyPatch, process: Process
) -> None:
    """Where a mount cannot be undone its folder is left and told of; the rest goes, and the ledger stays for later."""
    source = place / "source"
    source.mkdir()
    (source / "file").write_text("kept")
    ledger = Ledger.open("run")
    ledger.own_folder(place / "free")
    folder = ledger.own_folder(place / "owned")
    ledger.own_process(process("sleep", "1000").pid)
    mount(folder / "m", "--bind", source)

    async def refuse(argv: Sequence[str | Path], **_: Any) -> Completed:
        assert argv[0] == "umount"
        return Completed(32, "", "umount: target is busy.")

    with monkeypatch.context() as patch:
        patch.setattr(removal, "run", refuse)
        patch.setattr(removal, "END_SECONDS", 0.3)  # it tries for so long
        assert await ledger.reclaim() == [f"{folder}/m is still mounted; {folder} was left"]
    assert (source / "file").read_text() == "kept"
    assert not (place / "free").exists()
    assert not ledger.processes[0].alive()
    [again] = ledgers()
    assert await again.reclaim() == []
    assert [*ledgers()] == []
    assert not folder.exists()


@pytest.mark.parametrize("how", ["missing", "slow"])
async def test_a_mount_that_nothing_undoes(
    place: Path, mount: Callable[..., None], monkeypatch: pytest.MonkeyPatch, process: Process, how: str
) -> None:
    """Where `umount` cannot be started or does not end, its folder is told of and the others go all the same."""
    source, programs = place / "source", place / "programs"
    source.mkdir()
    programs.mkdir()
    (source / "file").write_text("kept")
    if how == "slow":
        (programs / "umount").write_text("#!/bin/sh\nwhile :; do :; done\n")
        (programs / "umount").chmod(0o755)
    ledger = Ledger.open("run")
    ledger.own_folder(place / "first")
    folder = ledger.own_folder(place / "owned")
    ledger.own_folder(place / "last")
    ledger.own_process(process("sleep", "1000").pid)
    mount(folder / "m", "--bind", source)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(programs))
        patch.setattr(removal, "END_SECONDS", 0.3)
        patch.setattr(removal, "_UNMOUNT_SECONDS", 0.1)
        assert await ledger.reclaim() == [f"{folder}/m is still mounted; {folder} was left"]
    assert (source / "file").read_text() == "kept"
    assert not (place / "first").exists()
    assert not (place / "last").exists()
    assert not ledger.processes[0].alive()
    assert await ledger.reclaim() == []
    assert not folder.exists()


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
async def test_died_between_noting_and_making(place: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool) -> None:
    """A folder of which it was not noted that it was made goes where it is empty, as a harness leaves it that dies
    just then; one with something in it is another's.
    """
    ledger = Ledger.open("run")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ledger.own_folder(place / "owned")
    if full:
        (place / "owned" / "file").write_text("kept")
    ledger.detach()
    [read] = ledgers()
    told = [f"{place}/owned is not known to have been made by the run, and was left"]
    assert await read.reclaim() == (told if full else [])
    assert (place / "owned").exists() is full


def forged(cache: Path, **other: Any) -> Ledger:
    """Return a ledger that somebody wrote by hand, of a harness that is dead."""
    gone = {"pid": 2**22 + 1, "start_ticks": 1, "boot": boot_id()}
    owned: dict[str, Any] = {
        "processes": [],
        "folders": [],
        "cgroups": [],
        "host": host(),
        "namespace": pid_namespace(),
        "mark": "x",
    }
    file = cache / "ledgers" / "forged.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"harness": gone} | owned | other))
    file.with_suffix(".lock").touch()
    file.chmod(0o600)
    [ledger] = ledgers()
    return ledger


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
@pytest.mark.parametrize("where", ["foreign", "result", "the place itself", "link", "above", "another", "temporary"])
async def test_a_forged_folder(tmp_path: Path, cache: Path, place: Path, where: str, *, old: bool) -> None:
    """A folder is not removed because a ledger names it: not one elsewhere, a link to one, nor another in its place."""
    mine, own = tmp_path / "mine", place / "owned"
    mine.mkdir()
    folder = {
        "foreign": mine,
        "result": cache / "builds" / "0abc-1",
        "the place itself": place,
        "link": own,
        "above": place / ".." / ".." / "mine",
        "another": own,
        "temporary": Path(tempfile.gettempdir()) / f"not-repro-{os.getpid()}",
    }[where]
    if where == "link":
        own.symlink_to(mine)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text("kept")
    extra: dict[str, Any] = (
        {"host": None, "mark": None} if old and where != "another" else {"made": {str(folder): [1, 1]}}
    )
    ledger = forged(cache, folders=[str(folder)], **extra)
    [problem] = await ledger.reclaim()
    assert problem.startswith(f"{folder} is not ")
    assert (folder / "file").read_text() == "kept"
    assert ledger.file.exists()
    if where == "temporary":
        shutil.rmtree(folder)


async def test_a_folder_in_a_folder_s_place(place: Path) -> None:
    """One that stands where ours stood, and was made by somebody else, is not removed."""
    ledger = Ledger.open("run")
    folder = ledger.own_folder(place / "owned")
    folder.rename(place / "moved")
    folder.mkdir()
    assert await ledger.reclaim() == [f"{folder} is not the folder that the run made there, and was left"]
    assert folder.is_dir()


async def test_a_folder_elsewhere(tmp_path: Path) -> None:
    """What `repro clean` would leave is not made in the first place."""
    ledger = Ledger.open("run")
    with pytest.raises(NoPlace, match="is not where runs have their folders"):
        ledger.own_folder(tmp_path / "owned")
    assert not (tmp_path / "owned").exists()
    assert ledger.folders == []


@pytest.mark.parametrize("which", ["unmarked", "other mark", "ourselves", "above"])
@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
async def test_a_forged_process(
    cache: Path, process: Process, monkeypatch: pytest.MonkeyPatch, which: str, *, old: bool
) -> None:
    """A process is not ended because a ledger names it: it carries its harness's mark, and is not above ourselves."""
    if which == "unmarked":
        monkeypatch.delenv(STARTED_BY[0])
    elif which == "other mark":
        monkeypatch.setenv(STARTED_BY[0], "another's")
    bystander = process("sleep", "1000")
    pid = {"ourselves": os.getpid(), "above": os.getppid()}.get(which, bystander.pid)
    marks = {"host": None, "mark": None} if old else {"mark": STARTED_BY[1]}
    ledger = forged(cache, processes=[asdict(Identity.of(pid))], **marks)
    [problem] = await ledger.reclaim()
    why = "runs this very program" if which in {"ourselves", "above"} else "was not started by the run's harness"
    assert problem == f"process {pid} {why}, and was left"
    assert bystander.poll() is None


async def test_a_process_in_the_cgroup_of_its_run(
    cache: Path, process: Process, monkeypatch: pytest.MonkeyPatch, cgroup: str, eventually: Eventually
) -> None:
    """One that lives in the cgroup of its run needs no mark of its own, for the cgroup has it: a step of a build is
    given none.
    """
    monkeypatch.delenv(STARTED_BY[0])
    member = process("sleep", "1000")
    identity = Identity.of(member.pid)
    for top in (CGROUPS / cgroup, *CGROUPS.glob(f"*/{cgroup}")):
        with suppress(OSError):
            (top / "cgroup.procs").write_text(str(member.pid))
    assert no_process_of_ours(identity, "x", [cgroup]) == "was not started by the run's harness"
    sign(cgroup, "x")
    assert no_process_of_ours(identity, "x", [cgroup]) is None
    assert no_process_of_ours(identity, "y", [cgroup]) == "was not started by the run's harness"
    assert no_process_of_ours(identity, None, [cgroup]) == "was not started by the run's harness"
    assert no_process_of_ours(identity, "x", [f"{cgroup}x"]) == "was not started by the run's harness"
    ledger = forged(cache, processes=[asdict(identity)], cgroups=[cgroup])
    assert await ledger.reclaim() == []
    assert eventually(lambda: member.poll() == -signal.SIGKILL)


def sign(cgroup: str, mark: str) -> None:
    """Leave a mark in a cgroup, as the harness with that mark does that makes it."""
    for top in CGROUPS.glob(f"*/{cgroup}"):
        (top / f"by-{mark}").mkdir()
        return
    (CGROUPS / cgroup / f"by-{mark}").mkdir()


@pytest.mark.parametrize("mark", ["another", None], ids=["another's", "nobody's"])
async def test_a_user_s_cgroup(cache: Path, process: Process, cgroup: str, mark: str | None) -> None:
    """A cgroup of somebody's own is left with what is in it, though it is named as those of runs are."""
    member = process("sleep", "1000")
    tops = [top for top in (CGROUPS / cgroup, *CGROUPS.glob(f"*/{cgroup}")) if top.is_dir()]
    for top in tops:
        with suppress(OSError):
            (top / "cgroup.procs").write_text(str(member.pid))
    if mark:
        sign(cgroup, mark)
    assert await forged(cache, cgroups=[cgroup]).reclaim() == [
        f"cgroup {cgroup} does not show that the run made it, and was left"
    ]
    assert member.poll() is None
    assert all(top.is_dir() for top in tops)


def test_a_cgroup_below_another_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cgroup of ours is below the root of a hierarchy: one of that name in `system.slice` is a unit's."""
    monkeypatch.setattr(cgroup_module, "ROOT", tmp_path)
    for folder in (tmp_path, tmp_path / "repro-x", tmp_path / "system.slice", tmp_path / "system.slice" / "repro-x"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.procs").touch()
    assert [*cgroup_module.folders_of("repro-x")] == [tmp_path / "repro-x"]


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder of the user's among temporary files, named as those of runs are."""
    folder = Path(tempfile.mkdtemp(prefix="repro-"))
    (folder / "file").write_text("kept")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("how", ["old", "made", "earlier boot", "empty", "other mark", "a mark that is a path"])
async def test_a_user_s_folder_outside_the_cache(cache: Path, outside: Path, how: str) -> None:
    """What is in no cache shows by a mark in it that a run made it: its name, device and inode anybody can write."""
    facts = outside.stat()
    extra: dict[str, Any] = {"made": {str(outside): [facts.st_dev, facts.st_ino]}}
    if how == "old":
        extra = {"mark": None, "host": None}
    elif how == "earlier boot":
        extra |= {"harness": {"pid": 1, "start_ticks": 1, "boot": "earlier"}}
    elif how == "empty":
        (outside / "file").unlink()
    elif how == "other mark":
        (outside / ".by-y").touch()
    elif how == "a mark that is a path":
        extra |= {"mark": f"x/../../{outside.name}/file"}
        with pytest.raises(ValueError, match="not enough values"):
            forged(cache, folders=[str(outside)], **extra)
        return
    ledger = forged(cache, folders=[str(outside)], **extra)
    assert await ledger.reclaim() == [f"{outside} does not show that the run made it, and was left"]
    assert outside.is_dir()


async def test_our_own_folder_outside_the_cache() -> None:
    """One that a run made among temporary files goes, in a ledger that was read too."""
    ledger = Ledger.open("run")
    folder = ledger.own_folder(Path(tempfile.gettempdir()) / f"repro-test-{os.getpid()}")
    (folder / "socket").touch()
    ledger.detach()
    [read] = ledgers()
    assert await read.reclaim() == []
    assert not folder.exists()


@pytest.mark.parametrize("step", ["mkdir", "touch", "rename", "lstat"])
async def test_a_harness_killed_as_it_makes_a_folder(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Wherever that was, its folder outside the cache goes with the ledger that was read."""
    ledger = Ledger.open("run")
    folder = Path(tempfile.gettempdir()) / f"repro-test-{os.getpid()}"
    done = getattr(Path, step)

    def killed(self: Path, *args: Any, **words: Any) -> Any:
        result = done(self, *args, **words)
        if self.name.startswith(folder.name) or self.parent.name.startswith(folder.name):
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patched:
        patched.setattr(Path, step, killed)
        with pytest.raises(KeyboardInterrupt):
            ledger.own_folder(folder)
    assert [*folder.parent.glob(f"{folder.name}*")]
    ledger.detach()
    [read] = ledgers()
    assert await read.reclaim() == []
    assert not [*folder.parent.glob(f"{folder.name}*")]


class Killed(BaseException):
    """Stands for a SIGKILL: nothing that handles errors is to handle it."""


@contextmanager
def killed_before(step: int) -> Iterator[None]:
    """Have what removes or renames something killed before its step of that number, from 1."""
    before = iter(range(1, step))

    def counted(done: Callable[..., Any]) -> Callable[..., Any]:
        def one(*args: Any, **words: Any) -> Any:
            if next(before, None) is None:
                raise Killed
            return done(*args, **words)

        return one

    with pytest.MonkeyPatch.context() as patched:
        for name in ("unlink", "rmdir", "rename", "replace"):
            patched.setattr(os, name, counted(getattr(os, name)))
        yield


@pytest.mark.parametrize("step", range(5, 40, 2))
async def test_one_who_settles_is_killed(cache: Path, place: Path, cgroup: str, step: int) -> None:
    """Wherever that was, the next one gives back the rest: what is removed shows to the last whose it is."""
    for top in (CGROUPS / cgroup, *CGROUPS.glob(f"*/{cgroup}")):
        with suppress(OSError):
            top.rmdir()
    ledger = Ledger.open(cgroup.removeprefix("repro-"))
    outside = ledger.own_folder(Path(tempfile.gettempdir()) / cgroup)
    for name in ("a", "z"):
        (outside / name).touch()
    (outside / "below").mkdir()
    (ledger.own_folder(place / "owned") / ELSEWHERE).touch()
    Cgroup(ledger.own_cgroup(cgroup)).leaf("daemon")
    for hierarchy in CGROUPS.glob("*/"):  # as runc makes one in each, without our mark
        if hierarchy.is_mount() and not (hierarchy / cgroup).exists():
            (hierarchy / cgroup / "buildkit").mkdir(parents=True)
    asked = 0

    async def give_back(_file: Path) -> GivenBack:
        nonlocal asked
        asked += 1
        return GivenBack()

    with suppress(Killed), killed_before(step):
        assert await ledger.reclaim(give_back) == []
    ledger.detach()
    for read in ledgers():
        assert await read.reclaim(give_back) == []
    remove_remnants()
    assert [*(cache / "ledgers").iterdir()] == [*place.iterdir()] == [*outside.parent.glob(f"{outside.name}*")] == []
    assert not [*CGROUPS.glob(f"*/{cgroup}"), *CGROUPS.glob(cgroup)]
    assert asked in {1, 2}


async def test_a_cgroup_in_use_keeps_its_mark(cgroup: str, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose a cgroup is that cannot be removed yet, it still shows to who tries again."""
    for top in (CGROUPS / cgroup, *CGROUPS.glob(f"*/{cgroup}")):
        with suppress(OSError):
            top.rmdir()
    ledger, member = Ledger.open("run"), process("sleep", "1000")
    Cgroup(ledger.own_cgroup(cgroup)).adopt(member.pid)
    with monkeypatch.context() as patched:
        patched.setattr(removal, "END_SECONDS", 0.2)
        patched.setattr(removal, "_kill_members", lambda _folder: None)
        assert [each.rpartition("/")[2] for each in await ledger.reclaim()] == [f"{cgroup} still has processes"]
    [read] = ledgers()
    assert await read.reclaim() == []
    assert not [*CGROUPS.glob(f"*/{cgroup}"), *CGROUPS.glob(cgroup)]


def test_a_ledger_that_was_never_written(cache: Path) -> None:
    """Of one killed before it had anything, the empty draft goes; one that is held, or has anything, stays."""
    held, torn = Ledger.open("held"), cache / "ledgers" / "torn.draft"
    for name in ("locked", "empty", "torn"):
        (cache / "ledgers" / f"{name}.lock").touch()
    (cache / "ledgers" / "empty.draft").touch()
    torn.write_text("{")
    remove_remnants()
    assert {each.name for each in (cache / "ledgers").iterdir()} == {
        "held.json",
        "held.lock",
        "torn.draft",
        "torn.lock",
    }
    held.discard()


async def test_a_harness_killed_as_it_makes_a_cgroup(cache: Path, cgroup: str) -> None:
    """The run's own cgroup goes without a mark where nothing is in it; an empty one of another name stays."""
    assert await forged(cache, cgroups=[cgroup]).reclaim() == [
        f"cgroup {cgroup} does not show that the run made it, and was left"
    ]
    ledger = Ledger.open(cgroup.removeprefix("repro-"))
    ledger.own_cgroup(cgroup)
    ledger.detach()
    [read] = [each for each in ledgers() if each.name == ledger.name]
    assert await read.reclaim() == []
    assert not any(CGROUPS.glob(f"*/{cgroup}"))
    assert not (CGROUPS / cgroup).exists()


COPIED = """
import sys
from pathlib import Path
from harness.host.ledger import Ledger
from harness.host.proc import STARTED_BY
import os, subprocess
ledger = Ledger.open("run")
sleep = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL, env={**os.environ, STARTED_BY[0]: STARTED_BY[1]})
ledger.own_process(sleep.pid)
if sys.argv[1] == "kept":
    ledger.detach()
print(sleep.pid, flush=True)
sys.stdin.read() if sys.argv[1] == "kept" else __import__("time").sleep(1000)
"""


@pytest.mark.parametrize("how", ["running", "kept"])
async def test_a_copied_cache(
    cache: Path, tmp_path: Path, process: Process, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Who copies a cache copies its locks, and nobody holds the copies: what runs, or is kept, is left alone."""
    run = process(sys.executable, "-c", COPIED, how)
    daemon = Identity.of(int(line(run)))
    shutil.copytree(cache, tmp_path / "copy")
    with monkeypatch.context() as patch:
        patch.setenv("REPRO_CACHE", str(tmp_path / "copy"))
        [ledger] = ledgers()
        with pytest.raises(LeftAlone, match="a copy; `repro clean` where it was begun settles it"):
            await ledger.reclaim()
        assert daemon.alive()
    run.kill()
    run.wait()
    [ledger] = ledgers()
    assert await ledger.reclaim() == []
    assert not daemon.alive()


@pytest.mark.parametrize("what", ["process", "child", "parent", "folder", "below", "above"])
async def test_what_a_running_run_has(cache: Path, place: Path, process: Process, what: str) -> None:
    """What is in the ledger of a run that goes on is left, though another ledger names it, or what is around it."""
    mine = Ledger.open("running")
    daemon = process("sh", "-c", "sleep 1000 & echo $!; wait")
    child = int(line(daemon))
    mine.own_process(child if what == "parent" else daemon.pid)
    folder = mine.own_folder(place / "owned" / "folder")
    (folder / "root").mkdir()
    named = {"below": folder / "root", "above": folder.parent}.get(what, folder)
    facts = named.stat()
    pid = child if what == "child" else daemon.pid
    extra: dict[str, Any] = (
        {"folders": [str(named)], "made": {str(named): [facts.st_dev, facts.st_ino]}}
        if what in {"folder", "below", "above"}
        else {"processes": [asdict(Identity.of(pid))], "mark": STARTED_BY[1]}
    )
    with suppress(ValueError):
        forged(cache, **extra)
    [ledger, _] = ledgers()
    [problem] = await ledger.reclaim()
    assert problem == f"{named if 'folders' in extra else f'process {pid}'} is of running too, and was left"
    assert (folder / "root").is_dir()
    assert daemon.poll() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"processes": [{"pid": "\0", "start_ticks": 1, "boot": ""}]},
        {"processes": [{"pid": "self", "start_ticks": 1, "boot": ""}]},
        {"processes": [{"pid": 10**30, "start_ticks": 1, "boot": ""}]},
        {"cgroups": [None]},
        {"made": {"a": [1e999, 1]}},
        {"host": "\x1b[2J"},
        {"folders": ["/run/repro-\0"]},
        "[" * 200_000,
        "a file of 1 TiB",
    ],
    ids=lambda wrong: str(wrong)[:20],
)
def test_a_ledger_that_no_run_wrote(cache: Path, wrong: Any) -> None:
    """What cannot be a ledger is none, is told of, and breaks nothing."""
    file = begun().file
    if isinstance(wrong, str):
        file.write_text(wrong)
        os.truncate(file, 2**40 if wrong.startswith("a file") else len(wrong))
    else:
        file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    assert [*ledgers()] == []
    [why] = disbelieved()
    assert why.startswith(f"{cache}/ledgers/run.json: not believed, for it ")


def test_a_ledger_that_is_written_just_now() -> None:
    """Half of a ledger is no damage as long as its harness holds it."""
    ledger = Ledger.open("run")
    ledger.file.rename(ledger.file.with_suffix(".draft"))
    ledger.file.with_suffix(".draft").write_text('{"name": ')
    assert [*disbelieved()] == []
    ledger.detach()
    assert [*disbelieved()] == [f"{ledger.file.with_suffix('.draft')}: not believed, for it is damaged"]


@pytest.mark.parametrize("name", ["system.slice", "repro-*", "repro-x/../docker", "", ".", "x-repro-y"])
async def test_a_forged_cgroup(cache: Path, name: str) -> None:
    """Only a cgroup that is named as ours are is removed; a name is never a pattern or a path."""
    assert await forged(cache, cgroups=[name]).reclaim() == [
        f"cgroup {name} is not named as those of runs are, and was left"
    ]


@pytest.mark.parametrize("how", ["group", "others", "user", "link", "folder"])
async def test_a_ledger_that_others_can_write(tmp_path: Path, how: str) -> None:
    """A ledger that another user may have written is not believed, and why is told."""
    file = begun().file
    if how == "user":
        if os.geteuid() != 0:
            pytest.skip("giving a file away needs root")
        os.chown(file, 12345, -1)
    elif how == "link":
        file.rename(tmp_path / "real.json")
        file.symlink_to(tmp_path / "real.json")
    elif how == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.chmod(0o620 if how == "group" else 0o602)
    assert [*ledgers()] == []
    [why] = disbelieved()
    assert why.startswith(f"{file}: not believed, for ")
    assert os.path.lexists(file)


KILLS = """
import sys
from pathlib import Path
from harness.host.removal import _kill_members
_kill_members(Path(sys.argv[1]))
print("alive", flush=True)
"""


def test_a_member_of_another_pid_namespace(tmp_path: Path, process: Process, eventually: Eventually) -> None:
    """A member that has no pid here, listed as 0, is passed over, and does not stand for our own process group."""
    member = process("sleep", "1000")
    (tmp_path / "cgroup.procs").write_text(f"0\n{member.pid}\n0\n")
    assert line(process(sys.executable, "-c", KILLS, tmp_path)) == "alive"
    assert eventually(lambda: member.poll() == -signal.SIGKILL)


async def test_cgroups(cgroup: str, process: Process, eventually: Eventually) -> None:
    """A cgroup is removed from every hierarchy with those below it, and what runs in it is killed first."""
    tops = [top for top in (CGROUPS / cgroup, *CGROUPS.glob(f"*/{cgroup}")) if top.is_dir()]
    beside = [top.parent for top in tops]
    member = process("sleep", "1000")
    for top in tops:
        (top / "below").mkdir()
        with suppress(OSError):  # an empty cpuset takes no process
            (top / "below" / "cgroup.procs").write_text(str(member.pid))
    assert cgroup in Path(f"/proc/{member.pid}/cgroup").read_text()
    ledger = Ledger.open("run")
    ledger.own_cgroup(cgroup)
    ledger.own_cgroup("repro-test-never-made")
    assert await ledger.reclaim() == []
    assert not any(top.exists() for top in tops)
    assert all(parent.is_dir() for parent in beside)
    assert eventually(lambda: member.poll() == -signal.SIGKILL)


def test_a_ledger_of_a_living_harness(place: Path, process: Process) -> None:
    """A ledger is on disk as soon as it has something, in full, and in use as long as its harness lives."""
    ledger = Ledger.open("run")
    assert [*ledgers()] == [ledger]
    ledger.own_folder(place / "owned")
    ledger.own_process(process("sleep", "1000").pid)
    ledger.own_cgroup("repro-x")
    [read] = ledgers()
    assert read == ledger
    assert read.in_use
    assert (read.processes, read.folders, read.cgroups) == (ledger.processes, [place / "owned"], ["repro-x"])
    ledger.detach()
    assert not read.in_use


def test_noted_before_it_is_made(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder stands in the ledger before it is on disk: who dies between the two leaves nothing unknown."""
    ledger = Ledger.open("run")
    noted: list[Path] = []

    def look(path: Path, *_: object, **__: object) -> None:
        if path == place / "owned":
            noted.extend(Path(folder) for folder in json.loads(ledger.file.read_text())["folders"])
            os.mkdir(path)  # noqa: PTH102 — `Path.mkdir` is this very function; fails where it is there already

    file = ledger.file  # its own folder is made before `mkdir` is watched
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "file", file)
        patch.setattr(Path, "mkdir", look)
        ledger.own_folder(place / "owned")
    assert noted == [place / "owned"]


DIES = """
import sys, time
from pathlib import Path
from harness.host.ledger import Ledger
from harness.host.proc import Command, spawn
ledger = Ledger.open("died")
ledger.own_folder(Path(sys.argv[1]) / "owned")
ledger.own_process(spawn(Command(("sleep", "1000")), output=sys.stderr.buffer).pid)
print(ledger.processes[0].pid, flush=True)
time.sleep(1000)
"""


def begun(name: str = "run", **other: Any) -> Ledger:
    """Return a ledger that a harness began which is dead, or elsewhere: what is not told is as ours."""
    ledger = Ledger.open(name)
    ledger.detach()
    gone = replace(ledger, **({"harness": replace(ledger.harness, start_ticks=1)} | other))
    gone.write()
    return gone


EARLIER: dict[str, Any] = {"harness": Identity(2**22 + 1, 1, "an earlier boot")}


async def test_a_ledger_of_another_host(place: Path) -> None:
    """What another host, or an unknown one, has begun is left alone, though nobody here holds its lock."""
    for other, why in (("elsewhere", "made on host elsewhere; run `repro clean` there"), (None, "it does not say")):
        ledger = begun(host=other, folders=[place / "owned"], **EARLIER)
        (place / "owned").mkdir(exist_ok=True)
        assert not ledger.in_use
        with pytest.raises(LeftAlone, match=why):
            await ledger.reclaim()
        assert ledger.file.exists()
        assert (place / "owned").exists()
        ledger.discard()


async def test_a_ledger_of_an_earlier_boot(place: Path, process: Process, cgroup: str) -> None:
    """What this host had before it booted is gone but for folders, and only these are removed."""
    dead = Ledger.open("run")
    dead.own_folder(place / "owned")
    member = process("sleep", "1000")
    dead.own_process(member.pid)
    dead.own_cgroup(cgroup)
    dead.detach()
    replace(dead, **EARLIER).write()
    [ledger] = ledgers()
    assert await ledger.reclaim() == []
    assert member.poll() is None
    assert [*CGROUPS.glob(f"{cgroup}"), *CGROUPS.glob(f"*/{cgroup}")]
    assert not (place / "owned").exists()


async def test_a_ledger_whose_lock_is_gone() -> None:
    """Without its lock a ledger is judged by its harness; one of another pid namespace cannot be."""
    ledger = Ledger.open("run")
    ledger.file.with_suffix(".lock").unlink()
    [read] = ledgers()
    assert read.in_use
    with pytest.raises(LeftAlone, match="still running"):
        await read.reclaim()
    ledger.detach()
    ledger.discard()
    begun("another", namespace=1)
    [other] = ledgers()
    other.file.with_suffix(".lock").unlink()
    with pytest.raises(LeftAlone, match="of another pid namespace"):
        await other.reclaim()


async def test_an_old_ledger(cache: Path, process: Process) -> None:
    """One of an earlier version, which has no lock and says no host, is in use as long as its harness lives."""
    harness = process("sleep", "1000")
    written = {"harness": asdict(Identity.of(harness.pid)), "processes": [], "folders": [], "cgroups": []}
    (cache / "ledgers").mkdir()
    (cache / "ledgers" / "old.json").write_text(json.dumps(written))
    (cache / "ledgers" / "old.json").chmod(0o644)
    [ledger] = ledgers()
    living = [ledger.in_use]
    with pytest.raises(LeftAlone, match=f"still running \\(pid {harness.pid}\\)"):
        await ledger.reclaim()
    harness.kill()
    harness.wait()
    living.append(ledger.in_use)
    assert living == [True, False]
    assert await ledger.reclaim() == []
    assert [*(cache / "ledgers").iterdir()] == []


async def test_a_name_that_is_taken() -> None:
    """A ledger is never written over: neither one that is held, nor one that was not settled."""
    ledger = Ledger.open("run")
    with pytest.raises(LedgerTaken):
        Ledger.open("run")
    ledger.detach()
    with pytest.raises(LedgerTaken):
        Ledger.open("run")
    assert await ledger.reclaim() == []
    assert [*ledger.file.parent.iterdir()] == []
    Ledger.open("run").discard()


async def test_two_who_settle(place: Path) -> None:
    """Who comes second leaves it alone while the first is at it, and finds nothing to do after that."""
    ledger = Ledger.open("run")
    ledger.own_folder(place / "owned")
    ledger.detach()
    [first], [second], [third] = ledgers(), ledgers(), ledgers()
    assert first._take()
    with pytest.raises(LeftAlone, match="or being cleaned by another"):
        await second.reclaim()
    assert await first.reclaim() == []
    assert await third.reclaim() == []
    assert [*ledger.file.parent.iterdir()] == []


@pytest.fixture
def in_a_namespace(process: Process) -> Callable[..., subprocess.Popen[str]]:
    """Start a program as the first of a pid namespace of its own, where this host lets us."""
    words = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], check=False).returncode != 0:
        pytest.skip("this host does not let us make a pid namespace")
    return lambda *argv: process(*words, *argv)


@pytest.mark.parametrize("who", ["run", "clean"])
async def test_a_harness_of_another_pid_namespace(
    place: Path, process: Process, in_a_namespace: Process, who: str
) -> None:
    """A harness that lives is seen from another pid namespace, below its own or above, and keeps what it has."""
    start = in_a_namespace if who == "run" else process
    harness = start(sys.executable, "-c", DIES, place)
    line(harness)
    [ledger] = ledgers()
    assert ledger.in_use
    cleaning = (process if who == "run" else in_a_namespace)(sys.executable, "-m", "harness", "clean")
    assert cleaning.stdout is not None
    told = cleaning.stdout.read()
    assert told.startswith("died: still running (pid ")
    assert told.endswith("left alone\n")
    assert cleaning.wait() == 0
    assert (place / "owned").is_dir()
    assert harness.poll() is None


async def test_what_a_dead_pid_namespace_left(place: Path, in_a_namespace: Process, process: Process) -> None:
    """Ids of another pid namespace are never killed; its folders go once the namespace is seen to have ended, which
    one that does not see it cannot say.
    """
    if pid_namespace() != 0xEFFFFFFC:
        pytest.skip("only the initial pid namespace sees all others")
    harness = in_a_namespace(sys.executable, "-c", DIES, place)
    line(harness)
    harness.kill()
    harness.wait()
    cleaning = in_a_namespace(sys.executable, "-m", "harness", "clean")
    assert cleaning.stdout is not None
    told = cleaning.stdout.read()
    assert "died: its processes are of another pid namespace" in told
    assert cleaning.wait() == 255
    assert (place / "owned").is_dir()
    [ledger] = ledgers()
    bystander = process("sleep", "1000")
    ledger.processes.append(Identity.of(bystander.pid))
    ledger.write()
    assert await ledger.reclaim() == []
    assert bystander.poll() is None
    assert not (place / "owned").exists()


async def test_what_a_killed_harness_left(place: Path, process: Process) -> None:
    """The ledger of a harness that was SIGKILLed is found, is not in use, and gives back what that one had."""
    harness = process(sys.executable, "-c", DIES, place)
    sleep = Identity.of(int(line(harness)))
    [ledger] = ledgers()
    living = [(ledger.in_use, sleep.alive())]
    harness.kill()
    harness.wait()
    living.append((ledger.in_use, sleep.alive()))
    assert await ledger.reclaim() == []
    living.append((ledger.in_use, sleep.alive()))
    assert living == [(True, True), (False, True), (False, False)]
    assert not (place / "owned").exists()
    assert [*ledgers()] == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"harness": {"pid": 1}}', '{"harness": 1}'])
def test_a_file_that_is_no_ledger(cache: Path, text: str) -> None:
    """A file among the ledgers that is none is passed over, and left."""
    mine = Ledger.open("run")
    (cache / "ledgers" / "other.json").write_text(text)
    assert [*ledgers()] == [mine]
    assert (cache / "ledgers" / "other.json").exists()
