"""What can be left out of a case, and said more simply; and what always stays."""

from harness.experiments.minimize.changes import parts, simpler, without
from tests.experiments.minimize.worlds import mix


def test_parts_are_found_at_every_level() -> None:
    """Actors, stages with what copies from them, instructions, options and files: the largest first."""
    told = [part.what for part in parts(mix())]
    assert told[:2] == ["prune loop", "prune more"]
    assert "stage 'FROM base AS a'" in told
    assert {"ARG N", "actors.ci.kill", "actors.ci.kill.after", "actors.ci.args.N", "file busybox"} <= {*told}
    assert not {"actors.ci.build", "actors.ci.dockerfile", "stop.iterations", "build ci"} & {*told}


def test_parts_go_together() -> None:
    """Many parts are left out at once, also where one is in another, and the case itself stays as it was."""
    case = mix()
    before = case.key
    chosen = [part for part in parts(case) if part.what in {"prune loop", "prune more", "ARG N", "actors.ci.kill"}]
    chosen += [part for part in parts(case) if part.what.startswith("actors.ci.kill.")]
    smaller = without(case, chosen)
    assert [next(iter(actor)) for actor in smaller.actors] == ["build"]
    assert "kill" not in smaller.actors[0]
    assert "ARG N" not in smaller.contexts["ci"].dockerfile
    assert (case.key, len(case.actors)) == (before, 3)


def test_random_times_are_fixed() -> None:
    """Each random time is tried as a fixed one, and chance as every n-th."""
    told = [change.what for change in simpler(mix())]
    assert {"ci: 2 lines, not 4", "10 iterations, not 40", "actors.ci.kill.after: always 1s"} <= {*told}
    assert "actors.ci.kill: every 3th" in told
    keys = [change.case.key for change in simpler(mix())]
    assert len(set(keys)) == len(keys)
