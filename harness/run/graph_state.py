"""Whether the solver's cache graph was consistent, whenever a run read it."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.buildkit.cache_db import CacheGraph, Pair, read_graph, read_pair
from harness.buildkit.cache_graph import around, drawn, faults
from harness.core.errors import CaptureError
from harness.core.records import Audit, GraphState

DATABASES: Final = ("cache.db", "metadata_v2.db", "history.db")
_TOLD: Final = 10
_DRAWN: Final = 5
_DEPTH: Final = 2


def fault_lines(graph: CacheGraph) -> tuple[str, ...]:
    """Return what of a graph contradicts itself, or is damaged, in sentences; the first few."""
    return (*graph.damage, *map(str, faults(Pair(graph))))[:_TOLD]


def account_of_faults(folder: Path, lines: Sequence[str]) -> str:
    """Return what contradicts itself, and the part of the graph around it, as text.

    Args:
        folder: with a copy of ``cache.db``, and of ``metadata_v2.db`` where there is one.
        lines: what was told of it.
    """
    pair = read_pair(folder / "cache.db")
    found = [fault for fault in faults(pair) if str(fault) in lines]
    parts = ["\n".join(lines)]
    for fault in found[:_DRAWN]:
        links = around(pair.graph, fault.key, _DEPTH)
        parts.append("\n".join([f"{fault}", "", *drawn(pair, links, fault.key, _DEPTH)]))
    return "\n\n".join(parts) + "\n"


def state_of(audits: Iterable[Audit], findings: Path) -> GraphState | None:
    """Return what audits, and the copies at findings, come to; None where the graph was never read.

    Args:
        audits: the run's.
        findings: the folder of its findings.
    """
    reads = [audit.graph_faults for audit in audits if audit.graph_keys is not None]
    for copy in sorted(findings.glob("*/cache.db"), key=lambda file: int(file.parent.name.partition("-")[0])):
        with suppress(CaptureError):
            reads.append(fault_lines(read_graph(copy)))
    lines = dict.fromkeys(fault for each in reads for fault in each)
    return GraphState(len(reads), sum(bool(each) for each in reads), tuple(lines)[:_TOLD]) if reads else None
