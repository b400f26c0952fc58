"""Builds of commits of a real repository: kept, limited in time, failures remembered, and no trace in the clone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import anyio
import pytest

from harness.experiments.bisect.candidates import CannotBeHad, Options, TellsCost, builds, require_ends, resolve_range
from harness.experiments.bisect.candidates.builds import NoCheckout, NoRoom, Record
from harness.experiments.bisect.candidates.ends import EndsCannotBeHad
from harness.experiments.bisect.candidates.git import BuiltCommits
from harness.host.ledger import ledgers
from harness.host.proc import Identity
from tests.experiments.bisect.repository import BUILD, Repository
from tests.support.small_disk import mounted_disk

pytestmark = pytest.mark.anyio

Eventually = Callable[[Callable[[], bool]], bool]


@pytest.fixture
def three(repository: Repository, cache: Path) -> Repository:
    """A good commit, one that does not build, and another good one."""
    assert cache.is_dir()
    repository.commit("good", tag="v1")
    repository.commit("broken", build="echo compiling; echo 'no such type: Blob' >&2; exit 3")
    repository.commit("better", tag="v2")
    return repository


async def found(repository: Repository, command: str = "sh build.sh", **options: float) -> BuiltCommits:
    """Return the commits from v1 to v2."""
    line = await resolve_range(f"git:{repository.folder}@v1..v2", Options(build_command=command, **options))  # type: ignore[arg-type]
    assert isinstance(line, BuiltCommits)
    return line


def version(spec: str) -> str:
    """Return what the daemon of a toolchain says."""
    daemon = Path(spec.removeprefix("path:"), "buildkitd")
    return subprocess.run([daemon, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def results(cache: Path) -> list[Path]:
    """Return what is kept, and what should have gone, but for locks."""
    return sorted(path for path in (cache / "builds").iterdir() if path.suffix != ".lock")


async def test_each_commit_is_built_once(three: Repository, cache: Path) -> None:
    """A commit's daemon is that commit's own, is built when first asked for, and never again by the same command."""
    counted = f"echo x >> '{cache}/count'; sh build.sh"
    line = await found(three, counted)
    assert isinstance(line, TellsCost)
    assert line.seconds(0) is None
    one, other = await line.toolchain(0), await line.toolchain(2)
    assert (version(one), version(other)) == ("good", "better")
    again = await found(three, counted)
    assert (await again.toolchain(0), again.seconds(0), again.seconds(1)) == (one, 0.0, None)
    assert (cache / "count").read_text() == "x\nx\n"
    other_command = await (await found(three, f"{counted}; true")).toolchain(0)
    assert other_command != one
    assert (cache / "count").read_text() == "x\nx\nx\n"


async def test_the_clone_is_not_touched(three: Repository) -> None:
    """After builds, good and bad, not a file of the clone is another, nor younger; its status reads as before."""
    (three.folder / "daemon.sh").write_text("changed and not committed")
    (three.folder / "mine").write_text("untracked")
    os.utime(three.folder / "build.sh")  # the index does not know this time, and so would be refreshed
    before = three.state()
    line = await found(three, "git tag mine; git config user.name me; git gc --quiet; sh build.sh")
    await require_ends(line)
    with pytest.raises(CannotBeHad):
        await line.toolchain(1)
    assert three.state() == before
    assert three.git("worktree", "list").count("\n") == 0


async def test_a_build_finds_the_clones_tags(three: Repository) -> None:
    """The tree is a whole checkout with tags, so that commands that ask git for a version work."""
    ask = 'git describe --tags > told && git status --porcelain >> told && cp told "$REPRO_OUT"'
    line = await found(three, f"{ask}; sh build.sh")
    spec = await line.toolchain(2)
    assert Path(spec.removeprefix("path:"), "told").read_text() == "v2\n?? told\n"


async def test_a_partial_clone(three: Repository, tmp_path: Path) -> None:
    """In a clone without old files, builds fetch them from where the clone would; without that it is said."""
    three.git("config", "uploadpack.allowFilter", "true")
    three.git("config", "uploadpack.allowAnySHA1InWant", "true")
    partial = Repository(tmp_path / "partial")
    partial.git("remote", "add", "upstream", f"file://{three.folder}")
    partial.git("fetch", "--quiet", "--filter=blob:none", "--tags", "upstream")
    before = partial.state()
    assert version(await (await found(partial)).toolchain(0)) == "good"
    assert partial.state() == before
    partial.git("config", "remote.upstream.promisor", "false")
    with pytest.raises(NoCheckout, match=r"could not check .* out: error: unable to read"):
        await (await found(partial)).toolchain(2)


async def test_trees_are_fresh_and_in_one_place(three: Repository) -> None:
    """Each commit is built at the same place, for compilers' caches, with nothing of the commit before lying there."""
    line = await found(three, "pwd > $REPRO_OUT/where; ls -A > $REPRO_OUT/files; touch left-behind; sh build.sh")
    specs = [Path((await line.toolchain(index)).removeprefix("path:")) for index in (0, 2)]
    where, files = ({(spec / name).read_text() for spec in specs} for name in ("where", "files"))
    assert len(where) == 1
    assert files == {".git\nbuild.sh\ndaemon.sh\n"}


async def test_a_build_that_fails(three: Repository, cache: Path) -> None:
    """A commit that does not build says so in one sentence with the end of its log, and is not tried again."""
    counted = f"echo x >> '{cache}/count'; sh build.sh"
    line = await found(three, counted)
    for _ in range(2):
        said = r"failed with status 3: compiling \| no such type: Blob \(log: /"
        with pytest.raises(CannotBeHad, match=said) as raised:
            await line.toolchain(1)
        assert "\n" not in str(raised.value)
    assert (cache / "count").read_text() == "x\n"
    assert (results(cache)[0] / "build.log").read_text() == "compiling\nno such type: Blob\n"
    assert line.seconds(1) == 0.0


async def test_failures_count_for_one_search(three: Repository, cache: Path) -> None:
    """A search that goes on knows the failures of its beginning; a new one tries again, and keeps what it gets."""
    began = time.time()
    missing = cache / "compiler"
    command = f"test -e '{missing}' && {BUILD}"
    with pytest.raises(CannotBeHad):
        await (await found(three, command)).toolchain(0)
    missing.touch()
    with pytest.raises(CannotBeHad):
        await (await found(three, command, since=began)).toolchain(0)
    assert version(await (await found(three, command)).toolchain(0)) == "good"
    assert version(await (await found(three, command, since=began)).toolchain(0)) == "good"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("true", r"ended well, and put no dockerd and no buildkitd into \$REPRO_OUT"),
        ('mkdir "$REPRO_OUT/buildkitd"; touch "$REPRO_OUT/dockerd"', "put no dockerd and no buildkitd"),
        ("exit 9", "failed with status 9, and without a word"),
        ("kill -9 $$", "failed with signal 9"),
        ("no-such-compiler", "status 127: .*no-such-compiler"),
    ],
)
async def test_commands_that_make_nothing(three: Repository, command: str, said: str) -> None:
    """A command that fails for every commit is told before the search, by both ends at once."""
    with pytest.raises(EndsCannotBeHad, match=f"(?s)^neither end.*{said}.*{said}"):
        await require_ends(await found(three, command))


async def test_a_daemon_that_does_not_start(three: Repository) -> None:
    """A build whose daemon does not start is a candidate that cannot be obtained."""
    line = await found(three, "sh build.sh; printf '#!/bin/sh\\necho no; exit 1' > $REPRO_OUT/buildkitd")
    with pytest.raises(CannotBeHad, match="buildkitd does not start"):
        await line.toolchain(0)


async def test_a_build_that_hangs(three: Repository, cache: Path, eventually: Eventually) -> None:
    """At the deadline a build ends with all that it started, also what ignores SIGTERM, and that is told."""
    pids = cache / "pids"
    command = f"trap '' TERM; sleep 1000 & echo $$ $! > '{pids}'; echo waiting; wait"
    line = await found(three, command, build_seconds=1)
    with pytest.raises(CannotBeHad, match="did not end within 1s: waiting"):
        await line.toolchain(0)
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.read_text().split()))
    assert line.seconds(1) is not None


async def test_two_at_a_time(three: Repository, cache: Path) -> None:
    """Two builds at a time go on side by side, in trees of their own; one commit is built once for all who ask."""
    meet = "echo x >> count; touch met-$(git rev-parse HEAD); until [ $(ls | grep -c met-) = 2 ]; do sleep 0.05; done"
    line = await found(
        three, f"(cd '{cache}' && export GIT_DIR=$OLDPWD/.git && {meet}) && sh build.sh", build_seconds=60
    )
    async with anyio.create_task_group() as tasks:
        for index in (0, 2, 0):
            tasks.start_soon(line.toolchain, index)
    assert (cache / "count").read_text() == "x\nx\n"
    assert version(await line.toolchain(0)) == "good"
    assert len(results(cache)) == 2


async def test_cancelled(three: Repository, cache: Path) -> None:
    """A build that is given up ends at once, and leaves nothing behind."""
    line = await found(three, f"echo $$ > '{cache}/pid'; sleep 1000")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.toolchain, 0)
        while not (cache / "pid").exists() or not (cache / "pid").read_text():
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert results(cache) == []
    assert list(ledgers()) == []
    assert not Path("/proc", (cache / "pid").read_text().strip()).exists()


HARNESS = """
    import sys
    import anyio
    from harness.experiments.bisect.candidates import Options, resolve_range

    async def build():
        line = await resolve_range(f"git:{sys.argv[1]}@v1..v2", Options(build_command=sys.argv[2]))
        await line.toolchain(0)

    anyio.run(build)
"""


@pytest.mark.parametrize("by", ["next use", "clean"])
async def test_killed_in_mid_build(
    three: Repository, cache: Path, process: Callable[..., subprocess.Popen[str]], eventually: Eventually, by: str
) -> None:
    """What a harness leaves that is killed in mid-build, the build too, goes with the next one, or `repro clean`."""
    before = three.state()
    stuck = f"test -e '{cache}/go' && exec sh build.sh; echo $$ > '{cache}/pid'; sleep 1000; true"
    harness = process(sys.executable, "-c", dedent(HARNESS), three.folder, stuck)
    assert eventually(lambda: (cache / "pid").exists() and (cache / "pid").read_text() != "")
    build = Identity.of(int((cache / "pid").read_text()))
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    assert build.alive()
    assert len(results(cache)) == 2
    (cache / "go").touch()
    if by == "clean":
        cleaning = process(sys.executable, "-m", "harness", "clean")
        assert cleaning.wait() == 0
        assert cleaning.stdout is not None
        assert "build-1: ended and removed" in cleaning.stdout.read()
        assert results(cache) == []
    else:
        assert version(await (await found(three, stuck)).toolchain(0)) == "good"
        assert len(results(cache)) == 1
    assert eventually(lambda: not build.alive())
    assert list(ledgers()) == []
    assert three.state() == before


async def test_no_room(three: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less than a gibibyte left the oldest results of the search go; what is in use stays, and that is said."""
    monkeypatch.setattr(builds, "_HELD", 1)
    line = await found(three)
    first = Path((await line.toolchain(2)).removeprefix("path:"))
    second = Path((await line.toolchain(0)).removeprefix("path:"))
    other_search = Path((await (await found(three, f"true; {BUILD}")).toolchain(0)).removeprefix("path:"))
    os.utime(first.parent / "build.json", (1, 1))
    usage = shutil.disk_usage(cache)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**30 - 1))
    with pytest.raises(NoRoom, match=r"no room to build at .*are left to others"):
        await line.toolchain(1)
    assert [path.exists() for path in (first, second, other_search)] == [False, True, True]


async def test_a_build_that_fills_the_disk(three: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that fails on a full disk says nothing of its commit: the host lacks room, and it is not remembered."""
    monkeypatch.setattr(builds, "_RESERVE", 2**20)
    monkeypatch.setattr(builds, "_FULL", 2**20)
    with mounted_disk(tmp_path) as disk:
        monkeypatch.setenv("REPRO_CACHE", str(disk))
        line = await found(three, 'dd if=/dev/zero of="$REPRO_OUT/large" bs=1M count=64 && sh build.sh')
        with pytest.raises(NoRoom, match="no room to build at"):
            await line.toolchain(0)
        assert results(disk) == []
        assert line.seconds(0) is None


async def test_a_tree_that_nobody_owns(three: Repository, cache: Path) -> None:
    """A tree that was left without a record of whose it is stands in no build's way."""
    left = cache / "builds/.build-1/tree"
    left.mkdir(parents=True)
    (left / "file").touch()
    assert version(await (await found(three)).toolchain(0)) == "good"
    assert not left.exists()


async def test_the_record(three: Repository, cache: Path) -> None:
    """Beside a result stands how it was made; a result whose record is damaged is built anew."""
    line = await found(three)
    folder = Path((await line.toolchain(0)).removeprefix("path:")).parent
    record = Record.model_validate_json((folder / "build.json").read_bytes())
    assert (record.commit, record.command, record.failed) == (three.git("rev-parse", "v1"), "sh build.sh", None)
    assert record.bytes >= sum(file.stat().st_size for file in (folder / "out").iterdir())
    (folder / "build.json").write_text(json.dumps({"format": 2}))
    assert version(await line.toolchain(0)) == "good"
    assert Record.model_validate_json((folder / "build.json").read_bytes()).format == 1
    assert results(cache) == [folder]
