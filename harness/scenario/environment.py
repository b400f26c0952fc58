"""Variables that a scenario may give to a daemon or its clients: those that tune, and none that would lead elsewhere.

`PATH`, `LD_PRELOAD` or `DOCKER_HOST` would have a scenario run programs of its own, or reach another daemon, and with
`BUILDKIT_SETUP_CGROUPV2_ROOT` buildkitd moves every process of the host's root cgroup. So what may be given is listed,
not what may not.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

_TUNES: Final = (
    r"OTEL_\w+",
    r"GO(DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)",
    r"BUILDKIT_(?!HOST$|SETUP_CGROUPV2_ROOT$|\w+_PATH$)\w+",
    r"BUILDX_(?!CONFIG$|BUILDER$)\w+",
    r"EXPERIMENTAL_BUILDKIT_\w+",
    r"(HTTPS?|NO)_PROXY|(https?|no)_proxy",
    r"COMPOSE_BAKE|SOURCE_DATE_EPOCH|JAEGER_TRACE|TZ|LANG|LC_ALL",
)
_ALLOWED: Final = re.compile("|".join(_TUNES))


def _tunes(given: dict[str, str]) -> dict[str, str]:
    wrong = sorted(name for name in given if not _ALLOWED.fullmatch(name))
    if wrong:
        raise ValueError(
            f"{', '.join(wrong)}: no variable that a scenario may give; allowed are OTEL_…, GODEBUG, GOGC, GOMAXPROCS, "
            "GOMEMLIMIT, GOTRACEBACK, BUILDKIT_…, BUILDX_…, COMPOSE_BAKE, proxies, SOURCE_DATE_EPOCH, JAEGER_TRACE, TZ "
            "and LANG, but for those that say where a daemon is or where clients keep their configuration"
        )
    return given


Environment = Annotated[dict[str, str], AfterValidator(_tunes)]
"""Variables by their names."""
