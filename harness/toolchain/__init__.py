"""Toolchains: the daemon binaries under test, wherever they come from."""

from harness.core.manifest import Binary
from harness.toolchain.base import COMPOSE, NEEDS, Source, Toolchain
from harness.toolchain.cached import Cached, cached_toolchains, remove
from harness.toolchain.programs import equip, with_program
from harness.toolchain.table import SOURCES, resolve

__all__ = [
    "COMPOSE",
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
    "with_program",
]
