"""``step``: acts when a step whose name matches a pattern starts or completes."""

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.buildkit.progress import Step
from harness.core.outcome import Phase, StepState
from harness.scenario.triggers import StepTrigger, When
from harness.scenario.triggers.base import Reached

ADAPTER: TypeAdapter[object] = TypeAdapter(When)


def reached(what: Phase | Step) -> Reached:
    """Return that a build of `ci` has reached something."""
    return Reached("ci", 1, ("ci:latest",), what, 1.0)


@pytest.mark.parametrize(
    ("name", "state", "awaited"),
    [
        ("[a 2/3] RUN sleep 10", StepState.COMPLETED, True),
        ("[a 2/3] RUN sleep 10", StepState.STARTED, False),
        ("[a 2/3] RUN sleepless", StepState.COMPLETED, False),
        ("[internal] load build context", StepState.COMPLETED, False),
    ],
)
def test_only_its_step_in_its_state(name: str, state: StepState, awaited: bool) -> None:
    """The pattern is looked for anywhere in the name, and only what became of the step as asked counts."""
    trigger = ADAPTER.validate_python({"step": r"RUN sleep \d+$", "state": "completed", "of": "ci"})
    assert isinstance(trigger, StepTrigger)
    assert trigger.awaits(reached(Step(name, state))) is awaited


def test_a_phase_is_no_step() -> None:
    """What a phase is called does not make it a step."""
    trigger = StepTrigger(step="exporting", of="ci")
    assert not trigger.awaits(reached(Phase.EXPORTING))
    assert trigger.awaits(reached(Step("exporting to image", StepState.STARTED)))


def test_pattern_that_is_none() -> None:
    """A pattern that cannot be read is refused, with the reason."""
    with pytest.raises(ValidationError, match=r"is no regular expression: .*unterminated"):
        ADAPTER.validate_python({"step": "[a", "of": "ci"})
