"""Orders of acts: two builds, held in one step so that what happens meanwhile needs no luck, and acts one by one.

What happens by chance in a mix of many builds, kills and other acts is tried as what it may be made of: a build is held
in a step, a second one comes to the same step, one of them is ended (or returns, or none does), then the other actor
acts, and the builds that are left go on. Or the second is a build of another line, which comes to its end, or fails,
while the first is held. Each act follows from what the one before has reached, not from a time, so a slow host keeps
the order.
"""

import copy
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from harness.core.outcome import Outcome
from harness.core.records import Action, Iteration
from harness.experiments.minimize.case import Case, Tree, kind_of, name_of
from harness.experiments.minimize.changes import Change

Ends = Literal["second killed", "first killed", "first returns", "second returns", "none"]

_ENDS: Final[tuple[Ends, ...]] = ("second killed", "first killed", "first returns", "none")
"""Of two builds of one line, that are held in the same step."""
_ENDS_OF_ANOTHER: Final[tuple[Ends, ...]] = ("second returns",)
"""Where the second is of another line, and not held."""
_ORDER: Final = (*_ENDS, *_ENDS_OF_ANOTHER)
_OF: Final[Mapping[tuple[bool, bool], Ends]] = {
    (True, True): "second killed",
    (False, True): "first killed",
    (False, False): "first returns",
    (True, False): "second returns",
}
"""By whether it began after the one that was found, and whether it was killed."""
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


def around(builds: Sequence[Iteration], acts: Sequence[Action], findings: Collection[int]) -> Iterator[Around]:
    """Yield every pair of an end beside the first build that was found, and an act after it that it may be due to.

    Args:
        builds: of one run.
        acts: of the same.
        findings: the iterations that hung, or failed, as is looked for.
    """
    found = min((each for each in builds if each.number in findings), key=_onset, default=None)
    if found is None:
        return
    onset = _onset(found)
    effective = [act for act in acts if act.acted is not None and act.effect != 0]
    for other in builds:
        end = other.killed if other.outcome is Outcome.TIMED_OUT else other.exited
        if other is found or end is None or not found.started < end < onset or other.started > onset:
            continue
        for act in effective:
            if end < (act.acted or 0.0) < onset:
                later, killed = other.started > found.started, other.outcome is Outcome.TIMED_OUT
                yield Around(_OF[later, killed], act.actor)


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
        (build, other, act, end, depth)
        for build in builds
        for other in builds
        for act in acting
        for end in (_ENDS if other is build else _ENDS_OF_ANOTHER)
        for depth in range(len(_held(case, build)))
    ]
    choices.sort(
        key=lambda each: (each[4], -votes[Around(each[3], name_of(each[2]))], -ends[each[3]], _ORDER.index(each[3]))
    )
    for build, other, act, end, depth in choices:
        yield _order(case, build, other, act, end, depth)


def _held(case: Case, build: Tree) -> list[int]:
    return case.contexts[build["dockerfile"]].read.holdable()


def _order(case: Case, build: Tree, other: Tree, act: Tree, end: Ends, depth: int) -> Change:
    """Return one order."""
    seconds = _HELD_SECONDS
    name = build["dockerfile"]
    position = _held(case, build)[depth]
    dockerfile = case.contexts[name].read.held(position, seconds)
    step = f"RUN sleep {seconds}"

    def reached(by: str) -> Tree:
        return {"step": step, "of": by, "after": f"{_GAP_SECONDS}s"}

    def one(called: str, of: Tree, **more: Any) -> Tree:
        options = {key: value for key, value in of.items() if key not in {kind_of(of), *_OF_A_MIX}}
        return {"build": called, **copy.deepcopy(options), **more}

    second_killed = {"kill": "end", "signal": "SIGKILL", "when": reached("second")}
    first_killed = {"kill": "end", "of": "first", "signal": "SIGKILL", "when": reached("second")}
    ended: dict[Ends, list[Tree]] = {"second killed": [second_killed], "first killed": [first_killed]}
    when: dict[Ends, Tree] = {
        "first returns": {"phase": "exited", "of": "first"},
        "second returns": {"phase": "exited", "of": "second", "after": f"{_GAP_SECONDS}s"},
        "none": reached("second"),
    }
    acting = {key: value for key, value in act.items() if key != "when"}
    follows = when.get(end, {"follows": "end", "after": f"{_GAP_SECONDS}s"})
    if lasting := act.get("when", {}).get("lasting"):
        follows = {**follows, "lasting": lasting}
    tree = case.tree()
    tree["actors"] = [
        one("first", build),
        one("second", other, when=reached("first")),
        *ended.get(end, ()),
        {**acting, "when": follows},
    ]
    tree["stop"] = {**tree["stop"], "iterations": 2, "time": "2m"}
    tree.get("daemon", {}).pop("renew", None)
    held = dockerfile.instructions[position].text.splitlines()[0]
    held_there = f"two builds held at {held!r}" if other is build else f"{name_of(build)} held at {held!r}"
    what = f"in order: {held_there}, {end if other is build else f'{name_of(other)} returns'}, then {name_of(act)}"
    return Change(what, case.with_dockerfile(name, dockerfile).with_scenario(tree))


def _onset(build: Iteration) -> float:
    """Return when a build had come to what it was found for: its export was done, or it failed."""
    return next(at for at in (build.exported, build.exited, build.started) if at is not None)
