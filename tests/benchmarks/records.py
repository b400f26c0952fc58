"""How soon the harness sees a build's record begin and end, by the stream of the daemon's control API.

``python -m tests.benchmarks.records SPEC [BUILDS]``, of a buildkitd or a dockerd: four lines of builds by the API, and
a listener beside them, with the priority that a run has. Its beginning is seen after the time that the record names, by
the same host's clock; its end, after the answer to who asked for the build, which the daemon gives with it.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import anyio
from anyio.abc import TaskStatus

from harness.actors.context import lay_base
from harness.buildkit.messages import BuildEvent
from harness.daemons.api_build import BuildsByApi, api_build
from harness.daemons.base import BuildRequest, Slot
from harness.daemons.table import DAEMONS
from harness.host.ledger import Ledger
from harness.host.priority import waking_at_once
from harness.scenario import DaemonSpec
from harness.scenario.load import PROJECT
from harness.toolchain import resolve
from harness.toolchain.base_image import static_busybox

LINES = 4


async def lags(spec: str, builds: int) -> tuple[list[float], list[float]]:
    """Return seconds, a build each: from a record's beginning to its being seen, and from the answer to its end."""
    toolchain, ledger = await resolve(spec), Ledger.open(f"benchmark-{os.getpid()}")
    begun: dict[str, float] = {}
    seen: dict[str, float] = {}
    answered: dict[str, float] = {}
    try:
        with tempfile.TemporaryDirectory() as name:
            context = Path(name, "context")
            shutil.copytree(PROJECT / "dockerfiles" / "diamond", context)
            lay_base(context, "busybox", await static_busybox())
            kind = toolchain.kinds[0]
            async with (
                DAEMONS[kind](toolchain, DaemonSpec(), Slot(ledger.name, Path(name), ledger)) as daemon,
                anyio.create_task_group() as tasks,
            ):
                assert isinstance(daemon, BuildsByApi)
                export, left = "load" if kind == "dockerd" else "image", iter(range(builds))

                async def listen(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
                    async with daemon.control.build_events() as events:
                        task_status.started()
                        async for event in events:
                            take(event)

                def take(event: BuildEvent) -> None:
                    number, now = event.attributes.get("build-arg:N", ""), time.time()
                    if event.kind == "started" and event.began is not None:
                        begun.setdefault(number, now - event.began)
                    elif event.kind == "complete":
                        seen.setdefault(number, now)

                async def build(line: int) -> None:
                    for number in left:
                        request = BuildRequest(number, context, {"N": str(number)}, f"repro-r-{line}:latest", (export,))
                        async with api_build(daemon.control, daemon.asked(request)) as started:
                            await started.wait()
                            answered[str(number)] = time.time()

                await tasks.start(listen)
                async with anyio.create_task_group() as lines:
                    for line in range(LINES):
                        lines.start_soon(build, line)
                tasks.cancel_scope.cancel()
    finally:
        await ledger.reclaim()
    return [*begun.values()], [seen[number] - moment for number, moment in answered.items() if number in seen]


if __name__ == "__main__":
    asked = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with waking_at_once():
        both = anyio.run(lags, sys.argv[1], asked)
    for what, found in zip(("begun", "ended"), both, strict=True):
        spread = quantiles(found, n=100)
        print(f"{what}: n {len(found)}, p50 {1e3 * spread[49]:.1f} ms, p99 {1e3 * spread[98]:.1f} ms")
