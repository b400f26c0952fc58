"""``path:DIR``: a folder with one folder for each daemon, ordered by ``versions.txt`` or by the versions in names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.version import Version

from harness.core.errors import nearest
from harness.experiments.bisect.candidates.base import BadRange, Chain, OneCandidate, Options, Range, chain
from harness.experiments.bisect.candidates.versions import between_names, parse_ends, version_in

ORDER: Final = "versions.txt"


class Folders:
    """Takes folders of prebuilt daemons; ``path:DIR@A..B`` those from A to B."""

    async def find(self, argument: str, options: Options) -> Range:
        """Return the range of the folders in a folder; pre-releases count, for they were put there."""
        del options
        text = f"path:{argument}"
        place, _, ends = argument.rpartition("@") if not Path(argument).expanduser().is_dir() else (argument, "", "")
        folder = Path(place or ends).expanduser().absolute()
        if not folder.is_dir():
            raise BadRange(text, f"there is no folder {folder}")
        names = _ordered(text, folder)
        if place and ends:
            names = between_names(text, names, *parse_ends(text, ends))
        if len(names) < 2:
            raise OneCandidate(text, names)
        return Chain(chain(names), tuple(f"path:{folder / name}" for name in names))


def _ordered(text: str, folder: Path) -> Sequence[str]:
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    order = folder / ORDER
    return _listed(text, order, there) if order.is_file() else _by_version(text, there)


def _listed(text: str, order: Path, there: Sequence[str]) -> list[str]:
    lines = order.read_text(errors="replace").splitlines()
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if unknown := [name for name in names if name not in there]:
        said = ", ".join(f"{name!r}{nearest(name, there)}" for name in unknown)
        raise BadRange(text, f"{order} names what is no folder there: {said}")
    if missing := [name for name in there if name not in names]:
        raise BadRange(text, f"{order} does not name {', '.join(missing)}: give each its line, or move it elsewhere")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadRange(text, f"{order} names {', '.join(twice)} twice")
    return names


def _by_version(text: str, there: Sequence[str]) -> list[str]:
    versions: dict[Version, str] = {}
    for name in there:
        version = version_in(name)
        how = f"write {ORDER} there, one folder a line, oldest first"
        if version is None:
            raise BadRange(text, f"the name of {name!r} has no version, so its place is not known: {how}")
        if version in versions:
            raise BadRange(text, f"{versions[version]!r} and {name!r} are of one version: {how}")
        versions[version] = name
    return [versions[version] for version in sorted(versions)]
