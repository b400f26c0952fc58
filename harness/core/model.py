"""The base of everything that people write in YAML: frozen, unknown keys are refused, and numbers are numbers."""

import re
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
"""A regular expression."""

_MOST: Final = 2**63 - 1
"""What the records hold."""


class StrictModel(BaseModel):
    """A part of a scenario."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        allow_inf_nan=False,
        defer_build=True,  # a scenario has few of all kinds of actors, and commands that read none wait for none
    )

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_no_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `017` and `1_000`, which one reader takes for 17 and 1000, another for 15 and a word; so `true`."""
        if isinstance(value, int) and abs(value) > _MOST:
            raise ValueError(f"is too large: at most {_MOST:,} is taken")
        if not isinstance(value, str | bool):
            return value
        field = cls.model_fields[info.field_name or ""]
        kinds = set() if _reads_itself(field.metadata) else set(_kinds(field.annotation))
        if kinds & {int, float} and type(value) not in kinds | ({bool} if str in kinds else set()):
            what = "number" if float in kinds else "integer"
            raise ValueError(f"should be a valid {what}, in plain decimals, not {value!r}")
        return value


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the types that a field may have, but for those that read what people write by themselves."""
    if typing.get_origin(annotation) is Annotated:
        kind, *metadata = typing.get_args(annotation)
        if not _reads_itself(metadata):
            yield from _kinds(kind)
    elif typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        for each in typing.get_args(annotation):
            yield from _kinds(each)
    else:
        yield annotation


def _reads_itself(metadata: Iterable[Any]) -> bool:
    return any(isinstance(each, BeforeValidator) for each in metadata)
