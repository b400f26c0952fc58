"""Files that are written whole or not at all, and JSON files that are read as what they should be."""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from harness.core.errors import StoreError

T = TypeVar("T")

MOST_BYTES: Final = 2**26
"""64 MiB: what a file of ours is at most read to; the largest, a finding's processes, has some 100 kB."""
_PROBLEMS: Final = 3
_MODE: Final = 0o644
"""Whatever the umask allows, nobody else writes to what we have written."""


class Damaged(StoreError):
    """A file that is damaged or foreign; the other files can still be read."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(file, f"is damaged: {why}")


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part, even after a kill.

    Text that UTF-8 has no form for, such as a file's name in another encoding, is written with question marks.

    Raises:
        StoreError: the disk is full, or the folder is gone; what was there before is untouched.
    """
    draft = file.with_name(f"{file.name}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode(errors="replace") if isinstance(content, str) else content)
        draft.replace(file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise StoreError(file, f"cannot be written: {error.strerror}") from error


def write_json(file: Path, content: object) -> None:
    """Write a file of JSON whole; dataclasses in it as objects, sets as sorted lists, what JSON does not know as text.

    Raises:
        StoreError: see `write_whole`.
    """
    write_whole(file, json.dumps(content, indent=1, default=_plain, ensure_ascii=False) + "\n")


def read_bytes(file: Path, most: int = MOST_BYTES) -> bytes:
    """Return what a file holds.

    Raises:
        StoreError: it is not there, is no regular file, cannot be read, or is larger than `most`.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place has nobody wait
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not S_ISREG(status.st_mode):
                raise StoreError(file, "cannot be read: it is no regular file")
            if status.st_size > most:
                raise StoreError(file, f"cannot be read: it has {status.st_size:,} bytes, and {most:,} are taken")
            return stream.read(most)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(file, f"cannot be read: {why}") from error


def read_text(file: Path, most: int = MOST_BYTES) -> str:
    """Return what a file of text holds.

    Raises:
        StoreError: see `read_bytes`.
        Damaged: it is no UTF-8.
    """
    try:
        return read_bytes(file, most).decode()
    except UnicodeDecodeError as error:
        raise Damaged(file, f"byte {error.start} is no UTF-8") from error


def read_json(file: Path, kind: type[T]) -> T:
    """Return what a file of JSON holds, as a `kind`: a dataclass, or a type such as ``dict[str, str]``.

    Keys that the kind does not know are passed over, for a later version may write them; keys that it has a default
    for need not be there, for an earlier one did not.

    Raises:
        StoreError: see `read_bytes`.
        Damaged: it is no JSON, or not such a thing; the message has the keys.
    """
    try:
        content = from_json(read_bytes(file), allow_inf_nan=False)
        _require_finite(content)
        return typed(content, kind)
    except ValidationError as error:
        raise Damaged(file, _problems(error)) from error
    except (ValueError, RecursionError) as error:
        raise Damaged(file, str(error)) from error


def typed(content: object, kind: type[T]) -> T:
    """Return plain data as a `kind`.

    Raises:
        ValidationError: it is no such thing.
    """
    adapter = _ADAPTERS.get(kind) or _ADAPTERS.setdefault(kind, TypeAdapter(kind))
    value: T = adapter.validate_python(content)
    return value


_ADAPTERS: Final[dict[Any, TypeAdapter[Any]]] = {}
"""Those that were needed so far: to make one takes milliseconds."""


def _require_finite(content: object) -> None:
    """Refuse ``1e400``: it reads as infinite, which no figure of ours is."""
    waiting = [content]
    while waiting:
        match waiting.pop():
            case float(number) if not math.isfinite(number):
                raise ValueError("a number in it is too large")
            case list(parts):
                waiting += parts
            case dict(parts):
                waiting += parts.values()


def _problems(error: ValidationError) -> str:
    found = [
        f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg'][:1].lower()}{each['msg'][1:]}"
        for each in error.errors(include_url=False, include_input=False)
    ]
    more = f"; and {len(found) - _PROBLEMS} more" if len(found) > _PROBLEMS else ""
    return "; ".join(found[:_PROBLEMS]) + more


def _plain(value: object) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)  # type: ignore[call-overload]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
