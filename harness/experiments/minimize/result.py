"""What a search leaves, in a folder that can be sent: scenario, contexts, ``reproduce.sh`` and ``RATE.md``."""

from pathlib import Path

from harness.analysis.watched_rate import watched_rate
from harness.core.outcome import Outcome
from harness.core.units import counted
from harness.experiments.minimize.case import Case, kind_of
from harness.experiments.minimize.measure import Measured
from harness.experiments.minimize.script import NoStraightLine, script_of
from harness.experiments.minimize.search import Minimized
from harness.experiments.minimize.sequential import Bounds
from harness.store.minimized import SCRIPT


def write(folder: Path, case: Case, about: str, kind: str = Outcome.HANG) -> str:
    """Write the scenario, the contexts and, where the case has that form, the script; return why not, where not."""
    folder.mkdir(parents=True, exist_ok=True)
    reduced = Case({"name": case.scenario["name"], "about": about, **case.tree()}, case.contexts)
    reduced.write(folder)
    try:
        text = script_of(case, about, kind)
    except NoStraightLine as reason:
        (folder / SCRIPT).unlink(missing_ok=True)
        return str(reason)
    (folder / SCRIPT).write_text(text)
    (folder / SCRIPT).chmod(0o755)
    return ""


def rates(found: Minimized, why_no_script: str, measured: list[Measured], bounds: Bounds, looked_for: str) -> str:
    """Return ``RATE.md``; `looked_for` is the kind of finding and its signature."""
    kinds = [kind_of(actor) for actor in found.case.actors]
    acts = ", ".join(counted(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))
    lines = [f"# How often `{found.case.scenario['name']}` shows it", ""]
    lines += [f"{acts}. The {looked_for}.", ""]
    if measured:
        lines += [f"`{SCRIPT}`, each attempt on a fresh daemon, in an empty environment:", ""]
        lines += [
            "| daemon | version | seen | 95 % interval of the rate |",
            "|---|---|---|---|",
            *map(str, measured),
            "",
        ]
    if why_no_script:
        lines += [f"There is no `{SCRIPT}`: {why_no_script}. `repro run scenario.yaml` runs it.", ""]
    exact, before = watched_rate(found.tally.hangs, found.tally.trials), found.original
    lines += [
        f"`scenario.yaml` while it was searched for: {found.tally} attempts (95 %: {exact.interval}); what it was made "
        f"from: {before} attempts.",
        "",
        f"A change that lowered the rate to {bounds.ratio:g} times what it was, or less, stayed with a chance of at "
        f"most {bounds.kept_wrongly:g}; one that did not lower it was undone with at most "
        f"{bounds.dropped_wrongly:g}; each, on average over what the rate may be. "
        + ("No part of it can be left out." if found.whole else "The time was over before every part had been tried."),
        "",
        *[f"- {change}" for change in found.changes],
    ]
    return "\n".join(lines) + "\n"
