"""Which goroutines of a daemon stayed, by the ids that its audits saw come and go: the strongest evidence of a leak.

A count that grows may be the same goroutines that stay, or others each time, and ever more of them: a busy daemon, or a
cache that is emptied now and then. Ids tell these apart, for Go gives none twice. What a leak takes never goes. Of what
came while it was watched, and is there at the end, some may go yet: how many is known from how long others lived, and
they are hardly more than what, at any audit before, was there and has gone since.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from harness.core.records import Audit


@dataclass(frozen=True)
class Stayers:
    """Of one process: what came after the first audit that could tell what lasts, and was there at the last one."""

    iterations: tuple[int, ...]
    """Of the audits, the first one included."""
    came: tuple[int, ...]
    """How many of those that each later audit saw first stayed to the end."""
    passing: int
    """The most that were there at once, and have gone since."""
    for_good: tuple[float, ...]
    """How many of them are expected to live as long as was watched, by how long all lived that came while it was."""
    makers: Counter[str]
    """How many of those that stayed each function made."""

    @property
    def count(self) -> int:
        """How many stayed."""
        return sum(self.came)

    @property
    def span(self) -> int:
        """Iterations in which they came."""
        return self.iterations[-1] - self.iterations[0]

    @property
    def later(self) -> "Stayers":
        """The later half."""
        half = len(self.came) // 2
        return replace(self, iterations=self.iterations[half:], came=self.came[half:])


def stayers(audits: Iterable[Audit]) -> Stayers | None:
    """Return what stayed in one process; None where fewer than two of its audits had ids."""
    told = [audit for audit in audits if audit.lasting is not None]
    if len(told) < 2 or not _has_ids(told):
        return None
    since: dict[int, int] = {}  # which audit saw it first
    maker: dict[int, str] = {}
    changes = [0] * len(told)  # of how many are passing
    ended = Counter[int]()  # by age, in audits
    for number, audit in enumerate(told):
        for each in since.keys() & audit.gone:
            born = since.pop(each)
            changes[born] += 1
            changes[number] -= 1
            ended[number - born] += born > 0
        for group in audit.came:
            since.update(dict.fromkeys(group.ids, number))
            maker.update(dict.fromkeys(group.ids, group.creator))
    stayed = Counter(since.values())
    return Stayers(
        iterations=tuple(audit.iteration for audit in told),
        came=tuple(stayed[number] for number in range(1, len(told))),
        passing=max(accumulate(changes)),
        for_good=_for_good(stayed, ended, len(told) - 1),
        makers=Counter(maker[each] for each, number in since.items() if number),
    )


def _for_good(stayed: Counter[int], ended: Counter[int], last: int) -> tuple[float, ...]:
    """Return how many of those that stayed will have lived as long as was watched, by Kaplan and Meier's estimate.

    Args:
        stayed: by the audit that saw them first.
        ended: of the others, by the age that they did not reach.
        last: the last audit; the first one, whose goroutines are of any age, is 0.
    """
    surviving, chances = 1.0, []
    at_risk = ended.total() + stayed.total() - stayed[0]
    for age in range(last):
        surviving *= 1 - ended[age] / at_risk if at_risk else 1.0
        chances.append(surviving)
        at_risk -= ended[age] + stayed[last - age]
    return tuple(
        stayed[number] * surviving / chances[last - number] if stayed[number] else 0.0 for number in range(1, last + 1)
    )


def _has_ids(told: Sequence[Audit]) -> bool:
    """Whether its audits kept ids: those of an earlier version did not."""
    return any(audit.came for audit in told) or not any(audit.lasting for audit in told)
