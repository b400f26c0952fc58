"""Where the large things live: toolchains, base images, the roots of running daemons, the ledgers of runs."""

import errno
import os
import pwd
from contextlib import suppress
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

from harness.core.errors import InfraError, UsageError

_APART: Final = {":": "a colon", ",": "a comma", "\\": "a backslash", '"': "a double quote"}
"""What divides or quotes the paths of the cache where others read them: PATH, the options of mounts, apt's settings."""


class CacheMisnamed(UsageError):
    """A cache path that the programs in the cache would misread."""

    def __init__(self, folder: Path, has: str) -> None:
        super().__init__(
            f"the cache {str(folder)!r} has {has} in its path, where mounts and PATH would break it apart: "
            "set REPRO_CACHE to another folder"
        )


class CacheUnusable(InfraError):
    """A cache that cannot be read or written here."""

    def __init__(self, place: Path, error: OSError) -> None:
        super().__init__(
            f"the cache cannot be used: {place}: {error.strerror}{_whose(place)}; "
            "set REPRO_CACHE to a folder that you can write to"
        )


def cache_top() -> Path:
    """Return the cache's folder, which need not be there: ``$REPRO_CACHE``, else the platform's user cache.

    Raises:
        CacheMisnamed: its path has what would divide it.
    """
    configured = os.environ.get("REPRO_CACHE")
    folder = Path(configured).absolute() if configured else user_cache_path("repro")
    name = str(folder)
    if found := [what for letter, what in _APART.items() if letter in name]:
        raise CacheMisnamed(folder, found[0])
    if not name.isprintable():  # a newline, or bytes that are no UTF-8
        raise CacheMisnamed(folder, "what cannot be printed")
    return folder


def cache_folder(name: str) -> Path:
    """Return the folder `name` below the cache, made if it is not there.

    Raises:
        CacheMisnamed: see `cache_top`.
        CacheUnusable: it cannot be made or read, or is no folder.
    """
    folder = cache_top() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheUnusable(folder, error) from error
    _require(folder, os.R_OK | os.X_OK)
    return folder


def require_writable_cache(*names: str) -> None:
    """Check that folders of the cache can be written to.

    Raises:
        CacheMisnamed, CacheUnusable: they cannot.
    """
    for name in names:
        _require(cache_folder(name), os.W_OK | os.X_OK)


def _require(folder: Path, rights: int) -> None:
    if not os.access(folder, rights):
        code = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
        raise CacheUnusable(folder, OSError(code, os.strerror(code)))


def stranger() -> str:
    """Return the cache's owner if that is neither this user nor the one who called `sudo`; empty otherwise."""
    with suppress(OSError, ValueError):
        owner = cache_top().stat().st_uid
        if owner not in {0, os.geteuid(), int(os.environ.get("SUDO_UID") or 0)}:
            return user_name(owner)
    return ""


def user_name(number: int) -> str:
    """Return a user's name, or the number where this host has none for it."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _whose(place: Path) -> str:
    """Return ``, it is of user x`` where what is in the way is another's."""
    for folder in (place, *place.parents):
        with suppress(OSError):
            owner = folder.stat().st_uid
            return f" ({folder} is of user {user_name(owner)})" if owner != os.geteuid() else ""
    return ""
