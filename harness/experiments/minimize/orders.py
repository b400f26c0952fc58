"""Orders of acts: two builds, held in one step so that what happens meanwhile needs no luck, and acts one by one.

What happens by chance in a mix of many builds, kills and other acts is tried as what it may be made of: a build is held
in a step, a second one comes to the same step, one of them is ended (or returns, or none does), then the other actor
acts, and the builds that are left go on. Each act follows from what the one before has reached, not from a time, so a
slow host keeps the order.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from harness.core.outcome import Outcome
from harness.core.records import Action, Iteration
from harness.experiments.minimize.case import Case, Tree, kind_of, name_of
from harness.experiments.minimize.changes import Change

Ends = Literal["second killed", "first killed", "first returns", "none"]

_ENDS: Final[tuple[Ends, ...]] = ("second killed", "first killed", "first returns", "none")
_GAP_SECONDS: Final = 1
"""Between two acts: more than a build of small steps, or a prune, takes on a busy host."""
_HELD_SECONDS: Final = 8 * _GAP_SECONDS
"""For four acts, and as long again."""
_OF_A_MIX: Final = ("parallel", "kill", "when", "tag")
"""Options of builds that an order has its own of."""


@dataclass(frozen=True)
class Around:
    """What was on around the hang of one recorded run."""

    ends: Ends
    act: str
    """The actor whose act had an effect between that end and the hang."""


def around(builds: Sequence[Iteration], acts: Sequence[Action]) -> Iterator[Around]:
    """Yield every pair of an end beside the first build that hung, and an act after it that it may have to do with."""
    hung = min((each for each in builds if each.outcome is Outcome.HANG), key=_onset, default=None)
    if hung is None:
        return
    onset = _onset(hung)
    effective = [act for act in acts if act.acted is not None and act.effect != 0]
    for other in builds:
        end = other.killed if other.outcome is Outcome.TIMED_OUT else other.exited
        if other is hung or end is None or not hung.started < end < onset or other.started > onset:
            continue
        for act in effective:
            if end < (act.acted or 0.0) < onset:
                later, killed = other.started > hung.started, other.outcome is Outcome.TIMED_OUT
                if later and not killed:
                    continue  # the later one that returns first: no order here has that
                kind: Ends = "second killed" if later else "first killed" if killed else "first returns"
                yield Around(kind, act.actor)


def orders(case: Case, seen: Sequence[Around]) -> Iterator[Change]:
    """Yield a case's builds and acts in every order, those first that its recorded hangs speak for.

    Args:
        case: with random times.
        seen: what was on around its hangs; nothing where none is recorded.
    """
    votes = Counter(seen)
    ends = Counter(each.ends for each in seen)
    acting = [actor for actor in case.actors if kind_of(actor) not in {"build", "kill"}]
    builds = [actor for actor in case.actors if kind_of(actor) == "build"]
    choices = [
        (build, act, end, depth)
        for build in builds
        for act in acting
        for end in _ENDS
        for depth in range(len(_held(case, build)))
    ]
    choices.sort(
        key=lambda each: (each[3], -votes[Around(each[2], name_of(each[1]))], -ends[each[2]], _ENDS.index(each[2]))
    )
    for build, act, end, depth in choices:
        yield _order(case, build, act, end, depth)


def _held(case: Case, build: Tree) -> list[int]:
    return case.contexts[build["dockerfile"]].read.holdable()


def _order(case: Case, build: Tree, act: Tree, end: Ends, depth: int) -> Change:
    """Return one order."""
    seconds = _HELD_SECONDS
    name = build["dockerfile"]
    position = _held(case, build)[depth]
    dockerfile = case.contexts[name].read.held(position, seconds)
    step = f"RUN sleep {seconds}"

    def reached(by: str) -> Tree:
        return {"step": step, "of": by, "after": f"{_GAP_SECONDS}s"}

    def one(called: str, **more: Any) -> Tree:
        options = {key: value for key, value in build.items() if key not in {kind_of(build), *_OF_A_MIX}}
        return {"build": called, **copy.deepcopy(options), **more}

    second_killed = {"kill": "end", "signal": "SIGKILL", "when": reached("second")}
    first_killed = {"kill": "end", "of": "first", "signal": "SIGKILL", "when": reached("second")}
    ended: dict[Ends, list[Tree]] = {"second killed": [second_killed], "first killed": [first_killed]}
    when: dict[Ends, Tree] = {
        "first returns": {"phase": "exited", "of": "first"},
        "none": reached("second"),
    }
    acting = {key: value for key, value in act.items() if key != "when"}
    follows = when.get(end, {"follows": "end", "after": f"{_GAP_SECONDS}s"})
    if lasting := act.get("when", {}).get("lasting"):
        follows = {**follows, "lasting": lasting}
    tree = case.tree()
    tree["actors"] = [
        one("first"),
        one("second", when=reached("first")),
        *ended.get(end, ()),
        {**acting, "when": follows},
    ]
    tree["stop"] = {**tree["stop"], "iterations": 2, "time": "2m"}
    tree.get("daemon", {}).pop("renew", None)
    held = dockerfile.instructions[position].text.splitlines()[0]
    what = f"in order: two builds held at {held!r}, {end}, then {name_of(act)}"
    return Change(what, case.with_dockerfile(name, dockerfile).with_scenario(tree))


def _onset(build: Iteration) -> float:
    return build.exported if build.exported is not None else build.started
