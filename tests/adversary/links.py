"""A received run in which a file, or a folder, is a link to what lies elsewhere: does any command or page tell of that?

What is elsewhere is the run's own, well-formed, with a word in it that nobody is to see.
"""

import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from tests.adversary.damage import PAGES, commands, said
from tests.adversary.world import Options, Try
from tests.web.client import Client
from tests.web.runs import ended

WORD: Final = "nobody-is-to-see-this"
_ANYTHING: Final = frozenset({"version", "scenario", "toolchain", "actor", "info", ""})
"""Keys of a run's files whose texts are shown as they are."""


def links(options: Options) -> Iterator[Try]:
    """Link to each file and folder of a run, by its whole path and by a relative one: a try for each."""
    run = received(options.place / "received")
    for name in sorted(str(each.relative_to(run)) for each in run.rglob("*")):
        for kind in ("absolute", "relative"):
            if options.over:
                return
            with tempfile.TemporaryDirectory(dir=options.place) as temporary:
                here = with_link(run, name, Path(temporary), relative=kind == "relative")
                yield Try(f"{name}, {kind}", "; ".join(telling(here, run, Path(temporary))))


def with_link(run: Path, name: str, place: Path, *, relative: bool) -> Path:
    """Return a copy of a run in a place, in which a file or a folder is a link to what lies elsewhere there."""
    here, outside = place / "results" / "s" / run.name, place / "outside"
    shutil.copytree(run, here)
    mark(here / name)
    shutil.move(here / name, outside)
    (here / name).symlink_to(os.path.relpath(outside, (here / name).parent) if relative else outside)
    return here


def received(results: Path) -> Path:
    """Write a run that hung, with two dumps of its daemon."""
    run = ended(results).path
    for number in range(2):
        dump = f"goroutine 1 [select, {number + 5} minutes]:\nmain.wait(0x1)\n\t/src/main.go:1 +0x1\n"
        (run / "findings" / "3" / f"goroutines-{number}.txt").write_text(dump)
    return run


def mark(place: Path) -> None:
    """Put the word into a file, or into all files of a folder, each still in its form."""
    for file in place.rglob("*") if place.is_dir() else (place,):
        if file.suffix == ".db":
            _mark_database(file)
        elif file.suffix == ".json":
            file.write_text(json.dumps(_marked(json.loads(file.read_text()))))
        elif file.is_file():
            file.write_bytes(
                file.read_bytes().replace(b"main.wait", f"main.{WORD}".encode()) + f"\n# {WORD}\n".encode()
            )


def _mark_database(file: Path) -> None:
    with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE findings SET actor = ?", (WORD,))
        connection.execute("UPDATE actions SET actor = ?", (WORD,))


def _marked(value: Any, key: str = "") -> Any:
    """Return what JSON says with the word in those of its texts that may be anything."""
    if isinstance(value, dict):
        return {name: _marked(of, name) for name, of in value.items()}
    if isinstance(value, list):
        return [_marked(each, key) for each in value]
    return (
        WORD if isinstance(value, str) and key in {"version", "scenario", "toolchain", "actor", "info", ""} else value
    )


def telling(here: Path, whole: Path, place: Path) -> Iterator[str]:
    """Yield which commands, files that they write, and pages have the word, and which commands break."""
    results = here.parent.parent
    for command, words in commands(results, here.name, whole, place).items():
        printed, last = said(words)
        if last:
            yield f"{command}: {last}"
        if WORD in printed:
            yield f"{command} tells it"
    page = Client(results)
    for path in PAGES:
        if WORD in page.get(path.format(run=f"s/{here.name}")).text:
            yield f"{path} tells it"
    yield from (f"the bundle's {name} has it" for name in _in_bundle(place / "bundle.tgz"))
    for file in [each for each in (place / "report").rglob("*") if each.is_file() and not each.is_symlink()]:
        if WORD.encode() in file.read_bytes():
            yield f"the report's {file.name} has it"


def _in_bundle(file: Path) -> Iterator[str]:
    """Yield the names of a bundle's files with the word; none where no bundle was made."""
    if file.exists():
        with tarfile.open(file) as bundle:
            for member in bundle:
                if (content := bundle.extractfile(member)) and WORD.encode() in content.read():
                    yield member.name
