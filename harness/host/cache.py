"""Where the large things live: toolchains, base images, the roots of running daemons, the ledgers of runs."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder(name: str) -> Path:
    """Return the folder `name` below the cache, made if it is not there.

    The cache is ``$REPRO_CACHE``, else the platform's user cache (``~/.cache/repro`` on Linux).
    """
    told = os.environ.get("REPRO_CACHE")
    folder = (Path(told).absolute() if told else user_cache_path("repro")) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
