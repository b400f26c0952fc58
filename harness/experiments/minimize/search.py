"""From a case that hangs to the smallest one that hangs as often.

1. The case is attempted until it has hung a few times: so its hang, and how often that comes, are known.
2. Its builds and acts are tried in every order, one by one and without luck (`orders`). The first that hangs every time
   takes the case's place, and its attempts are what all that follows is held against.
3. Parts are left out: all at once, then half of them, and so on (ddmin), then one by one what can be said more simply.
   A change stays only if the sequential test says that its rate is not lower (`sequential`). Once something has
   changed, all is gone through again, until nothing can be changed any more, or the time is over.

The reference never changes while parts are left out: small losses do not add up unseen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final

from harness.core.errors import UsageError
from harness.core.outcome import Outcome
from harness.core.units import format_duration, parse_duration
from harness.experiments.minimize.attempts import Attempts
from harness.experiments.minimize.case import Case
from harness.experiments.minimize.changes import Change, parts, simpler, without
from harness.experiments.minimize.orders import Around, orders
from harness.experiments.minimize.sequential import (
    Bounds,
    Decision,
    Tally,
    comes_every_time,
    decide,
    reference_is_next,
)

_HANGS: Final = 3
"""Of the case, before it is changed."""
_LONGER: Final = 2
"""Times the slowest hang: so long may an attempt take."""
_PATIENCE: Final = 20
"""So many attempts without any hang are enough."""


class NeverHangs(UsageError):
    """A case that does not hang, so that nothing can be made of it."""

    def __init__(self, name: str, wanted: str, tally: Tally, seconds: float, last: str) -> None:
        super().__init__(
            f"{name} showed no {wanted} in {tally.trials} attempts ({format_duration(round(seconds))} of daemon time; "
            f"the last one: {last}): there is nothing to minimize; find a daemon or a scenario that does first "
            "(`repro run`)"
        )


@dataclass(frozen=True)
class SearchLimits:
    """What a search may take."""

    seconds: float
    """Of daemons, in all."""
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class Minimized:
    """What a search came to."""

    case: Case
    tally: Tally
    """Of that case."""
    original: Tally
    in_order: str
    """The order that makes it come every time; empty where none was found."""
    whole: bool
    """Whether nothing more can be left out, as far as the test can tell; else the time was over."""
    changes: tuple[str, ...]


@dataclass
class MinimizeSearch:
    """One search on its way."""

    attempts: Attempts
    limits: SearchLimits
    valid: Callable[[Case], bool] = lambda case: True  # noqa: ARG005 — every case is
    """Whether a case is a scenario at all."""
    recorded: Callable[[Attempts, Case], Sequence[Around]] = lambda attempts, case: ()  # noqa: ARG005 — nothing is
    """What was on around the hangs of a case."""
    report: Callable[[str], None] = lambda line: None  # noqa: ARG005 — nobody hears
    changes: list[str] = field(default_factory=list)
    _dropped: set[str] = field(default_factory=set)
    """The keys of cases that are not tried again."""
    _reference: Tally = field(default_factory=Tally)
    _referred: Case | None = None

    async def run(self, case: Case) -> Minimized:
        """Search.

        Raises:
            NeverHangs: the case does not.
            HostFails: the host breaks.
            Interrupted: by the user; what was seen is saved.
        """
        original = await self._calibrate(case)
        in_order, found = "", self._bounded(case)
        change = await self._in_order(case)
        if change:
            in_order, found = change.what, change.case
            self.changes.append(change.what)
            self._refer_to(found)
        else:
            self._referred, self._reference = found, original  # it hung within that time each time
        whole = False
        while not whole and not self._late:
            smaller = await self._simplify(await self._leave_out(found))
            whole, found = smaller is found and not self._late, smaller
        return Minimized(
            case=found,
            tally=self.attempts.of(found),
            original=original,
            in_order=in_order,
            whole=whole,
            changes=tuple(self.changes),
        )

    @property
    def _late(self) -> bool:
        return self.attempts.seconds >= self.limits.seconds

    async def _calibrate(self, case: Case) -> Tally:
        """Attempt the case until it has hung a few times."""
        while (tally := self.attempts.of(case)).hangs < _HANGS:
            late = self.attempts.seconds >= self.limits.seconds / 3
            if not tally.hangs and (tally.trials >= _PATIENCE or (late and tally.trials)):
                last = self.attempts.done[-1].look.because
                wanted = " or ".join(case.scenario["stop"].get("on", [Outcome.HANG]))
                wanted += f" known as {self.attempts.signature}" if self.attempts.signature else ""
                raise NeverHangs(case.scenario["name"], wanted, tally, self.attempts.seconds, last)
            if late:
                break
            await self.attempts.attempt(case, "as it is")
        self.report(f"{self.attempts.kind}: {tally} attempts, {self.attempts.signature or 'no signature'}")
        return tally

    async def _in_order(self, case: Case) -> Change | None:
        """Return the first order of acts that hangs every time; None where none does."""
        for change in orders(case, self.recorded(self.attempts, case)):
            if not self.valid(change.case):
                continue
            decision: Decision | None = None
            while decision is None and self.attempts.seconds < self.limits.seconds * 2 / 3:
                await self.attempts.attempt(change.case, change.what)
                tally = self.attempts.of(change.case)
                decision = "drop" if not tally.hangs else comes_every_time(tally)
            tally = self.attempts.of(change.case)
            if decision == "keep" or (decision is None and tally.hangs == tally.trials >= _HANGS):
                self.report(f"kept: {change.what} ({tally})")
                return change
            if decision is None:
                return None  # the time is over
            self.report(f"dropped: {change.what} ({tally})")
        return None

    def _bounded(self, case: Case) -> Case:
        """Return a case whose attempts take little longer than its hangs took to come: silence is not to cost hours."""
        longest = max(attempt.look.seconds for attempt in self.attempts.hung_with(case))
        seconds = ceil(_LONGER * longest)
        stop = case.scenario["stop"]
        if "time" in stop and parse_duration(str(stop["time"])) <= seconds:
            return case
        return case.with_scenario({**case.tree(), "stop": {**stop, "time": f"{seconds}s"}})

    def _refer_to(self, case: Case) -> None:
        self._referred, self._reference = case, self.attempts.of(case)

    async def _leave_out(self, case: Case) -> Case:
        """Leave out parts of a case, many at once and then fewer, until no single one can be missed."""
        size = ceil(len(parts(case)) / 2)
        while size >= 1 and not self._late:
            position = 0
            while position < len(parts(case)) and not self._late:
                chosen = parts(case)[position : position + size]
                named = ", ".join(part.what for part in chosen)
                change = Change(f"without {named}", without(case, chosen))
                if await self._stays(change):
                    case = change.case
                else:
                    position += size
            size = min(size // 2 if size < 3 else ceil(size / 2), len(parts(case)))
        return case

    async def _simplify(self, case: Case) -> Case:
        """Say things more simply, one after the other, for as long as that is possible."""
        changed = True
        while changed and not self._late:
            changed = False
            for change in self._untried(case):
                if await self._stays(change):
                    case, changed = change.case, True
                    break
        return case

    def _untried(self, case: Case) -> Iterator[Change]:
        return (change for change in simpler(case) if change.case.key not in self._dropped)

    async def _stays(self, change: Change) -> bool:
        """Whether a change's rate is not lower than the reference's; one that was dropped stays dropped."""
        case = change.case
        if case.key in self._dropped or not self.valid(case):
            return False
        decision: Decision | None = None
        while decision is None and not self._late:
            tally = self.attempts.of(case)
            if self._referred and reference_is_next(self._reference, tally):
                seen = await self.attempts.attempt(self._referred, "the reference")
                self._reference = self._reference.with_one(hung=seen.hung)
            else:
                try:
                    seen = await self.attempts.attempt(case, change.what)
                except UsageError as refusal:
                    self.report(f"dropped: {change.what} ({refusal})")
                    self._dropped.add(case.key)
                    return False
                if not seen.hung and not seen.look.builds and not self.attempts.of(case).hangs:
                    decision = "drop"  # nothing is built, let alone hangs
            tally = self.attempts.of(case)
            decision = decision or decide(self._reference, tally, self.limits.bounds)
        if decision is None:
            return False
        self.report(f"{'kept' if decision == 'keep' else 'dropped'}: {change.what} ({tally})")
        if decision == "keep":
            self.changes.append(change.what)
            return True
        self._dropped.add(case.key)
        return False
