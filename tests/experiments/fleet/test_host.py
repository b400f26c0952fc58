"""What a host says of a run that it did not make."""

import pytest

from harness.experiments.fleet.host import reason_in

TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nImportError: no module named x\n'


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", ""),
        ("repro: no disk\n", "repro: no disk"),
        ("repro: apt failed:\nE: no such package\n", "repro: apt failed:\nE: no such package"),
        (f"preparing\n{TRACEBACK}", "ImportError: no module named x"),
    ],
)
def test_why_a_run_was_not_made(said: str, why: str) -> None:
    """Its last words, all of them; of a traceback the line that says what is wrong."""
    assert reason_in(said) == why
