"""Copies of bbolt databases that are being written to: whole, or called torn."""

import os
import shutil
import time
from pathlib import Path
from typing import Final

from harness.buildkit.bbolt import Meta, NoDatabase, Torn, newest_meta

_ATTEMPTS: Final = 40
_PAUSE_SECONDS: Final = 0.05


def copy_whole(source: Path, target: Path) -> None:
    """Copy a database that another process may write to at any time.

    Where its newest meta page is the same before the copy, in it, and after, the copy is whole: see `bbolt.read_whole`.

    Raises:
        NoDatabase: it is no bbolt database; its copy is kept as ``.torn``.
        Torn: it was written to each time; the last copy is kept as ``.torn``.
    """
    draft = target.with_name(f"{target.name}.torn")
    for _ in range(_ATTEMPTS):
        before = _newest(source)
        shutil.copyfile(source, draft)
        long_enough = before is not None and draft.stat().st_size >= before.pages * before.page_size
        if long_enough and before == _newest(draft) == _newest(source):
            draft.replace(target)
            return
        time.sleep(_PAUSE_SECONDS)
    if _newest(draft) is None:
        raise NoDatabase(source, "its copy is kept as .torn")
    raise Torn(source, "copies; the last is kept as .torn")


def _newest(path: Path) -> Meta | None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return newest_meta(fd)
    finally:
        os.close(fd)
