"""The command line: one file per command, and the only place that exits."""

from harness.cli.main import main

__all__ = ["main"]
