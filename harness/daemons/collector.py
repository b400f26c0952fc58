"""The run's own collector of traces (OTLP), with a relay before it that can make it a bad one."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from harness.daemons import otlp_server
from harness.daemons.http_relay import HttpRelay
from harness.daemons.loopback import served
from harness.host.ledger import Ledger
from harness.host.proc import Command
from harness.host.relay import listening, to_address

_WHAT: Final = "a collector of traces"


@asynccontextmanager
async def open_collector(ledger: Ledger, records: Path) -> AsyncIterator[HttpRelay]:
    """Start a collector, and yield the relay before it, which tells requests apart; both end on leaving.

    Raises:
        NoServer: it did not answer.
        NoRelay: the relay can listen nowhere.
    """
    command = Command((sys.executable, "-I", otlp_server.__file__))
    async with served(_WHAT, command, "/", ledger, records / "collector.log") as server:
        relay = HttpRelay(to_address(server.address))
        async with listening(relay):
            yield relay


def traced_to(address: str) -> Mapping[str, str]:
    """Return the variables with which a daemon, or a client, hands its traces to a collector."""
    return {
        "OTEL_SDK_DISABLED": "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
