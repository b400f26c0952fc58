"""Orders of acts: which are tried first, by what was recorded around hangs."""

from dataclasses import replace

from harness.core.outcome import Outcome
from harness.core.records import Action, Iteration
from harness.experiments.minimize.case import Case, Context, kind_of
from harness.experiments.minimize.orders import Around, around, orders
from tests.experiments.minimize.worlds import mix


def build(number: int, started: float, end: float, outcome: Outcome) -> Iteration:
    """Return a build that was killed, returned, or exported at `end` and hung."""

    def at(ending: Outcome) -> float | None:
        return end if outcome is ending else None

    exported, exited, killed = at(Outcome.HANG), at(Outcome.OK), at(Outcome.TIMED_OUT)
    return Iteration(number, "ci", {}, outcome, started, None, None, exported, exited, killed, None)


def prune(acted: float, effect: int | None = 1) -> Action:
    """Return a prune that took effect, or removed nothing."""
    return Action("loop", "prune", 1, acted, acted, acted, acted, True, "", effect=effect)


def test_what_was_around_a_hang() -> None:
    """A build that ended beside the one that hung counts, with an act after it that changed something."""
    hung, killed = build(2, 1.0, 5.0, Outcome.HANG), build(3, 2.0, 3.0, Outcome.TIMED_OUT)
    assert [*around([hung, killed], [prune(4.0)], {2})] == [Around("second killed", "loop")]
    assert [*around([hung, killed], [prune(4.0, 0), prune(2.5), prune(6.0)], {2})] == []
    earlier = build(1, 0.0, 3.0, Outcome.OK)
    assert [*around([hung, earlier], [prune(4.0)], {2})] == [Around("first returns", "loop")]
    assert [*around([killed], [prune(4.0)], ())] == []
    failed, later = replace(hung, outcome=Outcome.FAILED, exported=None, exited=5.0), build(3, 2.0, 3.0, Outcome.OK)
    assert [*around([failed, later], [prune(4.0)], {2})] == [Around("second returns", "loop")]


def test_orders_begin_with_what_was_seen() -> None:
    """What was seen around hangs comes first, each order has two builds, at most one kill, and one act of another."""
    told = [change.what for change in orders(mix(), [Around("first killed", "more")])]
    assert told[0].endswith("first killed, then more")
    assert len(set(told)) == len(told)
    for change in orders(mix(), []):
        kinds = [kind_of(actor) for actor in change.case.actors]
        assert kinds.count("build") == 2
        assert kinds.count("kill") <= 1
        assert kinds.count("prune") == 1
        assert change.case.scenario["stop"]["iterations"] == 2
        assert "RUN sleep 8 && " in change.case.contexts["ci"].dockerfile


def test_orders_of_two_lines() -> None:
    """A build of another line comes to its end while one is held; each keeps its own options and its own context."""
    case = mix()
    other = {"build": "flawed", "dockerfile": "flawed", "args": {"LAST": "broken"}, "when": {"interval": "1s"}}
    tree = {**case.tree(), "actors": [*case.actors, other]}
    both = Case(tree, {**case.contexts, "flawed": Context("FROM scratch\nCOPY busybox /b\n")})
    first = next(iter(orders(both, [Around("second returns", "more")])))
    assert first.what == "in order: ci held at 'RUN sleep 8 && echo \"$N\" > /n && true', flawed returns, then more"
    [held, flawed, act] = first.case.actors
    assert (held["dockerfile"], flawed["dockerfile"], flawed["args"]) == ("ci", "flawed", {"LAST": "broken"})
    assert act["when"] == {"phase": "exited", "of": "second", "after": "1s"}
    assert "sleep" not in first.case.contexts["flawed"].dockerfile
