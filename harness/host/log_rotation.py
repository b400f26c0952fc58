"""A log that a daemon goes on writing, kept from growing for ever."""

import os
import shutil
from pathlib import Path
from typing import Final

LIMIT: Final = 64 * 2**20
"""Bytes from which on a log is cut; as many again are kept beside it."""


def rotate(log: Path, limit: int = LIMIT) -> bool:
    """Move what a log holds to ``<name>.1`` once it is larger than `limit` bytes; return whether that was done.

    The daemon keeps its file: it appends, so it goes on at the new end. What it writes in the moment between the copy
    and the cut is lost. Logs that are no plain file are left alone.
    """
    if not log.is_file() or log.stat().st_size <= limit:
        return False
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True
