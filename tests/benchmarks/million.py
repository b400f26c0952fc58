"""A run of a million iterations, written by SQL alone: as large as a run that lasts for months, in a minute."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from harness.analysis.judge import judge
from harness.analysis.rates import rate
from harness.core.manifest import DaemonFacts, HostFacts, Programs, RunManifest
from harness.core.outcome import Ending, Outcome, Phase
from harness.core.records import FORMAT, Audit, Finding, GoroutineGroup, Iteration
from harness.store import aggregate
from harness.store.folder import RunFolder

ITERATIONS: Final = 1_000_000
_SECONDS_EACH: Final = 0.12
"""From one start to the next: the rate of eight lines of small builds on two cores."""

_FILL: Final = (
    """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count),
    drawn AS (SELECT i, i * :each AS began, abs(random() % 1000003) / 1000003.0 AS u, i % 11 = 0 AS late FROM n)
    INSERT INTO iterations (number, actor, args, outcome, started, solving, exporting, exported, exited, killed,
                            returncode, error, seen_by)
    SELECT i, 'ci', '{"N": "' || (i % 7) || '"}',
           CASE WHEN i = :count - 5 THEN 'hang' WHEN late THEN 'timed_out' WHEN i % 9973 = 0 THEN 'failed'
                ELSE 'ok' END,
           began, began + 0.05, began + 0.4,
           CASE WHEN late THEN NULL ELSE began + 0.6 END,
           began + 0.6 + 0.004 * (1 + u * u * u * 40) * (1 + 2.0 * i / :count),
           CASE WHEN late THEN began + 0.5 END, CASE WHEN late THEN -15 ELSE 0 END, '', 'client'
    FROM drawn
    """,
    """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count / 3)
    INSERT INTO actions (actor, kind, count, due, started, acted, ended, succeeded, detail, moments)
    SELECT CASE WHEN i % 400 THEN 'loop' ELSE 'squeeze' END, CASE WHEN i % 400 THEN 'prune' ELSE 'memory' END, i,
           i * :each * 3, i * :each * 3 + 0.001, i * :each * 3 + 0.002 + abs(random() % 1000) / 1e5,
           i * :each * 3 + CASE WHEN i % 400 THEN 0.2 ELSE 30 END, 1, '',
           json_array(json_array(i * 3, CASE i % 5 WHEN 0 THEN 'exporting' ELSE 'RUN sleep 3' END, (i % 40) / 10.0, 0))
    FROM n
    """,
    """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count * :each / 5)
    INSERT INTO samples (at, cpu, rss, goroutines, running, lag, unattended, own_cpu, own_rss)
    SELECT i * 5.0, abs(random() % 2000) / 1000.0, 60000000 + i * 900 + abs(random() % 9000000),
           74 + i / 50 + abs(random() % 40), 8, 0.002, 0.0, 0.03, 82000000
    FROM n
    """,
)


def write_million(results: Path, count: int = ITERATIONS) -> RunFolder:
    """Write a run of `count` iterations, a third as many actions, and a sample every five seconds; with one hang."""
    folder = RunFolder.create(results, "million")
    with folder.database() as database:
        connection = database.connection
        connection.execute("BEGIN")
        for statement in _FILL:
            connection.execute(statement, {"count": count, "each": _SECONDS_EACH})
        connection.execute("COMMIT")
        seconds = count * _SECONDS_EACH
        finding = Finding(
            *(count - 5, Outcome.HANG, seconds, "ci", {"N": "3"}, Phase.EXPORTED, 5.0, 7, ()),
            hunted=True,
        )
        database.add(finding)
        audits = [
            Audit(
                *(number * count // 100, 1, number * seconds / 100, 2.0, True, 80 + 2 * number, 60 + 2 * number),
                groups=(GoroutineGroup("google.golang.org/grpc.newClientStreamWithParams", "select", "x", 2 * number),),
                open_files=40,
                rss=60_000_000,
                running=0,
            )
            for number in range(1, 101)
        ]
        for audit in audits:
            database.add(audit)
    folder.write_manifest(_manifest())
    (folder.path / "scenario.yaml").write_text("name: million\n")
    summary = judge(
        [Iteration(1, "ci", {}, Outcome.OK, 0.0, 0.1, 0.2, 0.3, 0.31, None, 0)],
        [finding],
        audits,
        scenario="million",
        daemon={"name": "", "kind": "buildkitd", "version": "v0.23.2", "toolchain": "path:/opt/buildkit"},
        seed=7,
        ending=Ending.FINDINGS,
        detail="",
        seconds=seconds,
        unattended=0.0,
    )
    tails, counts = aggregate.tails(folder), aggregate.outcomes(folder)
    true = replace(
        summary,
        iterations=count,
        outcomes={str(outcome): number for outcome, number in counts.counts.items()},
        rate=rate(1, tails.n + 1),
        tail_seconds={"p50": tails.p50, "p99": tails.p99, "max": tails.longest},
        iterations_per_minute=60 * count / seconds,
    )
    folder.write_json("summary.json", asdict(true))
    return folder


def _manifest() -> RunManifest:
    return RunManifest(
        format=FORMAT,
        harness="0.1.0",
        argv=("repro", "run", "million.yaml"),
        pid=1,
        started="2026-01-01T00:00:00+00:00",
        seed=7,
        toolchain=Programs("path:/opt/buildkit"),
        daemon=DaemonFacts("buildkitd", "v0.23.2", "path:/opt/buildkit", "unix:///run/b", private=True),
        host=HostFacts(kernel="6.1", architecture="x86_64", system="Linux", cores=2, memory_bytes=2**33, cgroup=2),
    )
