"""A client host: its clients reach the relay by the same address as ours, and nothing else; faults can be of one."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from harness.host.client_host import ClientHost, NoClientHost, client_host
from harness.host.proc import Command, run
from harness.host.relay import Fault, Relay, listening, to_address

root = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
pytestmark = pytest.mark.anyio
SAY = 'exec 3<>/dev/tcp/${0%:*}/${0#*:}; echo hello >&3; read -r -t 60 said <&3; echo "got $said"'


async def said(address: str, host: ClientHost | None = None) -> str:
    """Say hello to an address, from here or from a client host, and return what came of it."""
    command = Command((shutil.which("bash") or "bash", "-c", SAY, address))
    told = await run((host.running(command) if host else command).argv, deadline=90, check=False)
    return told.stdout.strip()


@asynccontextmanager
async def echo(*hosts: str) -> AsyncIterator[tuple[Relay, str]]:
    """A relay that listens here and on client hosts, and the address of the server behind it, an echo."""

    async def serve(client: SocketStream) -> None:
        async with client:
            async for heard in client:
                await client.send(heard)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        address = f"127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        relay = Relay(to_address(address))
        async with listening(relay, hosts):
            yield relay, address
        tasks.cancel_scope.cancel()


@root
async def test_what_a_host_reaches() -> None:
    """The relay, by its address here, and nothing else of ours."""
    async with echo("first", "second") as (relay, server):
        assert await said(server) == "got hello"
        for host in relay.hosts.values():
            assert await said(relay.address, host) == "got hello"
            assert await said(server, host) == "got"
        assert len({Path(host.place).readlink() for host in relay.hosts.values()}) == 2
    assert not any(Path(host.place).exists() for host in relay.hosts.values())


@root
async def test_faults_of_one_host() -> None:
    """A fault of one host leaves connections from the others alone; one without a host comes upon all."""
    async with echo("first", "second") as (relay, _):
        first, second = relay.hosts["first"], relay.hosts["second"]
        with relay.faulty(Fault(reset_after=0, host="first")):
            assert await said(relay.address, first) == "got"
            assert (await said(relay.address, second), await said(relay.address)) == ("got hello", "got hello")
        assert relay.met == 1
        with relay.faulty(Fault(reset_after=0)):
            assert (await said(relay.address, second), await said(relay.address)) == ("got", "got")
        assert await said(relay.address, first) == "got hello"


def test_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel makes no namespace, that is said, with what to do."""

    def refuse(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sys.modules["harness.host.client_host"], "_made", refuse)
    with pytest.raises(NoClientHost, match="Operation not permitted; run as root, or leave out `host`"), client_host(1):
        pass
