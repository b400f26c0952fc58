"""Durations, sizes and shares as fields of what people write: read from text, and written back as text (`units`)."""

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, RootModel, WithJsonSchema, field_validator

from harness.core.units import DURATION, SHARE, SIZE, format_duration, parse_duration, parse_size, spell_size

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": f"^({DURATION.pattern}|0)$"}, {"const": 0}],
            "examples": ["500ms", "10s", "2h30m"],
        }
    ),
]
"""Seconds in code, ``2h30m`` in YAML."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(spell_size, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": f"^({SIZE.pattern}|0)$"}, {"const": 0}],
            "examples": ["512MiB", "4GiB"],
        }
    ),
]
"""Bytes in code, ``512MiB`` in YAML."""


class Amount(RootModel[str]):
    """A share of something, or a size: ``80%``, ``512MiB``."""

    @field_validator("root")
    @classmethod
    def _readable(cls, text: str) -> str:
        share = SHARE.fullmatch(text.strip())
        if share and not 0 < float(share[1]) <= 100:
            raise ValueError(f"{text!r} is no share; it is above 0% and at most 100%")
        if not share:
            try:
                parse_size(text)
            except ValueError as error:
                raise ValueError(f"{text!r} is no share and no size; write it like 80% or 512MiB") from error
        return text

    def of(self, total: int) -> int:
        """Return bytes; a share is one of `total` bytes."""
        share = SHARE.fullmatch(self.root.strip())
        return round(total * float(share[1]) / 100) if share else parse_size(self.root)
