"""The build actor's own options; what its clients do is tested with the engine."""

import pytest

from harness.actors.build import _filled


@pytest.mark.parametrize(
    ("text", "iteration", "filled"),
    [
        ("{iteration}", 12, "12"),
        ("n-{iteration % 7}", 12, "n-5"),
        ("{iteration%7}/{iteration}", 7, "0/7"),
        ("{iteration % 0}", 3, "{iteration % 0}"),
        ("{other}", 3, "{other}"),
        ("", 3, ""),
    ],
)
def test_args_count(text: str, iteration: int, filled: str) -> None:
    """Only the two forms that are documented are replaced; everything else stays as it was written."""
    assert _filled(text, iteration) == filled
