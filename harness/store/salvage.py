"""Reads a folder with damaged files: each fault is noted, and costs that file alone."""

from collections.abc import Callable
from typing import TypeVar

from harness.core.errors import StoreError

T = TypeVar("T")
D = TypeVar("D")


class Salvage:
    """Calls readers, and keeps what they could not read."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        """A sentence each, with the file; one that several readers stumble over stands once."""

    def __call__(self, read: Callable[[], T], instead: D) -> T | D:
        """Return what a reader returns, or something instead where its file is damaged."""
        try:
            return read()
        except StoreError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return instead
