"""The cluster that `--on` names: one that is there, by its scheduler's address, or one of this host alone."""

import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from distributed import Client, LocalCluster
from distributed.security import Security

from harness.core.errors import InfraError, UsageError
from harness.experiments.fleet.runner import RESOURCE, USUAL, FleetRunner, FleetTimeouts, Say, fleet_runner
from harness.host.interrupt import unheard

_CONNECT_SECONDS: Final = 20.0
_LOOPBACK: Final = "127.0.0.1:0"


class NotACluster(UsageError):
    """An address that is none."""

    def __init__(self, on: str, why: str) -> None:
        super().__init__(f"--on {on}: {why}; say tcp://HOST:8786, tls://HOST:8786, or local:N for N runs at once here")


class NotEncrypted(UsageError):
    """A scheduler elsewhere that is spoken to in the clear."""

    def __init__(self, on: str) -> None:
        super().__init__(
            f"--on {on}: who can reach that scheduler runs programs on its hosts, and who listens sees all of it: use "
            "tls://, or say --insecure where the network is your own"
        )


class NoScheduler(InfraError):
    """An address at which no scheduler answers us."""

    def __init__(self, on: str, why: str) -> None:
        super().__init__(f"no scheduler answers at {on}: {why}")


@asynccontextmanager
async def fleet(
    on: str,
    *,
    insecure: bool,
    say: Say,
    interrupted: Callable[[int], None] = unheard,
    patience: FleetTimeouts = USUAL,
) -> AsyncIterator[FleetRunner]:
    """Have the hosts of a cluster make runs, until left.

    Args:
        on: what `--on` says.
        insecure: whether a scheduler elsewhere may be spoken to in the clear.
        say: is told who comes, fails and is left out.
        interrupted: hears of each signal, and which one it is, from 1.
        patience: how long is waited.

    Raises:
        NotACluster, NotEncrypted: it cannot be asked so.
        NoScheduler: it does not answer, or not us.
    """
    kind, _, rest = on.partition(":")
    if kind == "local":
        if not rest.isdecimal() or not 0 < int(rest) < 1000:
            raise NotACluster(on, f"{rest!r} is no number of runs")
        async with (
            LocalCluster(
                n_workers=int(rest),
                threads_per_worker=1,
                resources={RESOURCE: 1},
                processes=False,
                dashboard_address=_LOOPBACK,  # without one it takes a port that is known, on all addresses
                worker_dashboard_address=_LOOPBACK,
                protocol="inproc://",
                asynchronous=True,
            ) as cluster,
            Client(cluster, asynchronous=True, set_as_default=False) as client,
            fleet_runner(client, on, say, interrupted, patience) as runner,
        ):
            yield runner
        return
    if kind not in {"tcp", "tls"}:
        raise NotACluster(on, f"{kind!r} is no way to reach one")
    host = rest.removeprefix("//").rpartition(":")[0].strip("[]")
    if not host:
        raise NotACluster(on, "it names no host and port")
    if kind == "tcp" and not insecure and not _is_here(host):
        raise NotEncrypted(on)
    security = Security(require_encryption=kind == "tls")
    try:
        client = await Client(on, asynchronous=True, set_as_default=False, security=security, timeout=_CONNECT_SECONDS)
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        raise NoScheduler(on, f"{error}{f': {error.__cause__}' if error.__cause__ else ''}") from error
    async with client, fleet_runner(client, on, say, interrupted, patience) as runner:
        yield runner


def _is_here(host: str) -> bool:
    """Whether a host is this one, as nobody else can reach it."""
    try:
        addresses = {each[4][0] for each in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in addresses)
