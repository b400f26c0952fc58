"""What a run built from, copied into its folder: Dockerfiles and named contexts, as their own folders may change."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from harness.core.errors import StoreError
from harness.store.folders import lies_in

FILE_BYTES: Final = 1_000_000
"""Larger files of a context are not kept."""
_ALL_BYTES: Final = 10_000_000
_LEFT_OUT: Final = ".left-out"


def places_of(run: Path, sources: Iterable[Path]) -> dict[Path, Path]:
    """Return, for each folder with a Dockerfile, where a run keeps its copy: by its name, and a number."""
    places: dict[Path, Path] = {}
    for source in dict.fromkeys(sources):
        same = sum(each.name == source.name for each in places)
        places[source] = run / "dockerfiles" / (f"{source.name}-{same + 1}" if same else source.name)
    return places


def keep_dockerfiles(run: Path, sources: Iterable[Path]) -> None:
    """Copy the folders into a run's own, but for what is large there or lies elsewhere; a copy that is there stays.

    Raises:
        StoreError: it cannot be written.
    """
    for source, target in places_of(run, sources).items():
        if target.exists() or not source.is_dir():
            continue
        try:
            target.mkdir(parents=True)
            missing = [*_copy(source, target)]
            if missing:
                target.with_name(f"{target.name}{_LEFT_OUT}").write_text("\n".join([*missing, ""]))
        except OSError as error:
            raise StoreError(target, f"{error.strerror}") from error


def left_out(kept: Path) -> list[str]:
    """Return the names of the files that a copy does not have."""
    file = kept.with_name(f"{kept.name}{_LEFT_OUT}")
    return file.read_text(errors="replace").splitlines() if file.is_file() else []


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(files))


def _copy(source: Path, target: Path) -> Iterator[str]:
    """Copy the files of a folder; yield the names of those that are large, no plain files, or links that lead out."""
    room = _ALL_BYTES
    for file in _files(source):
        name = file.relative_to(source)
        size = file.stat().st_size if file.is_file() and lies_in(source, file) else room + 1
        if size > min(room, FILE_BYTES):
            yield str(name)
            continue
        room -= size
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
