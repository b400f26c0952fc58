"""Durations and sizes: what is read, what is refused, and that what is printed is read back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from harness.core.quantities import Amount, Duration, Size
from harness.core.units import counted, format_duration, format_size, parse_duration, parse_rate, parse_size, spell_size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("250us", 0.00025),
        ("1.5s", 1.5),
        ("10m", 600.0),
        ("2h30m", 9000.0),
        ("1d", 86400.0),
        ("1m0.5s", 60.5),
        (" 3s ", 3.0),
        ("0", 0.0),
        (0, 0.0),
        (0.0, 0.0),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    """A duration is the sum of its parts, in seconds; zero needs no unit."""
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written", ["", "10", 10, 1.5, "-5s", "5 s", "5 minutes", "s", "1h 30m", "5S", "1e3s", ".5s", None, True, False, []]
)
def test_what_is_no_duration(written: object) -> None:
    """A number without a unit, a sign, a blank inside or an unknown unit is refused, and the message shows how."""
    with pytest.raises(ValueError, match=re.escape(f"{written!r} is no duration; write it like 500ms, 10s")):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0s"),
        (0.005, "5ms"),
        (0.00025, "250us"),
        (0.0000004, "0s"),
        (0.9996, "999.6ms"),
        (0.9999996, "1s"),
        (1.5, "1.5s"),
        (59.999, "59.999s"),
        (59.9996, "59.9996s"),
        (59.9999996, "1m"),
        (60.000001, "1m0.000001s"),
        (90.0, "1m30s"),
        (600.0, "10m"),
        (9000.0, "2h30m"),
        (90061.25, "1d1h1m1.25s"),
        (-1.5, "-1.5s"),
    ],
)
def test_durations_as_shown(seconds: float, shown: str) -> None:
    """A duration is shown in the largest units that it fills, to the microsecond, and carried over where rounded."""
    assert format_duration(seconds) == shown


@given(st.one_of(st.integers(0, 10**8), st.integers(0, 2**51)))  # above 2**51, or 71 years, floats have no microseconds
def test_durations_come_back(microseconds: int) -> None:
    """Whatever whole number of microseconds is shown is read back as the very same number."""
    seconds = microseconds / 1_000_000
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("written", ["9" * 400 + "s", "0." + "9" * 400 + "s", "1h" + "9" * 400 + "d", "9" * 400])
def test_durations_without_end(written: str) -> None:
    """A number of hundreds of digits is refused like any other that is no duration, and is never infinite."""
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 2**20, "1.5 GiB"), (3 * 2**40, "3.0 TiB")],
)
def test_sizes_as_shown(count: int, shown: str) -> None:
    """A size is shown to a person in the largest unit that it fills."""
    assert format_size(count) == shown


def test_a_duration_in_a_model() -> None:
    """A model's duration is read from text, written as text, and its schema's pattern takes what the parser takes."""
    adapter: TypeAdapter[float] = TypeAdapter(Duration)
    assert adapter.validate_python("2h30m") == 9000.0
    assert adapter.dump_python(9000.0, mode="json") == "2h30m"
    (text, zero) = adapter.json_schema()["anyOf"]
    assert zero == {"const": 0}
    taken = [word for word in ("2h30m", "0", "500ms", "5 s", "10", "-5s", "5s!") if re.search(text["pattern"], word)]
    assert taken == ["2h30m", "0", "500ms"]


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("512MiB", 512 * 2**20),
        ("4GiB", 2**32),
        ("1.5 KiB", 1536),
        ("2TiB", 2**41),
        ("953.7MB", 953_700_000),
        ("10kB", 10_000),
        ("1GB", 10**9),
        ("7B", 7),
        (" 1MiB ", 2**20),
        ("0", 0),
        (0, 0),
    ],
)
def test_sizes(written: object, count: int) -> None:
    """A size is so many bytes, in powers of 1024 or of 1000 as its unit says; zero needs no unit."""
    assert parse_size(written) == count


@pytest.mark.parametrize(
    "written",
    ["", "10", 10, 1.5, "-5MiB", "5mib", "5M", "5Mb", "5KB", "1GiB 5MiB", "MiB", ".5GiB", "1e3B", "5%", None, False],
)
def test_what_is_no_size(written: object) -> None:
    """A number without a unit, a sign, or a unit that people read in two ways is refused, and the message shows how."""
    with pytest.raises(ValueError, match=re.escape(f"{written!r} is no size; write it like 512MiB, 4GiB")):
        parse_size(written)


@pytest.mark.parametrize(
    ("count", "spelt"),
    [(0, "0B"), (1, "1B"), (1000, "1000B"), (1024, "1KiB"), (1536 * 2**20, "1536MiB"), (953_700_000, "953700000B")],
)
def test_sizes_as_spelt(count: int, spelt: str) -> None:
    """A size is spelt in the largest unit that leaves no rest."""
    assert spell_size(count) == spelt


@given(st.one_of(st.integers(0, 10**9 - 1), st.integers(0, 10**6).map(lambda count: count * 2**20)))
def test_sizes_come_back(count: int) -> None:
    """Whatever is spelt is read back to the byte."""
    assert parse_size(spell_size(count)) == count


def test_a_size_in_a_model() -> None:
    """A model's size is read from text, written as text, and its schema's pattern takes what the parser takes."""
    adapter: TypeAdapter[int] = TypeAdapter(Size)
    assert adapter.validate_python("64MiB") == 64 * 2**20
    assert adapter.dump_python(64 * 2**20, mode="json") == "64MiB"
    (text, zero) = adapter.json_schema()["anyOf"]
    assert zero == {"const": 0}
    taken = [word for word in ("64MiB", "1.5 GiB", "0", "64", "64M", "64MiB!") if re.search(text["pattern"], word)]
    assert taken == ["64MiB", "1.5 GiB", "0"]


@pytest.mark.parametrize(
    ("written", "count"), [("80%", 800), ("100%", 1000), ("0.5 %", 5), (" 25% ", 250), ("2KiB", 2048), ("0", 0)]
)
def test_amounts(written: str, count: int) -> None:
    """A share is one of a total, and a size is itself whatever the total."""
    assert Amount.model_validate(written).of(1000) == count


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0%", "is no share; it is above 0% and at most 100%"),
        ("100.1%", "is no share; it is above 0% and at most 100%"),
        ("80", "is no share and no size; write it like 80% or 512MiB"),
        ("-5%", "is no share and no size"),
        ("lots", "is no share and no size"),
        (80, "should be a valid string"),
    ],
)
def test_what_is_no_amount(written: object, said: str) -> None:
    """A share of nothing or of more than all is refused, and so is what is neither share nor size."""
    with pytest.raises(ValidationError, match=said):
        Amount.model_validate(written)


@pytest.mark.parametrize(
    ("text", "rate"), [("1/16141", 1 / 16141), ("0.006%", 6e-5), ("6.2e-05", 6.2e-5), (" 3 / 7 ", 3 / 7), ("0.5", 0.5)]
)
def test_rates(text: str, rate: float) -> None:
    """A rate is a fraction, a share or a number."""
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "0", "1", "100%", "2/1", "-1/5", "1/0", "1/", "nan", "inf", "often", "1/2/3"])
def test_no_rates(text: str) -> None:
    """What is no chance of something that may happen or not is refused, with an example of what is."""
    with pytest.raises(ValueError, match="is no rate; write it like 1/16141"):
        parse_rate(text)


def test_a_number_with_its_noun() -> None:
    """Only one has no plural."""
    assert [counted(number, "step") for number in (0, 1, 2, 1200)] == ["0 steps", "1 step", "2 steps", "1,200 steps"]
