"""The text of a new scenario: a commented one of our own, or another's under a new name."""

import re
from pathlib import Path
from typing import Final

from harness.scenario.load import PROJECT

_TEMPLATE: Final = Path(__file__).with_name("new.yaml")
_SCHEMA: Final = re.compile(r"^# yaml-language-server:.*\n", re.MULTILINE)
_NAME: Final = re.compile(r"^name:.*$", re.MULTILINE)


def new_scenario(name: str, source: Path | None, shown_as: str) -> str:
    """Return a scenario's text.

    Args:
        name: of the scenario.
        source: the file that it is made from; without it, a commented one.
        shown_as: how the command line will name the new file.

    Raises:
        OSError, UnicodeDecodeError: the source cannot be read.
    """
    text = _SCHEMA.sub("", (source or _TEMPLATE).read_text())
    made = f"# Made from {source.stem}.\n" if source else ""
    head = (
        f"# yaml-language-server: $schema={PROJECT / 'scenarios' / 'schema.json'}\n"
        f"# `repro check {shown_as}` says what it will do, `repro run {shown_as}` does it.\n"
    )
    return head + made + _NAME.sub(f"name: {name}", text, count=1)
