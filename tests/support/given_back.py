"""What runs of a test have left on this host, given back before the cache that has their ledgers goes."""

import os

import anyio

from harness.daemons.visit import leave
from harness.host.ledger import Ledger, LeftAlone, ledgers
from tests.support.eventually import eventually


def not_given_back() -> list[str]:
    """Give back what stands in the ledgers of the cache that is set; return what could not be, a sentence each."""
    return [problem for ledger in [*ledgers()] for problem in _problems_of(ledger)]


def _problems_of(ledger: Ledger) -> list[str]:
    """Give back what one run has left, once it has ended: it may be dying, or giving back by itself.

    A ledger that a test holds itself, or has made another host's, is left alone.
    """
    is_apart = ledger.harness.pid == os.getpid() or not ledger.sees_processes
    if not is_apart and not eventually(lambda: not ledger.in_use):
        return [f"{ledger.name} is still in use by process {ledger.harness.pid}"]
    try:
        return anyio.run(ledger.reclaim, leave)
    except LeftAlone:
        return []
