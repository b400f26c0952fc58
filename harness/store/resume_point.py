"""What a run had come to by the time that it is gone on with: read from its records, in SQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.core.outcome import Outcome
from harness.core.records import Begun, Iteration
from harness.store.folder import RunFolder

DIED: Final = "in flight when the harness died"


@dataclass(frozen=True)
class ResumePoint:
    """The figures that a run goes on from."""

    seconds: float = 0.0
    """How long it has gone on, by the last thing that it recorded; the time between does not count."""
    unattended: float = 0.0
    begun: int = 0
    """The number of the last iteration that had begun."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    trials: int = 0
    generation: int = 0
    """How many daemons it has had."""
    series: int = 0
    """How many processes of daemons were audited."""
    hunted: int = 0
    """How many daemons had a finding that the scenario hunts."""
    captured: int = 0
    """Findings whose evidence is there."""


NOTHING_YET: Final = ResumePoint()


def resume_point_of(folder: RunFolder) -> ResumePoint:
    """Return what a run has come to so far.

    Raises:
        StoreError: its records cannot be read.
    """
    with folder.reading() as database:

        def figure(query: str) -> int:
            return int(database.execute(query).fetchone()[0] or 0)

        times = (
            ("iterations", "max(max(started), max(coalesce(exited, 0)))"),
            ("in_flight", "max(started)"),
            ("samples", "max(at)"),
            ("actions", "max(ended)"),
            ("findings", "max(at)"),
        )
        latest = [database.execute(f"SELECT {last} FROM {table}").fetchone()[0] for table, last in times]  # noqa: S608 — our own
        attended = database.execute("SELECT max(unattended) FROM samples").fetchone()[0]
        summary = folder.summary()
        return ResumePoint(
            seconds=max([*(time for time in latest if time is not None), summary.seconds if summary else 0.0]),
            unattended=attended or 0.0,
            begun=max(
                figure("SELECT max(number) FROM iterations"),
                figure("SELECT max(number) FROM in_flight"),
            ),
            outcomes=dict(database.execute("SELECT outcome, count(*) FROM iterations GROUP BY outcome")),
            trials=figure("SELECT count(*) FROM iterations WHERE outcome = 'ok' AND exported IS NOT NULL"),
            generation=max(
                figure("SELECT max(generation) FROM iterations"),
                figure("SELECT max(generation) FROM in_flight"),
                figure("SELECT max(generation) FROM findings"),
            ),
            series=figure("SELECT max(series) FROM audits"),
            hunted=figure("SELECT count(DISTINCT generation) FROM findings WHERE hunted"),
            captured=len([*folder.path.glob("findings/*/captured.json")]),
        )


def mark_cut_off(folder: RunFolder) -> None:
    """Record the builds that were in flight when the run died as what they are: cut off.

    Raises:
        StoreError: the disk is full, or the records cannot be read.
    """
    cut = resume_point_of(folder).seconds
    with folder.database() as database:
        for begun in folder.read(Begun):
            database.add(
                Iteration(
                    number=begun.number,
                    actor=begun.actor,
                    args=begun.args,
                    outcome=Outcome.CUT_OFF,
                    started=begun.started,
                    solving=None,
                    exporting=None,
                    exported=None,
                    exited=None,
                    killed=None,
                    returncode=None,
                    error=DIED,
                    generation=begun.generation,
                    cut=cut,
                )
            )
