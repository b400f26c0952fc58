"""The offline base image of builds: one statically linked busybox, and nothing else."""

import os
import shutil
import struct
from pathlib import Path
from typing import Final

from harness.core.errors import HarnessError, InfraError
from harness.host.cache import cache_folder
from harness.toolchain.apt import fetch_file

_PT_INTERP: Final = 3


class NoStaticBusybox(InfraError):
    """No busybox that runs in an empty image."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"no statically linked busybox, the base image of builds: PATH has none, and {why}; "
            "install busybox-static, or put one on PATH"
        )


async def static_busybox() -> Path:
    """Return a statically linked busybox: from ``PATH``, else the cache, else Debian's archive into the cache.

    Raises:
        NoStaticBusybox: none is available here.
    """
    for folder in os.get_exec_path():
        found = shutil.which("busybox", path=folder)
        if found and is_static(Path(found)):
            return Path(found).absolute()
    cached = cache_folder("base-image") / "busybox"
    if not is_static(cached):
        try:
            await fetch_file("busybox-static", cached, is_static)
        except HarnessError as error:
            raise NoStaticBusybox(str(error)) from error
    return cached


def is_static(path: Path) -> bool:
    """Whether a file is an ELF program that names no loader (elf(5): it has no program header PT_INTERP)."""
    try:
        with path.open("rb") as file:
            identity = file.read(16)
            if identity[:4] != b"\x7fELF":
                return False
            order = "<" if identity[5] == 1 else ">"
            # up to e_version, then e_entry e_phoff e_shoff as wide as addresses, e_flags e_ehsize e_phentsize e_phnum
            header = struct.Struct(order + ("HHIQQQIHHH" if identity[4] == 2 else "HHIIIIIHHH"))
            fields = header.unpack(file.read(header.size))
            offset, size, count = fields[4], fields[8], fields[9]
            file.seek(offset)
            segments = file.read(size * count)
        kinds = [struct.unpack_from(order + "I", segments, index * size)[0] for index in range(count)]
    except (OSError, struct.error, IndexError):
        return False
    return bool(kinds) and _PT_INTERP not in kinds
