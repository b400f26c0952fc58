"""Whether the disturbances took effect: a run whose prunes removed nothing shows nothing about prunes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from harness.core.records import Action, ActorTotals


def totals_of(actions: Iterable[Action], expected: Mapping[str, str] | None = None) -> dict[str, ActorTotals]:
    """Return what the acts of each actor came to, in the order in which they began to act.

    Args:
        actions: the acts.
        expected: the kinds of actors that were to act, by their names; those that did not have totals of nothing.
    """
    never = dict(expected or {})
    tallies: dict[str, _Tally] = {}
    for action in actions:
        never.pop(action.actor, None)
        if action.attempted:
            tallies.setdefault(action.actor, _Tally(action.kind)).add(action)
    nothing = {name: ActorTotals(kind, 0, 0, 0, None) for name, kind in never.items()}
    return {actor: tally.totals() for actor, tally in tallies.items()} | nothing


@dataclass
class _Tally:
    """Counts the acts of one actor without keeping them, for a night has millions."""

    kind: str
    acts: int = 0
    done: int = 0
    effective: int = 0
    effect: int | None = None
    untold: int = 0
    """Acts of which nobody said what they changed: all of a kind that cannot tell, or one cut off as the run ended."""
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, act: Action) -> None:
        self.acts += 1
        if not act.succeeded:
            self.reasons[act.detail] += 1
            return
        self.done += 1
        if act.effect is None:
            self.untold += 1
        else:
            self.effective += act.effect != 0
            self.effect = (self.effect or 0) + act.effect

    def totals(self) -> ActorTotals:
        reason = next((text for text, _ in self.reasons.most_common(1)), "")
        effective = self.untold if self.effect is None else self.effective
        return ActorTotals(
            kind=self.kind, acts=self.acts, done=self.done, effective=effective, effect=self.effect, reason=reason
        )


def without_effect(actors: Mapping[str, ActorTotals]) -> str:
    """Return which actors never once took effect, and why, as a sentence; nothing where all did."""
    return "; ".join(_why(name, totals) for name, totals in actors.items() if not totals.effective)


def _why(name: str, totals: ActorTotals) -> str:
    if not totals.acts:
        return f"{totals.kind} {name} never acted: what it waits for never came"
    if not totals.done:
        return f"{totals.kind} {name} could not be done, {totals.acts} times of {totals.acts}: {totals.reason}"
    failed = f", and {totals.acts - totals.done} more could not be done" if totals.done < totals.acts else ""
    return f"{totals.kind} {name} never took effect: {totals.done} acts changed nothing{failed}"
