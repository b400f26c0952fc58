"""The build actor's own options; what its clients do is tested with the engine."""

import pytest
from pydantic import ValidationError

from harness.actors.build import Build, _filled


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


@pytest.mark.parametrize(
    ("written", "text"),
    [(True, "true"), (False, "false"), (3, "3"), (0, "0"), (-1, "-1"), (1.5, "1.5"), ("on", "on"), ("", "")],
)
def test_args_are_text(written: object, text: str) -> None:
    """A bare number or truth is what it looks like in YAML, and what is text stays as it is."""
    build = Build.model_validate({"name": "ci", "dockerfile": "x", "args": {"N": written}})
    assert build.args == {"N": text}
    assert type(build.args["N"]) is str
    assert Build.model_validate(build.model_dump(mode="json")) == build


@pytest.mark.parametrize("written", [None, [1], {"a": 1}], ids=["nothing", "list", "mapping"])
def test_args_that_are_no_text(written: object) -> None:
    """What cannot be the value of one argument is refused, at that argument."""
    with pytest.raises(ValidationError) as caught:
        Build.model_validate({"name": "ci", "dockerfile": "x", "args": {"N": written}})
    assert [error["loc"] for error in caught.value.errors()] == [("args", "N")]
