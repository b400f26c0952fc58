"""When a run's actors acted, by where a build stood then, and what came of it: aggregated in SQL."""

import json
import re
from functools import lru_cache
from typing import Final

from harness.analysis.hazard import SLOTS_A_SECOND, ActSlot, together
from harness.core.outcome import Symptom
from harness.store.folder import RunFolder

MOST_ACTS: Final = 50_000
"""So many of a run, the latest; more take seconds to count."""
_MOST: Final = 20_000
"""Slots of a run; names of steps may be as many as its builds."""
_AN_ARG: Final = "…"
"""What stands in a step's name for the value of a build argument."""
_REMEMBERED: Final = 4096
"""Names of steps, with the arguments of their builds."""
_NO_HANGS: Final = ", ".join(f"'{each}'" for each in Symptom)
_HANGS: Final = f"""
    hangs AS (
        SELECT f.iteration AS iteration, coalesce(f.generation, 1) AS of, coalesce(i.started, 0) AS started,
            coalesce(i.exported, max(f.at - f.waited, coalesce(i.started, 0))) AS onset
        FROM findings AS f LEFT JOIN iterations AS i ON i.number = f.iteration
        WHERE f.hunted AND f.kind NOT IN ({_NO_HANGS})
    ), first AS (SELECT of, min(onset) AS onset FROM hangs GROUP BY of)"""  # noqa: S608 — our own words
_ACTS: Final = f"""
    acts AS (
        SELECT actor, kind, coalesce(generation, 1) AS of, acted AS at,
            json_extract(value, '$[0]') AS iteration, json_extract(value, '$[1]') AS point,
            json_extract(value, '$[2]') AS since, json_extract(value, '$[3]') AS followed
        FROM actions, json_each(actions.moments)
        WHERE acted IS NOT NULL AND actions.rowid > (SELECT max(rowid) FROM actions) - {MOST_ACTS}
        UNION ALL
        SELECT actor, 'kill', coalesce(generation, 1), killed, number, killed_at, killed_after, 1
        FROM iterations WHERE killed_at != ''
    )"""  # noqa: S608 — our own words


def hazards(folder: RunFolder) -> list[ActSlot]:
    """Return how often a hang followed each actor's acts, in the order in which builds come to where they stood.

    An act that followed a build, or was done to one, counts once, and a hang followed it where any build hung that was
    in flight. An act that goes by the clock counts with each build in flight, and a hang followed it where that build
    hung. What comes after a daemon's first hang has begun does not count. A step is the same whatever its build's
    arguments were: BuildKit names steps with their values.
    """
    query = f"""
        WITH {_HANGS}, {_ACTS} SELECT acts.actor, acts.kind, point, without_args(point, built.args) AS bare,
            CAST(max(since, 0) * {SLOTS_A_SECOND} AS INTEGER) AS slot, count(*),
            sum(EXISTS (SELECT 1 FROM hangs WHERE hangs.of = acts.of
                AND CASE WHEN followed THEN hangs.started <= at ELSE hangs.iteration = acts.iteration END))
        FROM acts LEFT JOIN first ON first.of = acts.of LEFT JOIN iterations AS built ON built.number = acts.iteration
        WHERE first.onset IS NULL OR at <= first.onset GROUP BY acts.actor, acts.kind, point, bare, slot
        ORDER BY min(acts.iteration), min(at) LIMIT {_MOST}"""  # noqa: S608 — our own words
    with folder.reading() as connection:
        connection.create_function("without_args", 2, lru_cache(_REMEMBERED)(_without_args), deterministic=True)
        rows = list(connection.execute(query))
    of = {point: bare for _, _, point, bare, *_ in rows if bare}
    of |= {point: bare for _, _, point, bare, *_ in rows if point == bare}  # it has an argument's value by chance
    return together([[ActSlot(actor, kind, of.get(point, point), *rest) for actor, kind, point, _, *rest in rows]])


def _without_args(name: object, args: object) -> str | None:
    """Return a step's name without the values of its build's arguments; None where the build has no record yet.

    A database that came from elsewhere may have anything in either.
    """
    if not isinstance(name, str) or not isinstance(args, str):
        return None
    place, bracket, command = name.partition("] ")
    values = _values_in(args)
    if not bracket or not values:
        return name
    anyone = "|".join(re.escape(each) for each in values)
    return place + bracket + re.sub(rf"(?<!\w)(?:{anyone})(?!\w)", _AN_ARG, command)


@lru_cache(_REMEMBERED)
def _values_in(args: str) -> list[str]:
    """Return the values of a build's arguments, the longest first; none of what is no mapping."""
    try:
        found = json.loads(args)
    except ValueError:
        return []
    values = found.values() if isinstance(found, dict) else ()
    return sorted({str(each) for each in values} - {""}, key=len, reverse=True)
