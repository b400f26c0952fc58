"""What runs of a test have left on this host, given back before the cache that has their ledgers goes."""

import os
from contextlib import suppress

import anyio

from harness.daemons.visit import leave
from harness.host.ledger import Ledger, LeftAlone, ledgers
from tests.support.eventually import eventually


def still_in_use() -> list[str]:
    """Give back what stands in the ledgers of the cache that is set; return the runs that do not end, a sentence each.

    A run may be dying, or giving back by itself: its end is waited for. What a test has forged is left, as is right.
    """
    return [why for ledger in [*ledgers()] if (why := _give_back(ledger))]


def _give_back(ledger: Ledger) -> str:
    is_apart = ledger.harness.pid == os.getpid() or not ledger.sees_processes
    if not is_apart and not eventually(lambda: not ledger.in_use):
        return f"{ledger.name} is still in use by process {ledger.harness.pid}"
    with suppress(LeftAlone):
        anyio.run(ledger.reclaim, leave)
    return ""
