"""Toolchains: the daemon binaries under test, wherever they come from."""

from harness.toolchain.base import NEEDS, Binary, Source, Toolchain
from harness.toolchain.cached import Cached, cached_toolchains, remove
from harness.toolchain.programs import equip
from harness.toolchain.table import SOURCES, resolve

__all__ = [
    "NEEDS",
    "SOURCES",
    "Binary",
    "Cached",
    "Source",
    "Toolchain",
    "cached_toolchains",
    "equip",
    "remove",
    "resolve",
]
