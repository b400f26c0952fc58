"""What a build's result must hold: files that its steps write, read back once its client has returned.

A cache that returns another build's result is worse than one that hangs, and no client says so.
"""

import io
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import httpx

from harness.buildkit.results import Unreadable, is_image, read_layers, read_result
from harness.core.errors import CommandError, CommandTimeout
from harness.daemons.base import BuildRequest, Daemon, SavesImages
from harness.host.proc import run

_SAVE_SECONDS: Final = 120.0
_PULL_SECONDS: Final = 30.0
_STAGE: Final = re.compile(r"^[ \t]*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_WRITES: Final = re.compile(
    r"^[ \t]*RUN\s[^\n]*?\becho\s+(?:\"?\$\{?(\w+)\}?\"?)\s*>\s*(/[\w./-]+)[ \t]*$", re.IGNORECASE | re.MULTILINE
)
READABLE: Final = ("local", "tar", "oci", "load")
"""The exports that make files, the quickest to read first; `load` where there is no engine to load into."""
_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"
_ACCEPTED: Final = f"{_OCI}.index.v1+json, {_OCI}.manifest.v1+json, {_DOCKER}.manifest.list.v2+json, " + (
    f"{_DOCKER}.manifest.v2+json"
)


def written_by(dockerfile: str) -> Mapping[str, str]:
    """Return the files that steps of the last stage write an argument to, ``RUN … echo "${N}" > /n``: each argument's
    name, by its file. Stages that the last one is built on count too.
    """
    stages = [*_STAGE.finditer(dockerfile)]
    if not stages:
        return {}
    ends = [match.start() for match in stages[1:]] + [len(dockerfile)]
    texts = {match[2] or "": (match[1], dockerfile[match.end() : end]) for match, end in zip(stages, ends, strict=True)}
    found: dict[str, str] = {}
    base, text = stages[-1][1], dockerfile[stages[-1].end() :]
    for _ in stages:
        found = {match[2]: match[1] for match in _WRITES.finditer(text)} | found
        if base not in texts:
            break
        base, text = texts[base]
    return found


async def wrong_in(daemon: Daemon, request: BuildRequest, expected: Mapping[str, str], registry: str) -> str:
    """Return what of a build's result is not as it must be; empty where all is, or where it is not there any more.

    Args:
        daemon: the one that built it.
        request: what was asked for.
        expected: the text of each file; spaces around it do not count.
        registry: the address of the run's own.
    """
    for name, text in expected.items():
        try:
            held = await _held(daemon, request, name, registry)
        except Unreadable as error:
            return str(error)
        for content in held:
            found = "no such file" if content is None else repr(content.decode(errors="replace").strip()[:200])
            if content is None or content.decode(errors="replace").strip() != text.strip():
                return f"{name} should hold {text.strip()!r}, and the result has {found}"
    return ""


async def _held(daemon: Daemon, request: BuildRequest, name: str, registry: str) -> Sequence[bytes | None]:
    """Return what a file holds in each platform's result; nothing where the result cannot be had."""
    for kind in READABLE:
        if kind in request.exports and (place := request.places.get(kind)) and place.exists():
            return await anyio.to_thread.run_sync(read_result, place, name)
    if "push" in request.exports:
        return await _pulled(registry, request.tag.removeprefix(f"{registry}/"), name)
    if isinstance(daemon, SavesImages):
        file = request.context.with_name(f"saved-{secrets.token_hex(4)}.tar")
        command = daemon.save(request, file)
        try:
            if command is None:
                return ()
            with suppress(CommandError, CommandTimeout):  # it was pruned meanwhile
                await run(command.argv, deadline=_SAVE_SECONDS, env=command.env)
                return await anyio.to_thread.run_sync(read_result, file, name)
        finally:
            file.unlink(missing_ok=True)
    return ()


async def _pulled(registry: str, image: str, name: str) -> Sequence[bytes | None]:
    """Return what a file holds in an image of a registry; nothing where that does not answer."""
    repository, _, tag = image.rpartition(":")
    base = f"http://{registry}/v2/{repository}"
    held: list[bytes | None] = []
    async with httpx.AsyncClient(timeout=_PULL_SECONDS, trust_env=False, headers={"Accept": _ACCEPTED}) as client:

        async def got(path: str) -> httpx.Response:
            answer = await client.get(f"{base}/{path}")
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise Unreadable(f"the registry has no {repository}/{path}, which was pushed to it")
            return answer.raise_for_status()

        with suppress(httpx.HTTPError):
            manifests: list[dict[str, Any]] = [(await got(f"manifests/{tag}")).json()]
            while manifests:
                manifest = manifests.pop()
                images = [each["digest"] for each in manifest.get("manifests", ()) if is_image(each)]
                manifests += [(await got(f"manifests/{digest}")).json() for digest in images]
                if layers := manifest.get("layers"):
                    blobs = [io.BytesIO((await got(f"blobs/{layer['digest']}")).content) for layer in layers]
                    held.append(read_layers(blobs, name))
    return held


def readable(daemon: Daemon, request: BuildRequest) -> BuildRequest:
    """Return a build whose result can be read back: where it cannot be, with a tar of its files besides."""
    if {"local", "tar", "oci", "push"} & {*request.exports}:
        return request
    can_be = daemon.save(request, Path()) is not None if isinstance(daemon, SavesImages) else "load" in request.exports
    return request if can_be else replace(request, exports=(*request.exports, "tar"))


def place_for(kind: str, folder: Path, name: str) -> Path:
    """Return where an export that is read back puts its files."""
    return folder / f"{name}.{'out' if kind == 'local' else kind}"
