"""Buckets of the same dumps by panicparse and by us, in one run.

``python -m tests.benchmarks.panicparse PROGRAM FILE...``: PROGRAM is Debian's `panicparse`, which is run and is no
part of this. Its ``-aggressive`` keeps apart what differs in the number or the kind of a call's arguments, at
which we do not look; so its buckets are joined by state, places and maker before they are held against ours.
Printed are, for each file, what each side has, and the CPU time of each.
"""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.buildkit.goroutines.buckets import buckets_of
from harness.buildkit.goroutines.model import Bucket

_HEAD: Final = re.compile(r"(\d+): ([^\[]+?)((?: \[.*\])?)$")
_MAKER: Final = re.compile(r"\[Created by .* @ (\S+:\d+)\]$")
_PLACE: Final = re.compile(r"^ {4}\S+ +(\S+:\d+) ")
Key = tuple[str, str, tuple[str, ...]]


def theirs(program: str, file: Path) -> tuple[Counter[Key], int]:
    """Return how many goroutines panicparse has by state, maker's place, and places; and how many buckets."""
    told = subprocess.run(
        [program, "-aggressive", "-full-path", "-rebase=false", "-parse=false", str(file)],
        check=True,
        capture_output=True,
        text=True,
    )
    counted = Counter[Key]()
    heads = [*_stacks(told.stdout.splitlines())]
    for (count, state, maker), places in heads:
        counted[state, maker, tuple(places)] += count
    return counted, len(heads)


def _stacks(lines: list[str]) -> Iterator[tuple[tuple[int, str, str], list[str]]]:
    head: tuple[int, str, str] | None = None
    places: list[str] = []
    for line in lines:
        if match := _HEAD.match(line):
            if head:
                yield head, places
            maker = _MAKER.search(match[3])
            head, places = (int(match[1]), match[2], maker[1] if maker else ""), []
        elif match := _PLACE.match(line):
            places.append(match[1])
    if head:
        yield head, places


def key_of(bucket: Bucket) -> Key:
    """Return what a bucket of ours is told from others by, as panicparse prints it."""
    maker = bucket.creator
    return (
        bucket.state,
        f"{maker.file}:{maker.line}" if maker else "",
        tuple(f"{frame.file}:{frame.line}" for frame in bucket.frames),
    )


def _used_by_children() -> float:
    """Return the CPU time of the processes that were waited for: on a host with other work, the clock says nothing."""
    used = os.times()
    return used.children_user + used.children_system


def main(program: str, files: list[Path]) -> None:
    """Print a line for each file, and which agree."""
    agreed = 0
    for file in files:
        began = _used_by_children()
        other, count = theirs(program, file)
        their_seconds = _used_by_children() - began
        began = time.process_time()
        found = buckets_of(file)
        seconds = time.process_time() - began
        ours = Counter[Key]()
        for bucket in found:
            ours[key_of(bucket)] += bucket.count
        agreed += ours == other
        print(
            f"{file}: {'agree' if ours == other else 'DIFFER'}; goroutines {ours.total()} and {other.total()}; buckets "
            f"{len(found)} and {len(other)} joined of {count}; {seconds:.2f} s of CPU beside {their_seconds:.2f} s"
        )
        for key in [*(ours - other), *(other - ours)][:3] if ours != other else []:
            print("   ", ours[key], other[key], key)
    print(f"{agreed} of {len(files)} agree")


if __name__ == "__main__":
    main(sys.argv[1], [Path(name) for name in sys.argv[2:]])
