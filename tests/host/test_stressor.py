"""The burden program: it has what it is to take when it says so, is killed first, and dies with its parent."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.host import stressor as burden
from harness.host.proc import Identity
from tests.support.small_disk import mounted_disk

Process = Callable[..., subprocess.Popen[str]]
Eventually = Callable[[Callable[[], bool]], bool]

MIB = 2**20


def words(*of: object, join: str = "") -> tuple[str, ...]:
    """Return the command line of a burden."""
    return (sys.executable, "-I", burden.__file__, join, *map(str, of))


def wait_ready(process: subprocess.Popen[str]) -> list[str]:
    """Wait until a burden is ready; return what it said before."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        if line == f"{burden.READY}\n":
            return said
        said.append(line.strip())
    raise AssertionError(said)


def test_it_imports_nothing_of_ours() -> None:
    """It starts by its path alone, isolated from the environment and from where it stands."""
    assert not re.search(r"^\s*(from|import) harness", Path(burden.__file__).read_text(), re.MULTILINE)


def test_memory(process: Process) -> None:
    """When it is ready all of it is resident, private memory; it said how far it was, and is the first to be killed."""
    holder = process(*words("memory", 40 * MIB))
    assert wait_ready(holder) == ["0 MiB held", "16 MiB held", "32 MiB held"]
    told = psutil.Process(holder.pid).memory_info()
    assert told.rss - told.shared >= 40 * MIB
    assert Path(f"/proc/{holder.pid}/oom_score_adj").read_text().strip() == "1000"


@pytest.mark.parametrize("mode", ["cpu", "io"])
def test_every_thread_is_a_process_that_dies_with_its_parent(
    process: Process, eventually: Eventually, tmp_path: Path, mode: str
) -> None:
    """So many processes work, and when the first of them is killed alone, however that is, none goes on."""
    parent = process(*words(*(("cpu", 3) if mode == "cpu" else ("io", tmp_path, 3, 2 * MIB))))
    wait_ready(parent)
    workers = psutil.Process(parent.pid).children()
    assert len(workers) == 3
    assert eventually(lambda: all(sum(worker.cpu_times()[:2]) > 0.02 for worker in workers)), "each of them works"
    members = [Identity.of(worker.pid) for worker in workers]
    parent.kill()
    assert eventually(lambda: not any(member.alive() for member in members))


def test_a_team_ends_with_the_first_that_ends(process: Process, eventually: Eventually) -> None:
    """A burden of which one process is gone presses less than it should, and so ends."""
    parent = process(*words("cpu", 2))
    wait_ready(parent)
    first, second = psutil.Process(parent.pid).children()
    other = Identity.of(second.pid)
    first.kill()
    assert parent.wait(120) == 1
    assert eventually(lambda: not other.alive())


def test_io(process: Process, eventually: Eventually, tmp_path: Path) -> None:
    """Each file has its size in real blocks from the beginning, keeps it, and is written to again and again."""
    size = MIB + 1000
    writer = process(*words("io", tmp_path, 2, size))
    wait_ready(writer)
    files = [tmp_path / "0", tmp_path / "1"]
    assert [(file.stat().st_size, file.stat().st_blocks * 512 >= size) for file in files] == [(size, True)] * 2
    before = [file.stat().st_mtime_ns for file in files]
    assert eventually(lambda: all(file.stat().st_mtime_ns > old for file, old in zip(files, before, strict=True)))
    assert eventually(lambda: all(any(file.read_bytes()[-1000:]) for file in files)), "written to the end"
    assert {file.stat().st_size for file in files} == {size}


@pytest.mark.parametrize("share", [100, 50])
def test_disk(process: Process, eventually: Eventually, tmp_path: Path, share: int) -> None:
    """A disk is used up to its level in real blocks, what is freed there is taken again, and all of it is all of it."""
    with mounted_disk(tmp_path) as disk:
        theirs = disk / "theirs"
        theirs.write_bytes(b"x" * 4 * MIB)
        level = shutil.disk_usage(disk).total * share // 100
        filler = process(*words("disk", disk / "full", level))
        wait_ready(filler)
        assert filled(disk, level)
        theirs.unlink()
        assert eventually(lambda: filled(disk, level) and (disk / "full").stat().st_size > level - 4 * MIB)
        if share == 100:
            with pytest.raises(OSError, match="No space left on device"):
                theirs.write_bytes(b"x" * 4096)
        else:
            theirs.write_bytes(b"x" * 4 * MIB)
        filler.kill()
        filler.wait()
        (disk / "full").unlink()
        theirs.write_bytes(b"x" * 4 * MIB)


def filled(disk: Path, level: int) -> bool:
    """Whether a disk is used up to a level, or has nothing left: some of it an ext4 never gives to anyone."""
    told = shutil.disk_usage(disk)
    return told.free < 64 * 1024 or abs(told.used - level) < 64 * 1024


@pytest.mark.parametrize(
    ("of", "said"),
    [(("io", "/nowhere", 1, MIB), "No such file or directory"), (("memory", 2**60), "Cannot allocate memory")],
)
def test_what_cannot_be_had(of: tuple[object, ...], said: str) -> None:
    """What the kernel refuses is one line, and no traceback."""
    done = subprocess.run(words(*of), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_it_joins_before_it_takes_anything(process: Process, tmp_path: Path) -> None:
    """Its first act is to write 0, which is itself, to the files that move it."""
    files = [tmp_path / "a", tmp_path / "b"]
    holder = process(*words("memory", MIB, join=":".join(map(str, files))))
    wait_ready(holder)
    assert [file.read_text() for file in files] == ["0", "0"]
