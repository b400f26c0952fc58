"""Records: what is derived from them, and that they stay as they were written."""

from dataclasses import FrozenInstanceError

import pytest

from harness.core import records
from harness.core.outcome import Outcome
from harness.core.records import Iteration


def iteration(exported: float | None, exited: float | None) -> Iteration:
    """Return a build that exported and exited at these times."""
    return Iteration(1, "ci", {}, Outcome.OK, 0.0, 0.1, 0.2, exported, exited, None, 0)


@pytest.mark.parametrize(
    ("exported", "exited", "tail"),
    [(2.0, 2.5, 0.5), (0.0, 0.0, 0.0), (None, 2.5, None), (2.0, None, None)],
    ids=["both", "at-once", "never-exported", "never-exited"],
)
def test_the_tail(exported: float | None, exited: float | None, tail: float | None) -> None:
    """The tail runs from the export's end to the client's, and is unknown where one of the two never came."""
    assert iteration(exported, exited).tail == tail


def test_every_record_is_frozen() -> None:
    """No record changes once it is made."""
    build = iteration(None, None)
    with pytest.raises(FrozenInstanceError):
        build.error = "other"  # type: ignore[misc]
    kinds = [kind for kind in vars(records).values() if getattr(kind, "__module__", "") == "harness.core.records"]
    assert {kind.__name__ for kind in kinds} >= {"Iteration", "Action", "Sample", "Finding", "FirstHang", "Summary"}
    assert [kind.__name__ for kind in kinds if not kind.__dataclass_params__.frozen] == []
