"""Text that changes from one iteration to the next, and the names that are made of it."""

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.actors.template import Place, filled


@pytest.mark.parametrize(
    ("text", "iteration", "expected"),
    [
        ("{iteration}", 12, "12"),
        ("n-{iteration % 7}", 12, "n-5"),
        ("{iteration%7}/{iteration}", 7, "0/7"),
        ("{iteration % 0}", 3, "{iteration % 0}"),
        ("{other}", 3, "{other}"),
        ("", 3, ""),
    ],
)
def test_iterations_count(text: str, iteration: int, expected: str) -> None:
    """Only the two forms that are documented are replaced; everything else stays as it was written."""
    assert filled(text, iteration) == expected


@pytest.mark.parametrize("name", ["main", "pr-{iteration % 3}", "a.b_c", "{iteration}"])
def test_fit_for_a_place(name: str) -> None:
    """What registries and folders take once it is filled is taken."""
    assert TypeAdapter(Place).validate_python(name) == name


@pytest.mark.parametrize("name", ["", "Main", "a/b", "..", "a--b", "-a", "a:b", "a,mode=max", "{other}", "a\n"])
def test_unfit_for_a_place(name: str) -> None:
    """What would be another folder, another option or no reference at all is refused, with what is right."""
    with pytest.raises(ValidationError, match=r"names no cache: .* such as `main`"):
        TypeAdapter(Place).validate_python(name)
