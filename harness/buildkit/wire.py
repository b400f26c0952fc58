"""The wire format of Protocol Buffers, as far as BuildKit's messages need it: varints and counted bytes.

Source: protobuf.dev, "Encoding". A message is a row of fields, each a tag (``number << 3 | type``) and a value. A field
that is absent has its zero value; fields whose numbers a reader does not know are passed over.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

Value = int | bytes

_VARINT, _FIXED64, _COUNTED, _FIXED32 = 0, 1, 2, 5
_WIDTHS: Final = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT: Final = 10
_WORD: Final = 1 << 64


class NotAMessage(ValueError):
    """Bytes that are no message."""


def message(fields: Iterable[tuple[int, bool | int | str | bytes]]) -> bytes:
    """Return the message of these fields, by number; those with a zero value are left out, as the format asks for."""
    return b"".join(_field(number, value) for number, value in fields if value)


def entries(number: int, mapping: Mapping[str, str]) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a ``map<string, string>``: each entry is a message with key and value."""
    yield from ((number, message([(1, key), (2, value)])) for key, value in mapping.items())


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the number and the value of each field: an integer (unsigned), or the bytes of what is counted or fixed.

    Raises:
        NotAMessage: the bytes end within a field, or hold a type that no message of today has.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _COUNTED:
            width, at = _varint(data, at)
        elif kind in _WIDTHS:
            width = _WIDTHS[kind]
        else:
            raise NotAMessage(f"field {number} has the type {kind}, which no field has")
        if at + width > len(data):
            raise NotAMessage(f"field {number} ends {at + width - len(data)} bytes after the message")
        yield number, data[at : at + width]
        at += width


def text(value: Value) -> str:
    """Return the text of a field; what is no UTF-8 is replaced."""
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def number(value: Value) -> int:
    """Return a signed integer (``int64``); 0 of a field that is none."""
    if not isinstance(value, int):
        return 0
    return value - _WORD if value >= _WORD // 2 else value


def nested(value: Value) -> bytes:
    """Return the bytes of a message in a message; of a field that is none, an empty one's."""
    return value if isinstance(value, bytes) else b""


def _field(number: int, value: bool | int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _written(number << 3 | _VARINT) + _written(value % _WORD)
    counted = value.encode() if isinstance(value, str) else value
    return _written(number << 3 | _COUNTED) + _written(len(counted)) + counted


def _written(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and the place behind it."""
    value = 0
    for place in range(_LONGEST_VARINT):
        if at >= len(data):
            raise NotAMessage("the message ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value % _WORD, at
    raise NotAMessage(f"a number is longer than {_LONGEST_VARINT} bytes")
