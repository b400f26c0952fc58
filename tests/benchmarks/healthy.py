"""Whether a healthy daemon at work is ever called hung: pairs of dumps of private daemons under eight kinds of load.

    python -m tests.benchmarks.healthy path:DIR [--kind dockerd] [--loads quiet,gzip] [--seconds 70] [--hogs 8]
        [--writers 4] [--keep DIR]
    python -m tests.benchmarks.healthy --judge DIR

Every load has a fresh daemon, and is given again and again until its time is up. A dump is made every few seconds; any
two of them that follow each other, and those a minute apart, are diagnosed as a pair, and any three in a row as one. It
prints how many were called what, and ends with 1 where one was called a deadlock, a livelock or a lost wake-up. All
dumps are kept in `--keep`, a folder for each load, where `--judge` diagnoses them again, as by later code.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import SocketAttribute, SocketStream

from harness.actors.context import lay_base
from harness.buildkit import diagnose
from harness.buildkit.goroutines.model import Goroutine
from harness.buildkit.goroutines.parse import goroutines
from harness.buildkit.goroutines.reading import Kind
from harness.core.errors import CaptureError
from harness.daemons.base import BuildRequest, Daemon, Profiled, Slot
from harness.daemons.table import DAEMONS
from harness.host import stressor
from harness.host.ledger import Ledger
from harness.host.proc import Command, spawn
from harness.scenario import DaemonSpec
from harness.toolchain import Toolchain
from harness.toolchain.base_image import static_busybox
from harness.toolchain.table import resolve

APART: Final = 4.0
MINUTE: Final = 57.0
"""Seconds from which on two dumps count as a minute apart: a wait may be seen to grow."""
HUNG: Final = frozenset({Kind.DEADLOCK, Kind.LIVELOCK, Kind.LOST_WAKE_UP})
MEBI: Final = 1_048_576
LONGEST: Final = 1200
"""Seconds after which what stresses the host ends, also where nobody ends it."""
Dumps = Sequence[tuple[float, str]]
"""Each with the second of its load in which it was made."""


@dataclass(frozen=True)
class Load:
    """What a daemon is given to do."""

    dockerfile: str
    export: str = "image"
    parallel: int = 1
    context: int = 0
    """MiB of random bytes beside the Dockerfile."""
    reads: bool = True
    """Whether the client reads what it is sent."""
    waits: bool = True
    """Whether the first dump waits until the load has begun."""


LOADS: Final = {
    "quiet": Load("FROM base\nARG N\nRUN echo ${N} && sleep 300\n"),
    "gzip": Load("FROM base\nARG N\nRUN echo ${N} && head -c 500000000 /dev/urandom > /big\n", export="oci"),
    "checksum": Load(
        "FROM base AS a\nARG N\nRUN echo ${N} && truncate -s 3G /big\nFROM base\nCOPY --from=a /big /big\n"
    ),
    "registry": Load("ARG N\nFROM SLOW/image:${N}\n"),
    "client": Load(
        "FROM base\nARG N\nRUN echo ${N} && head -c 90000000 /dev/urandom > /big\n", export="tar", reads=False
    ),
    "context": Load("FROM base\nARG N\nCOPY big /big\nRUN echo ${N}\n", context=700),
    "parallel": Load("FROM base\nARG N\nRUN echo ${N} > /n\nRUN sleep 1\nRUN echo 2 > /n2\n", parallel=40),
    "cold": Load("FROM base\nARG N\nRUN echo ${N} > /n\nCOPY big /big\n", parallel=4, context=50, waits=False),
}


def main() -> None:
    """Run what the command line asks for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", nargs="?", default="auto", help="a toolchain, as `--daemon` takes it")
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--kind", choices=("buildkitd", "dockerd"), default="buildkitd")
    parser.add_argument("--seconds", type=float, default=70.0)
    parser.add_argument("--hogs", type=int, default=0, help="processes that burn a core each beside the daemon")
    parser.add_argument("--writers", type=int, default=0, help="processes that write to the disk beside the daemon")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--judge", type=Path, help="a folder that `--keep` has filled")
    options = parser.parse_args()
    pairs: Counter[str] = Counter()
    triples: Counter[str] = Counter()
    beside = [] if options.judge else [("cpu", options.hogs), ("io", options.writers)]
    with ExitStack() as stressed:
        for mode, count in beside:
            stressed.enter_context(stress(mode, count))
        for name, dumps in kept(options.judge) if options.judge else made(options):
            of_two, of_three = judged(name, dumps)
            pairs += of_two
            triples += of_three
    wrong = sum((pairs + triples)[kind] for kind in HUNG)
    print(
        f"{pairs.total()} pairs {dict(pairs)} and {triples.total()} triples {dict(triples)}: {wrong} called hung; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    sys.exit(wrong > 0)


def made(options: argparse.Namespace) -> Iterator[tuple[str, Dumps]]:
    """Yield the dumps of each load that the command line asks for, and keep them where it says so."""
    for name in options.loads.split(","):
        dumps = anyio.run(dumps_under, options.spec, options.kind, LOADS[name], options.seconds)
        if options.keep:
            folder = (
                options.keep
                / f"{options.kind}-{name}{'-loaded' if options.hogs or options.writers else ''}-{secrets.token_hex(3)}"
            )
            folder.mkdir(parents=True)
            for at, text in dumps:
                (folder / f"{at:07.2f}.txt").write_text(text)
        yield name, dumps


def kept(folder: Path) -> Iterator[tuple[str, Dumps]]:
    """Yield the dumps of each load that were kept."""
    for load in sorted(folder.iterdir()):
        yield load.name, [(float(file.stem), file.read_text()) for file in sorted(load.iterdir())]


def judged(name: str, dumps: Dumps) -> tuple[Counter[str], Counter[str]]:
    """Diagnose all pairs and triples of a load, and print what they were called."""
    read = [(at, [*goroutines(text.encode().splitlines())]) for at, text in dumps]
    following = [(read[n], read[n + 1]) for n in range(len(read) - 1)]
    apart = [(one, next((other for other in read if other[0] - one[0] >= MINUTE), None)) for one in read]
    pairs = [*following, *((one, other) for one, other in apart if other)]
    triples = [*zip(read, read[1:], read[2:], strict=False)]
    told = [_kinds(name, groups) for groups in (pairs, triples)]
    goroutines_seen = max((len(dump) for _, dump in read), default=0)
    print(
        f"{name:<9} {len(pairs):>3} pairs of {len(read)} dumps, up to {goroutines_seen} goroutines: "
        f"{dict(told[0] + told[1])}",
        flush=True,
    )
    return told[0], told[1]


def _kinds(name: str, groups: Sequence[Sequence[tuple[float, list[Goroutine]]]]) -> Counter[str]:
    told: Counter[str] = Counter()
    for group in groups:
        found = diagnose([dump for _, dump in group])
        told[found.kind] += 1
        if found.kind in HUNG:
            print(f"    {name}, dumps of second {', '.join(f'{at:.0f}' for at, _ in group)}: {found.sentence}")
    return told


async def dumps_under(spec: str, kind: str, load: Load, seconds: float) -> Dumps:
    """Return the dumps of a fresh daemon under a load, with the second of each."""
    toolchain = await resolve(spec)
    name = f"healthy-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(name)
        try:
            async with slow_registry() as registry:
                context = await laid(Path(folder, "context"), load, registry)
                return await _dumps(toolchain, kind, load, Slot(name, Path(folder), ledger), context, seconds)
        finally:
            with anyio.CancelScope(shield=True):
                for problem in await ledger.reclaim():
                    print(problem)


async def _dumps(toolchain: Toolchain, kind: str, load: Load, slot: Slot, context: Path, seconds: float) -> Dumps:
    dumps: list[tuple[float, str]] = []
    spec = DaemonSpec.model_validate({"kind": kind})
    async with DAEMONS[kind](toolchain, spec, slot) as daemon, anyio.create_task_group() as tasks:
        assert isinstance(daemon, Profiled)
        for line in range(load.parallel):
            tasks.start_soon(_line, daemon, load, context, line)
        began = anyio.current_time()
        await anyio.sleep(APART if load.waits else 0.0)
        while anyio.current_time() - began < seconds:
            with suppress(CaptureError):
                dumps.append((anyio.current_time() - began, await daemon.goroutine_dump(30.0)))
            await anyio.sleep(APART if load.waits else APART / 2)
        tasks.cancel_scope.cancel()
    return dumps


async def _line(daemon: Daemon, load: Load, context: Path, line: int) -> None:
    """Have one build after the other."""
    number = line
    while True:
        number += 1000
        request = BuildRequest(number, context, {"N": str(number)}, f"healthy-{line}", (load.export,))
        await _built(_meant(daemon.build(request), load), load)


def _meant(command: Command, load: Load) -> Command:
    """Return a build's command with what the load asks of its export: to compress all, or to send all to the client."""
    wanted = {"oci": "type=oci,dest=/dev/null,compression=gzip,force-compression=true", "tar": "type=tar,dest=-"}
    if load.export not in wanted:
        return command
    argv = [*command.argv]
    argv[argv.index("--output") + 1] = wanted[load.export]
    return replace(command, argv=tuple(argv))


async def _built(command: Command, load: Load) -> None:
    reader, writer = os.pipe()
    with Path(os.devnull).open("wb") as nowhere, os.fdopen(writer, "wb") as pipe:  # noqa: ASYNC230 — never waits
        started = spawn(command, output=nowhere, stdout=nowhere if load.reads else pipe, dies_with_us=True)
        try:
            await started.wait()
            if started.returncode:
                await anyio.sleep(1.0)  # what cannot be built is not asked for without end
        finally:
            os.close(reader)
            await started.finish()


async def laid(context: Path, load: Load, registry: str) -> Path:
    """Return a build's context."""
    context.mkdir()
    (context / "Dockerfile").write_text(load.dockerfile.replace("SLOW", registry))
    lay_base(context, "busybox", await static_busybox())
    with (context / "big").open("wb") as big:
        for _ in range(load.context):
            big.write(os.urandom(MEBI))
    return context


@contextmanager
def stress(mode: str, count: int) -> Iterator[None]:
    """Have so many processes beside it that burn a core each (`cpu`), or write to the disk (`io`)."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ended:
        if count:
            words = [str(count)] if mode == "cpu" else [folder, str(count), str(256 * MEBI)]
            argv = ["timeout", str(LONGEST), sys.executable, stressor.__file__, "", mode, *words]
            started = ended.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
            ended.callback(started.terminate)
            assert started.stdout
            assert started.stdout.readline().strip() == stressor.READY
        yield


@asynccontextmanager
async def slow_registry() -> AsyncIterator[str]:
    """Have a registry that takes connections, and answers nobody; yield its address."""

    async def keep(stream: SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    [listener] = (await anyio.create_tcp_listener(local_host="127.0.0.1")).listeners
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, keep)
        port = listener.extra(SocketAttribute.local_port)
        yield f"127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    main()
