"""The wire format of messages: what is written is read again, and what is no message is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.buildkit.messages import BuildEvent, PruneMessage, UsageRecord, cache_records
from harness.buildkit.wire import NotAMessage, entries, fields, message, number

NUMBERS = st.integers(1, 1 << 20)
VALUES = st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.text(), st.binary())


@given(st.lists(st.tuples(NUMBERS, VALUES)))
def test_what_is_written_is_read(written: list[tuple[int, int | str | bytes]]) -> None:
    """Every field comes back in its order, but for those with a zero value."""
    read = [(key, number(value) if isinstance(value, int) else value) for key, value in fields(message(written))]
    assert read == [(key, value.encode() if isinstance(value, str) else value) for key, value in written if value]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes that are no message end in one kind of error."""
    try:
        list(fields(data))
        BuildEvent.decoded(data)
        cache_records(data)
    except NotAMessage:
        pass


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x0a\x05abc", "field 1 ends 2 bytes after the message"),
        (b"\x08", "ends within a number"),
        (b"\x08" + b"\xff" * 11, "longer than 10 bytes"),
        (b"\x0b", "type 3, which no field has"),
        (b"\x09\x00", "field 1 ends 7 bytes after"),
    ],
)
def test_what_is_no_message(data: bytes, said: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(NotAMessage, match=said):
        list(fields(data))


def test_fields_of_a_fixed_width_are_passed_over() -> None:
    """Four and eight bytes, as the format has them, and then the next field."""
    data = b"\x0d\x01\x02\x03\x04" + b"\x11" + bytes(8) + b"\x18\x07"
    assert list(fields(data)) == [(1, b"\x01\x02\x03\x04"), (2, bytes(8)), (3, 7)]


def test_known_bytes() -> None:
    """The example of the format's documentation: field 1 with 150, field 2 with "testing"."""
    assert message([(1, 150), (2, "testing")]) == b"\x08\x96\x01\x12\x07testing"


def test_what_is_to_be_left_stands_in_the_old_field_and_in_the_new_one() -> None:
    """BuildKit before 0.17 reads field 4, those since read 5."""
    assert (
        PruneMessage(("type==regular",), all=True, keep=5).encoded() == b"\x0a\x0dtype==regular\x10\x01\x20\x05\x28\x05"
    )


def test_an_event_names_the_build_and_what_its_frontend_was_told() -> None:
    """Fields that we do not know, in the record and beside it, are passed over."""
    record = message([(1, "abc"), *entries(3, {"build-arg:N": "7", "k": ""}), (7, message([(1, 5)])), (99, "new")])
    event = BuildEvent.decoded(message([(1, 1), (2, record), (50, 3)]))
    assert event == BuildEvent("complete", "abc", {"build-arg:N": "7", "k": ""}, completed=True)


@pytest.mark.parametrize("parents", [[(5, "p")], [(12, "p")]])
def test_a_record_of_the_cache(parents: list[tuple[int, str]]) -> None:
    """Parents stand in the field of older daemons, or in that of newer ones."""
    record = message([(1, "id"), (3, True), (4, 4096), (9, "COPY"), (10, "regular"), *parents])
    assert cache_records(message([(1, record)])) == (UsageRecord("id", 4096, True, "COPY", "regular", ("p",)),)
