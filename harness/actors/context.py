"""A build's context on disk: the Dockerfile's folder, under a base image that needs no registry.

Dockerfiles of scenarios build on a stage named ``base``. Here that stage is put in front of their first ``FROM``: from
a static busybox, which is copied in, or from the image that the scenario names. The file itself never changes; alone
it builds with ``docker build --build-context base=docker-image://alpine``. A stage more shifts the numbers of the
others, so ``COPY --from`` names stages.
"""

import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

OFFLINE: Final = "busybox"
"""The base that needs no registry."""
_FIRST_FROM: Final = re.compile(r"^[ \t]*FROM\s", re.IGNORECASE | re.MULTILINE)
_NAMED_STAGE: Final = re.compile(r"^[ \t]*FROM\s.*\sAS\s+(\S+)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_BUSYBOX_STAGE: Final = """\
FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin && mkdir -m 1777 /tmp"]
"""


def find_dockerfile(name: str, folders: Iterable[Path]) -> Path | None:
    """Return the first folder that has ``name/Dockerfile``, or None."""
    with suppress(OSError):  # a name that no file system takes
        return next((folder / name for folder in folders if (folder / name / "Dockerfile").is_file()), None)
    return None


def find_folder(name: str, folders: Iterable[Path]) -> Path | None:
    """Return the first folder that is called so, or None."""
    with suppress(OSError):
        return next((folder / name for folder in folders if (folder / name).is_dir()), None)
    return None


def uses_base(dockerfile: str) -> bool:
    """Whether a Dockerfile builds on the stage ``base`` without making it itself."""
    used = re.search(
        r"^[ \t]*FROM\s+(--\S+\s+)*base(\s|$)|\bfrom=base(?![\w./:@-])", dockerfile, re.IGNORECASE | re.MULTILINE
    )
    made = re.search(r"^[ \t]*FROM\s+.*\sAS\s+base\s*$", dockerfile, re.IGNORECASE | re.MULTILINE)
    return bool(used) and not made


def with_base(dockerfile: str, base: str) -> str:
    """Return the Dockerfile with the stage ``base`` in front of its first ``FROM``."""
    stage = _BUSYBOX_STAGE if base == OFFLINE else f"FROM {base} AS base\n"
    first = _FIRST_FROM.search(dockerfile)
    position = first.start() if first else len(dockerfile)
    return dockerfile[:position] + stage + dockerfile[position:]


def stages(dockerfile: str) -> list[str]:
    """Return the names of a Dockerfile's stages, in order."""
    return _NAMED_STAGE.findall(dockerfile)


def lay_base(context: Path, base: str, busybox: Path | None) -> None:
    """Put the base in front of the Dockerfile in `context`, if that uses one."""
    dockerfile = (context / "Dockerfile").read_text()
    if not uses_base(dockerfile):
        return
    (context / "Dockerfile").write_text(with_base(dockerfile, base))
    if busybox:
        shutil.copy2(busybox, context / "busybox")
