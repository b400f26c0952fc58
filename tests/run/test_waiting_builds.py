"""Lines of builds that begin on a trigger: after what they wait for, and never in vain."""

from pathlib import Path

import pytest

from harness.core.records import Iteration
from tests.support.stub_runs import run, start, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


def late(**when: str) -> dict[str, object]:
    """Return a build actor that begins on a trigger."""
    return {"build": "late", "dockerfile": "one", "when": when}


def test_a_build_follows_another(tmp_path: Path) -> None:
    """A build that waits for another's phase begins after it, and the run ends with the last iteration."""
    scenario = write_scenario(tmp_path, actors=[late(phase="exited", of="ci", after="50ms")], stop={"iterations": 4})
    code, output, folder = run(scenario)
    recorded = {each.number: each for each in folder.read(Iteration)}
    assert code == 0, output
    assert sorted(recorded) == [1, 2, 3, 4]
    late_ones = [each for each in recorded.values() if each.actor == "late"]
    first = min(each.exited or 0.0 for each in recorded.values() if each.actor == "ci")
    assert all(each.started >= first for each in late_ones)


@pytest.mark.parametrize("stop", [{"iterations": 3}, {"time": "6s"}], ids=["iterations", "time"])
def test_no_line_waits_in_vain(tmp_path: Path, stop: dict[str, object]) -> None:
    """A line whose trigger never comes ends with the others."""
    code, output, folder = run(write_scenario(tmp_path, actors=[late(step="never", of="ci")], stop=stop))
    assert code in {0, 125}, output
    assert {each.actor for each in folder.read(Iteration)} == {"ci"}


@pytest.mark.parametrize(
    ("first", "second"), [("late", None), ("other", "late")], ids=["for itself", "for one that waits for it"]
)
def test_builds_that_wait_for_each_other(tmp_path: Path, first: str, second: str | None) -> None:
    """A circle of builds is refused, and said."""
    other = [{**late(phase="exited", of=second), "build": first}] if second else []
    process = start(write_scenario(tmp_path, actors=[late(phase="exited", of=first), *other]))
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 129
    assert f"waits for itself ({' waits for '.join(filter(None, ('late', second and first, 'late')))})" in output
    assert f"let {'one of them' if second else 'it'} begin by itself" in output
