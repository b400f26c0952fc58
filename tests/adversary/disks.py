"""Small disks that fill up, for results, cache and temporary files; and a disk that can suddenly only be read."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from harness.core.records import Iteration
from harness.store.folder import RunFolder
from tests.adversary.world import Options, Repro, Try, ended, traceback_in
from tests.support.small_disk import fill, mounted_disk

_BEFORE_SECONDS = 3.0
_SIZES = {"results": 2 * 2**30, "cache": 4 * 2**30, "tmp": 128 * 2**20}
"""Each with room for what a run keeps free, so that it begins."""


def disks(options: Options) -> Iterator[Try]:
    """Fill each of a run's disks before it begins, and while it goes on."""
    for which in ("results", "cache", "tmp"):
        for when in ("full before", "full meanwhile", "read-only before", "read-only meanwhile"):
            if options.over:
                return
            if not options.wants(f"{which}: {when}"):
                continue
            place = options.place / f"{which}-{when.replace(' ', '-')}"
            place.mkdir()
            with mounted_disk(place, _SIZES[which]) as disk:
                yield Try(f"{which}: {when}", "; ".join(_attacked(options, Repro(place), disk, which, when)))


def _attacked(options: Options, repro: Repro, disk: Path, which: str, when: str) -> list[str]:
    env = {"cache": "REPRO_CACHE", "tmp": "TMPDIR"}
    places = {env[which]: str(disk)} if which in env else {}
    results = disk / "results" if which == "results" else repro.results
    words = ("run", "prune-race", "--daemon", options.daemon, "--iterations", "30", "--results", str(results))
    if "before" in when:
        _spoil(disk, when)
    output = repro.place / "output.log"
    process = repro.start(*words, "--anyway", output=output, env=places)
    if "meanwhile" in when:
        Repro(disk if which == "results" else repro.place).begun(process)
        time.sleep(_BEFORE_SECONDS)
        if process.poll() is not None:
            return [f"ended before the disk was spoiled: {output.read_text(errors='replace')[-300:]}"]
        _spoil(disk, when)
    if (code := ended(process)) is None:
        return ["did not end in 240 s"]
    said = output.read_text(errors="replace")
    problems = [end] if (end := traceback_in(said)) else []
    if code == 125 or (code == 1 and "HANG" not in said):
        problems.append(f"exits with {code}, which blames the daemon: {said[-300:]}")
    if "before" in when and code not in {255, 129} and which != "results":
        problems.append(f"exits with {code}, and the disk was no good")
    _mounted(disk, "rw")
    (disk / "others").unlink(missing_ok=True)
    for file in results.glob("*/*/run.db"):
        numbers = [each.number for each in RunFolder(file.parent).read(Iteration)]
        problems += ["iterations are doubled"] if len(numbers) != len({*numbers}) else []
    repro("clean", env=places)
    own = ("temporary", f"loop device of {repro.place}/disk.img")
    return problems + [each for each in repro.left() if not each.startswith(own)]


def _spoil(disk: Path, when: str) -> None:
    if when.startswith("full"):
        fill(disk, 0)
    else:
        _mounted(disk, "ro")
    time.sleep(0.1)


def _mounted(disk: Path, how: str) -> None:
    """Mount a disk anew, to be read only or to be written again."""
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=False, capture_output=True)  # noqa: S607
