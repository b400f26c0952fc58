"""Toolchains: the daemon binaries under test, wherever they come from."""

from harness.core.manifest import Binary
from harness.toolchain.base import BAKE, COMPOSE, NEEDS, Source, Toolchain, is_before, number_of
from harness.toolchain.cached import Cached, cached_toolchains, remove
from harness.toolchain.programs import equip, with_program
from harness.toolchain.table import SOURCES, resolve

__all__ = [
    "BAKE",
    "COMPOSE",
    "NEEDS",
    "SOURCES",
    "Binary",
    "Cached",
    "Source",
    "Toolchain",
    "cached_toolchains",
    "equip",
    "is_before",
    "number_of",
    "remove",
    "resolve",
    "with_program",
]
