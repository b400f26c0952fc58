"""``host``: the Docker daemon that the user's context points to; never chosen unless named."""

import os
from pathlib import Path
from typing import Final

from harness.core.errors import CommandError, InfraError
from harness.host.proc import run
from harness.toolchain.base import CLIENTS, BadSpec, Toolchain, inspect
from harness.toolchain.programs import on_host

_CLIENT_SECONDS: Final = 30.0


class NoHostDocker(InfraError):
    """A host without a Docker client, or one whose context cannot be read."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the host's Docker cannot be found: {why}; install the docker CLI, or set DOCKER_HOST")


class HostToolchain:
    """Takes the host's clients, and the endpoint that they would talk to."""

    async def obtain(self, argument: str) -> Toolchain:
        """Return the host's own; the daemon itself is not asked anything."""
        if argument:
            raise BadSpec(f"host:{argument}", "host takes no argument; choose another daemon by DOCKER_HOST")
        programs = {name: path for name in CLIENTS if (path := await on_host(name))}
        if "docker" not in programs:
            raise NoHostDocker("no docker that starts is on PATH")
        endpoint = os.environ.get("DOCKER_HOST") or await context_endpoint(programs["docker"])
        return Toolchain("host", {name: await inspect(name, path) for name, path in programs.items()}, endpoint)


async def context_endpoint(docker: Path) -> str:
    """Return the address that a docker command line would talk to, by the user's context.

    Raises:
        NoHostDocker: it does not say.
    """
    try:
        completed = await run(
            [docker, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], deadline=_CLIENT_SECONDS
        )
    except CommandError as error:
        raise NoHostDocker(error.output.strip()) from error
    if not completed.stdout.strip():
        raise NoHostDocker("its context names no endpoint")
    return completed.stdout.strip()
