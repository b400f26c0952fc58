"""Servers of the run's own that keep builds' caches, by the type of cache: `s3` and `gha`.

For `registry` it is the run's registry, and `local` and `inline` take none.
"""

import base64
import importlib.util
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import httpx

from harness.daemons import gha_server
from harness.daemons.loopback import NoServer, served
from harness.host.cache import cache_folder
from harness.host.ledger import Ledger
from harness.host.proc import Command

_BUCKET: Final = "repro"
_WORD: Final = "repro"
"""What stands for a key and its secret: the server takes any."""
_S3: Final = "an S3 server"
_SECONDS: Final = 10.0
_READ_AND_WRITE: Final = 3
_END_OF_TIME: Final = 4_102_444_800
"""2100-01-01 in Unix seconds."""


@asynccontextmanager
async def open_s3(ledger: Ledger, records: Path) -> AsyncIterator[str]:
    """Start moto's S3, with a bucket; yield what BuildKit's cache is told of it.

    Raises:
        NoServer: it is not installed, or did not answer.
    """
    if missing := [name for name in ("moto", "flask", "flask_cors") if importlib.util.find_spec(name) is None]:
        raise NoServer(_S3, f"{', '.join(missing)} is not installed; `pip install 'repro-harness[s3]'` brings it")
    command = Command((sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"))
    async with served(_S3, command, "/moto-api/", ledger, records / "s3.log") as server:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            made = await client.put(f"http://{server.address}/{_BUCKET}")
        if not made.is_success:
            raise NoServer(_S3, f"it gives no bucket: {made.status_code} {made.text[:200]}")
        keys = f"access_key_id={_WORD},secret_access_key={_WORD}"
        yield f"endpoint_url=http://{server.address},bucket={_BUCKET},region=us-east-1,use_path_style=true,{keys}"


@asynccontextmanager
async def open_gha(ledger: Ledger, records: Path) -> AsyncIterator[str]:
    """Start a cache service like that of GitHub Actions; yield what BuildKit's cache is told of it.

    Raises:
        NoServer: it did not answer.
    """
    folder = ledger.own_folder(cache_folder("registries") / f"{ledger.name}-gha")
    command = Command((sys.executable, "-I", gha_server.__file__, str(folder)))
    async with served("a cache service", command, "/", ledger, records / "gha.log") as server:
        yield f"url=http://{server.address}/,version=1,token={_token()}"


def _token() -> str:
    """Return a token as the client reads it: a JWT, whose signature nobody looks at, with the scope that it opens."""
    scopes = json.dumps([{"Scope": "refs/heads/main", "Permission": _READ_AND_WRITE}])
    head, claims = {"alg": "HS256", "typ": "JWT"}, {"ac": scopes, "nbf": 0, "exp": _END_OF_TIME}
    parts = (json.dumps(head).encode(), json.dumps(claims).encode(), b"repro")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


OpenCacheServer = Callable[[Ledger, Path], AbstractAsyncContextManager[str]]
CACHE_SERVERS: Final[Mapping[str, OpenCacheServer]] = {"gha": open_gha, "s3": open_s3}
"""By the type of cache: given a ledger, and a folder for its log."""
NO_CACHES: Final[Mapping[str, str]] = MappingProxyType({})
"""Of a run whose builds need no such server."""
