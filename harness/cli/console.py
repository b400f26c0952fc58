"""The console by which commands show things: texts are others' now and then, and command no terminal."""

from rich import control
from rich.console import Console, Group

from harness.cli.output import HIDES

__all__ = ["Console", "Group"]

# rich's own colours are no part of a text
control._CONTROL_STRIP_TRANSLATE.update(dict.fromkeys((0x1B, *HIDES)))  # noqa: SLF001 — it knows five of them
