"""What a run on another host says of itself, told to an observer here: the machine lines of `repro run --json`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from harness.core.manifest import DaemonFacts
from harness.core.records import Action, Finding, Iteration, Sample
from harness.run.observer import Reporter
from harness.scenario import Scenario
from harness.store.folder import RunFolder
from harness.store.resume_point import ResumePoint

Line = Mapping[str, Any]

_FACTS: Final = TypeAdapter(DaemonFacts)
_PAST: Final = TypeAdapter(ResumePoint)
_RECORDS: Final[Mapping[str, tuple[TypeAdapter[Any], Callable[[Reporter], Callable[[Any], None]]]]] = {
    "iteration": (TypeAdapter(Iteration), lambda reporter: reporter.iterated),
    "action": (TypeAdapter(Action), lambda reporter: reporter.acted),
    "finding": (TypeAdapter(Finding), lambda reporter: reporter.found),
    "sample": (TypeAdapter(Sample), lambda reporter: reporter.sampled),
}


def replay(line: Line, reporter: Reporter, scenario: Scenario, folder: RunFolder, host: str) -> None:
    """Tell a line to an observer; what it does not know, or cannot read, is left out: it shows, and decides nothing.

    Args:
        line: an event.
        reporter: is told.
        scenario: what runs there.
        folder: where the run will be kept here.
        host: where it runs.
    """
    event = str(line.get("event"))
    try:
        if event == "doing":
            reporter.doing(f"{host}: {line['what']}")
        elif event == "started":
            facts, past = _FACTS.validate_python(line["daemon"]), _PAST.validate_python(line["past"])
            reporter.started(scenario, folder, facts, int(line["seed"]), past)
        elif event in _RECORDS:
            adapter, handler = _RECORDS[event]
            handler(reporter)(adapter.validate_python({key: each for key, each in line.items() if key != "event"}))
    except (ValidationError, LookupError, TypeError, ValueError):
        return
