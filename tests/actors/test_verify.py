"""Which files of a result are known to hold what, from the Dockerfile alone."""

import pytest

from harness.actors.generate import Generate
from harness.actors.verify import written_by
from harness.scenario.load import PROJECT

CASES = {
    "last stage": ('FROM base AS a\nRUN echo "${M}" > /m\nFROM base\nARG N\nRUN echo "${N}" > /n\n', {"/n": "N"}),
    "built on another": ("FROM base AS a\nRUN echo $M > /m\nFROM a\nRUN echo $N > /n", {"/m": "M", "/n": "N"}),
    "overwritten": ("FROM base AS a\nRUN echo $M > /n\nFROM a\nRUN echo $N > /n", {"/n": "N"}),
    "behind another command": ('FROM base\nRUN sleep "$S" && echo "$N" > /n', {"/n": "N"}),
    "with a mount": ("FROM base\nRUN --mount=type=cache,target=/c echo ${N} > /n", {"/n": "N"}),
    "no argument": ("FROM base\nRUN echo one > /n", {}),
    "no Dockerfile": ("", {}),
    "on itself": ("FROM a AS a\nRUN echo $N > /n", {"/n": "N"}),
}


@pytest.mark.parametrize(("text", "found"), CASES.values(), ids=[*CASES])
def test_what_steps_write(text: str, found: dict[str, str]) -> None:
    """Each file that the result has from such a step is found, with its argument; nothing else is."""
    assert written_by(text) == found


@pytest.mark.parametrize("name", ["trivial", "diamond", "merged", "sleep"])
def test_shipped(name: str) -> None:
    """The shipped Dockerfiles, but those that only copy or end without one, can be verified as they are."""
    assert len(written_by((PROJECT / "dockerfiles" / name / "Dockerfile").read_text())) == 1


def test_generated() -> None:
    """So can one that is made to measure."""
    assert written_by(Generate().dockerfile) == {"/n": "N"}
