"""The audits of one daemon so far, and what grows by them: asked ever more rarely, the longer the daemon lives."""

from dataclasses import replace
from statistics import median

from harness.analysis.growths import growths_of
from harness.analysis.leak import AUDITS_NEEDED, leak_of
from harness.core.outcome import Outcome
from harness.core.records import Audit, Iteration
from harness.report.words import growing_line, leak_line


class GrowthWatch:
    """What audits of one daemon have counted."""

    def __init__(self) -> None:
        self._audits: list[Audit] = []
        self._due = AUDITS_NEEDED
        self._build_seconds: list[float] = []
        """Of the builds that succeeded since the last audit."""

    def built(self, iteration: Iteration) -> None:
        """Take the time of a build that is over, if it succeeded."""
        if iteration.outcome is Outcome.OK and iteration.exited is not None:
            self._build_seconds.append(iteration.exited - iteration.started)

    def audited(self, audit: Audit) -> Audit:
        """Take an audit; return it with the median time of the builds since the one before."""
        seconds, self._build_seconds = self._build_seconds, []
        self._audits.append(replace(audit, build_seconds=median(seconds) if seconds else None))
        return self._audits[-1]

    def comes_due(self) -> bool:
        """Whether it is time to ask what grows; the next time is after twice as many audits.

        The more often one looks, the sooner chance alone shows something: the first time is at so many audits as a
        verdict takes.
        """
        is_due = len(self._audits) == self._due
        self._due *= 1 + is_due
        return is_due

    def growing(self) -> list[tuple[str, str]]:
        """Return what grows without bound, by its name, with what there is to say of it."""
        leak = leak_of(self._audits)
        lines = [("goroutines", leak_line(leak))] if leak and leak.verdict == "yes" else []
        lines += [(each.what, growing_line(each)) for each in growths_of(self._audits) if each.verdict == "yes"]
        return [(what, line.removeprefix("yes: ")) for what, line in lines]
