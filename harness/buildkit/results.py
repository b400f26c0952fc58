"""What the result of a build holds: one file, read out of a folder, a tar of files, or an archive of an image.

An archive is an OCI layout, or what ``docker save`` writes, which has both forms since Docker 25. A later layer covers
an earlier one; whiteouts are those of the OCI image specification (``.wh.NAME``, ``.wh..wh..opq``).
"""

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

MOST: Final = 2**20
"""Bytes of a file that are read: what is compared is short."""
_MOST_JSON: Final = 2**24
_INDEXES: Final = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


class Unreadable(Exception):
    """A result that is in none of these forms."""


def read_result(place: Path, name: str) -> list[bytes | None]:
    """Return what a file holds in each platform's result; None where a result has no such file.

    Args:
        place: a folder, or a tar.
        name: the file, from the result's root: ``/n``.

    Raises:
        Unreadable: it is no result.
    """
    try:
        if place.is_dir():
            return _of_folder(place, name)
        with tarfile.open(place) as archive:
            members = {member.name.removeprefix("./"): member for member in archive}
            if "index.json" in members or "manifest.json" in members:
                images = [*_images(archive, members)]
                return [read_layers((_open(archive, members, each) for each in layers), name) for layers in images]
            return _of_files(archive, members, name)
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{place.name} is no result of a build: {error!r}") from error


def _of_folder(folder: Path, name: str) -> list[bytes | None]:
    roots = [each for each in sorted(folder.iterdir()) if _is_platform(each.name) and each.is_dir()] or [folder]
    return [_file(root / name.lstrip("/")) for root in roots]


def _file(path: Path) -> bytes | None:
    if not path.is_file() or path.is_symlink():
        return None
    with path.open("rb") as stream:
        return stream.read(MOST)


def _of_files(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> list[bytes | None]:
    roots = sorted({root for each in members if _is_platform(root := each.partition("/")[0])}) or [""]
    return [_content(archive, members.get(str(PurePosixPath(root) / name.lstrip("/")))) for root in roots]


def _is_platform(name: str) -> bool:
    """Whether it is called like the folder that an export of several platforms makes for each: ``linux_arm64``."""
    return name.startswith("linux_")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes | None:
    stream = archive.extractfile(member) if member and member.isfile() else None
    return stream.read(MOST) if stream else None


def _images(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]) -> Iterator[list[str]]:
    """Yield the layers of each image, by their names in the archive, the lowest first."""
    if "index.json" not in members:
        for image in _json(archive, members["manifest.json"]):
            yield image["Layers"]
        return
    indexes = [_json(archive, members["index.json"])]
    while indexes:
        for described in indexes.pop()["manifests"]:
            manifest = _json(archive, members[_blob(described["digest"])])
            if described.get("mediaType") in _INDEXES or "manifests" in manifest:
                indexes.append(manifest)
            elif is_image(described):
                yield [_blob(layer["digest"]) for layer in manifest["layers"]]


def is_image(described: Mapping[str, Any]) -> bool:
    """Whether what an index describes is an image, and no attestation of one."""
    return (described.get("platform") or {}).get("os") != "unknown"


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    if member.size > _MOST_JSON:
        raise ValueError(f"{member.name} has {member.size} bytes")
    stream = archive.extractfile(member)
    return json.loads(stream.read() if stream else b"")


def _open(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> IO[bytes]:
    stream = archive.extractfile(members[name])
    if stream is None:
        raise ValueError(f"{name} is no file")
    return stream


def read_layers(layers: Iterable[IO[bytes]], name: str) -> bytes | None:
    """Return what a file holds in an image; None where it has no such file.

    Args:
        layers: from the lowest to the highest, compressed or not.
        name: the file, from the image's root.
    """
    wanted, found = name.lstrip("/"), None
    for layer in layers:
        with tarfile.open(fileobj=layer) as archive:
            touched, here = _in_layer(archive, wanted)
        found = here if touched else found
    return found


def _in_layer(archive: tarfile.TarFile, wanted: str) -> tuple[bool, bytes | None]:
    """Return whether a layer touches a file, and what it makes of it: its content, or None where it removes it."""
    way = [each for each in (PurePosixPath(wanted), *PurePosixPath(wanted).parents) if each.name]
    hiding = {str(each.parent / f"{_WHITEOUT}{each.name}") for each in way}
    hiding |= {str(each.parent / _OPAQUE) for each in way}
    hidden = False
    for member in archive:
        path = member.name.removeprefix("./").rstrip("/")
        if path == wanted:
            return True, _content(archive, member)
        hidden = hidden or path in hiding
    return hidden, None
