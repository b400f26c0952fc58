"""Text that changes from one iteration to the next: ``{iteration}`` and ``{iteration % 7}`` stand for numbers."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_ITERATION: Final = re.compile(r"\{iteration(?:\s*%\s*([1-9]\d*))?\}")
_PLACE: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


def filled(text: str, iteration: int) -> str:
    """Return `text` with ``{iteration}`` and ``{iteration % N}`` as numbers."""
    return _ITERATION.sub(lambda match: str(iteration % int(match[1]) if match[1] else iteration), text)


def _text(value: object) -> object:
    """Return what a person means by a bare number or truth in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return getattr(value, "text", str(value))  # as it is written: 3.10 is not 3.1
    return value


def _fit_for_a_place(text: str) -> str:
    if not _PLACE.fullmatch(filled(text, 1)):
        raise ValueError(
            f"{text!r} names no cache: write lower-case letters, digits and single `-`, `_` or `.` between them, "
            "such as `main` or `pr-{iteration % 3}`"
        )
    return text


Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""Any text; a bare number or truth is what it looks like."""

Place = Annotated[str, AfterValidator(_fit_for_a_place)]
"""A name that folders and registries take, once it is filled."""
