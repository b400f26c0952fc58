"""When actors acted, and what came of it, is in SQL what it is when each act is looked at."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from harness.analysis.hazard import SLOTS_A_SECOND, ActSlot, hazard_maps, together
from harness.analysis.lifetimes import onset_of
from harness.core.outcome import Outcome, Phase
from harness.core.records import Action, BuildMoment, Finding, Iteration
from harness.store.database import Record
from harness.store.folder import RunFolder
from harness.store.hazards import hazards

POINTS = ("started", "COPY big", "COPY big, merged", "exporting")


def build(number: int, started: float, *, hung: bool, killed_at: str, generation: int) -> Iteration:
    """Return one of ten seconds, that is killed after five, or hangs after eight."""
    outcome = Outcome.HANG if hung else Outcome.TIMED_OUT if killed_at else Outcome.OK
    exported, exited = (None, None) if killed_at and not hung else (started + 8, None if hung else started + 8.1)
    killed = started + 5 if killed_at else None
    of = Iteration(number, "ci", {}, outcome, started, None, None, exported, exited, killed, None)
    return Iteration(**{**vars(of), "generation": generation, "killed_at": killed_at, "killed_after": 1.5})


def records(seed: int) -> list[Record]:
    """Return those of thirty daemons with four builds each, some of which hang, and acts of two kinds."""
    chance = Random(seed)
    made: list[Record] = []
    for generation in range(1, 31):
        begun = 100.0 * generation
        builds = [
            build(
                4 * generation + line,
                begun + chance.uniform(0, 20),
                hung=chance.random() < 0.2,
                killed_at=chance.choice(["", "RUN sleep"]),
                generation=generation,
            )
            for line in range(4)
        ]
        made += builds
        for each in builds:
            if each.outcome is Outcome.HANG:
                at = (each.exported or 0) + 60
                made.append(
                    Finding(each.number, Outcome.HANG, at, "ci", {}, Phase.EXPORTED, 60, 1, (), True, generation)
                )
        for count in range(6):
            at = begun + chance.uniform(0, 40)
            there = [each for each in builds if each.started <= at]
            follows = chance.random() < 0.5
            moments = tuple(
                BuildMoment(each.number, chance.choice(POINTS), chance.uniform(0, 9), followed=follows)
                for each in (chance.sample(there, min(1, len(there))) if follows else there)
            )
            made.append(
                Action("loop", "prune", count, at, at, at, at + 1, True, "", generation=generation, moments=moments)
            )
    made.append(Action("loop", "prune", 9, 1.0, 1.0, None, 1.0, succeeded=False, detail="could not"))
    return made


def one_by_one(records: list[Record]) -> Counter[tuple[str, str, int, bool]]:
    """Return how many moments there are of each kind, and whether a hang followed; each is looked at."""
    builds = {each.number: each for each in records if isinstance(each, Iteration)}
    onsets = {each.iteration: onset_of(each, builds[each.iteration]) for each in records if isinstance(each, Finding)}
    seen: Counter[tuple[str, str, int, bool]] = Counter()

    def count(generation: int, actor: str, at: float, moment: BuildMoment) -> None:
        hung = {number: onset for number, onset in onsets.items() if builds[number].generation == generation}
        if at > min(hung.values(), default=at):
            return
        of_any = any(builds[number].started <= at for number in hung)
        followed = of_any if moment.followed else moment.iteration in hung
        seen[actor, moment.point, int(moment.since * SLOTS_A_SECOND), followed] += 1

    for each in records:
        if isinstance(each, Action) and each.acted is not None:
            for moment in each.moments:
                count(each.generation, each.actor, each.acted, moment)
        elif isinstance(each, Iteration) and each.killed_at and each.killed is not None:
            moment = BuildMoment(each.number, each.killed_at, each.killed_after, followed=True)
            count(each.generation, each.actor, each.killed, moment)
    return seen


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_act_counts_as_it_should(tmp_path: Path, seed: int) -> None:
    """Acts before a daemon's first hang count, each with whether a hang followed; those after it do not."""
    folder, made = RunFolder.create(tmp_path, "s"), records(seed)
    with folder.database() as database:
        for each in made:
            database.add(each)
    found: Counter[tuple[str, str, int, bool]] = Counter()
    for slot in hazards(folder):
        found[slot.actor, slot.point, slot.slot, True] += slot.hangs
        found[slot.actor, slot.point, slot.slot, False] += slot.acts - slot.hangs
    expected = one_by_one(made)
    assert +found == expected
    assert any(hung for *_, hung in expected)
    assert together([hazards(folder)] * 2) == [
        ActSlot(each.actor, each.kind, each.point, each.slot, 2 * each.acts, 2 * each.hangs) for each in hazards(folder)
    ]
    maps = hazard_maps(hazards(folder))
    assert {found.actor: found.acts for found in maps} == {
        actor: sum(n for (of, *_), n in expected.items() if of == actor) for actor in ("ci", "loop")
    }
    assert [found.hangs for found in maps] == sorted((found.hangs for found in maps), reverse=True)


def test_a_step_is_one_whatever_its_builds_arguments_are(tmp_path: Path) -> None:
    """BuildKit names steps with the values of arguments; what only looks like a value stays, and so does the place."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        for number in range(1, 13):
            args = {"_num": str(number), "N": f"v.{number}"}
            database.add(Iteration(number, "ci", args, Outcome.OK, number, None, None, None, None, None, None))
            points = (f'[a 1/2] RUN echo "v.{number}" > /n', f"[a 2/2] COPY f /{number}", "[b 1/1] RUN sleep 10")
            moments = tuple(BuildMoment(number, point, 0.0, followed=False) for point in points)
            database.add(Action("p", "prune", number, number, number, number, number, True, "", moments=moments))
    assert [(each.point, each.acts) for each in hazards(folder)] == [
        ('[a 1/2] RUN echo "…" > /n', 12),
        ("[a 2/2] COPY f /…", 12),
        ("[b 1/1] RUN sleep 10", 12),
    ]


@pytest.mark.parametrize("args", ["0", "[1]", "{", '{"N": null}', '{"N": {"a": []}}'])
def test_a_database_with_anything_for_arguments(tmp_path: Path, args: str) -> None:
    """Arguments that nobody wrote so take no map away."""
    folder = RunFolder.create(tmp_path, "s")
    with folder.database() as database:
        database.add(Iteration(1, "ci", {}, Outcome.OK, 1, None, None, None, None, None, None))
        database.connection.execute("UPDATE iterations SET args = ?", (args,))
        moments = (BuildMoment(1, "[a 1/1] RUN true", 0.0, followed=False),)
        database.add(Action("p", "prune", 1, 1, 1, 1, 1, True, "", moments=moments))
    assert [(each.point, each.acts) for each in hazards(folder)] == [("[a 1/1] RUN true", 1)]
