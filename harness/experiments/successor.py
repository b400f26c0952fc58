"""A search that is resumed first removes the daemon that its killed predecessor left.

A search notes in its folder which process works on it. What the ledgers name as begun by that process, and no other, is
its own: so another search's daemons beside it, and those of runs that were kept, are left alone.
"""

from dataclasses import asdict
from os import getpid
from pathlib import Path
from typing import Final

from harness.core.errors import StoreError
from harness.core.files import read_json, write_json
from harness.host.proc import Identity
from harness.run.reclaim import reclaim

HARNESS: Final = "harness.json"
"""Which process works on a search, or did last."""


async def succeed(search: Path) -> None:
    """Give back what the last process that worked on a search has left on this host; note that this one does now.

    Args:
        search: its folder, which this process has locked.

    Raises:
        NotGivenBack: something is left, or may be in use.
        StoreError: the folder cannot be written.
    """
    before = _last(search)
    if before and not before.alive():
        await reclaim(lambda ledger: ledger.harness == before)
    write_json(search / HARNESS, asdict(Identity.of(getpid())))


def _last(search: Path) -> Identity | None:
    """Return the process that last worked on a search; None without one, or if its file is damaged."""
    try:
        return read_json(search / HARNESS, Identity)
    except StoreError:
        return None
