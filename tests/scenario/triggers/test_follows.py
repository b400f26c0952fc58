"""The trigger ``follows``: another actor's act is followed, and nothing waits for itself."""

from pathlib import Path

import pytest

from harness.cli.kinds import VOCABULARY
from harness.core.errors import ScenarioError
from harness.core.outcome import Outcome
from harness.core.records import Action, Iteration
from harness.scenario import load
from tests.support.stub_runs import run, write_scenario

BUILD = "name: mine\nactors:\n  - build: ci\n    dockerfile: trivial\n"

NEVER = {
    "itself": ("  - prune: a\n    when: {follows: a}\n", "a waits for a"),
    "each-other": (
        "  - prune: a\n    when: {follows: b}\n  - prune: b\n    when: {follows: a}\n",
        "a waits for b waits for a",
    ),
    "a-build-and-its-kill": (
        "    when: {follows: k}\n  - kill: k\n    when: {phase: started, of: ci}\n",
        "ci waits for k waits for ci",
    ),
    "builds-by-an-act": (
        "    when: {follows: p}\n  - build: cj\n    dockerfile: trivial\n    when: {phase: exported, of: ci}\n"
        "  - prune: p\n    when: {step: RUN, of: cj}\n",
        "ci waits for p waits for cj waits for ci",
    ),
    "nobody": ("  - prune: a\n    when: {follows: x}\n", "no actor besides builds is named 'x'"),
    "a-build": ("  - prune: a\n    when: {follows: ci}\n", "no actor besides builds is named 'ci'"),
}


@pytest.mark.parametrize(("actors", "said"), NEVER.values(), ids=NEVER.keys())
def test_what_never_fires(tmp_path: Path, actors: str, said: str) -> None:
    """An actor that follows itself, by however many others, or that follows nobody, is refused in a sentence."""
    file = tmp_path / "mine.yaml"
    file.write_text(BUILD + actors + "stop: {iterations: 5}\n")
    with pytest.raises(ScenarioError) as refused:
        load(file, VOCABULARY)
    (problem,) = refused.value.problems
    assert said in problem.message
    assert problem.path.endswith("when.follows")


def test_who_leads_into_a_circle(tmp_path: Path) -> None:
    """Who waits for others that wait for each other is not refused beside them: one of these has to be mended."""
    file = tmp_path / "mine.yaml"
    actors = "  - prune: a\n    when: {follows: b}\n  - prune: b\n    when: {follows: b}\n"
    file.write_text(BUILD + actors + "stop: {iterations: 5}\n")
    with pytest.raises(ScenarioError) as refused:
        load(file, VOCABULARY)
    assert [problem.path for problem in refused.value.problems] == ["actors.b.when.follows"]


@pytest.mark.usefixtures("cache")
def test_an_act_is_followed(tmp_path: Path) -> None:
    """A kill that follows another actor's kill comes its delay after it, once for each."""
    killers = [
        {"kill": "first", "signal": "SIGKILL", "when": {"phase": "started", "of": "ci", "after": "100ms"}},
        {"kill": "second", "signal": "SIGKILL", "of": "ci", "when": {"follows": "first", "after": "300ms"}},
    ]
    clients = {str(number): "20" for number in range(1, 5)}
    scenario = write_scenario(tmp_path, build={"parallel": 2}, actors=killers, clients=clients, stop={"iterations": 4})
    _, output, folder = run(scenario)
    acts = {
        name: [act for act in folder.read(Action) if act.actor == name and act.acted] for name in ("first", "second")
    }
    assert acts["first"], output
    assert acts["second"], output
    for second in acts["second"]:
        assert second.acted is not None
        assert any(first.acted is not None and second.acted - first.acted >= 0.3 for first in acts["first"])
    outcomes = {build.number: build.outcome for build in folder.read(Iteration)}
    killed = {int(act.detail.rpartition(" ")[2]) for each in acts.values() for act in each}
    assert {outcomes[number] for number in killed} == {Outcome.TIMED_OUT}
