"""``python -m harness`` is `repro`."""

from harness.cli import main

main()
