"""Whether what was to disturb a daemon did: a run whose prunes removed nothing says nothing of prunes."""

from collections import Counter
from collections.abc import Iterable, Mapping

from harness.core.records import Action, ActorTotals


def totals_of(actions: Iterable[Action], expected: Mapping[str, str] | None = None) -> dict[str, ActorTotals]:
    """Return what the acts of each actor came to, in the order in which they began to act.

    Args:
        actions: the acts.
        expected: the kinds of actors that were to act, by their names; those that did not have totals of nothing.
    """
    by_actor: dict[str, list[Action]] = {}
    never = dict(expected or {})
    for action in actions:
        never.pop(action.actor, None)
        if action.attempted:
            by_actor.setdefault(action.actor, []).append(action)
    nothing = {name: ActorTotals(kind, 0, 0, 0, None) for name, kind in never.items()}
    return {actor: _totals(acts) for actor, acts in by_actor.items()} | nothing


def _totals(acts: list[Action]) -> ActorTotals:
    done = [act for act in acts if act.succeeded]
    told = [act.effect for act in done if act.effect is not None]
    reasons = Counter(act.detail for act in acts if not act.succeeded).most_common(1)
    return ActorTotals(
        kind=acts[0].kind,
        acts=len(acts),
        done=len(done),
        effective=sum(act.effect != 0 for act in done),
        effect=sum(told) if told else None,
        reason=reasons[0][0] if reasons else "",
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
