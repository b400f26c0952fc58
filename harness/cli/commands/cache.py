"""`repro cache`: the solver's cache graph in a file, a run's evidence or a running daemon: measured and checked."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from harness.attach.daemon import locate, open_found
from harness.buildkit.cache_db import Pair, read_graph, read_pair, read_records
from harness.buildkit.cache_graph import (
    PASSING,
    Difference,
    Inconsistency,
    Shape,
    around,
    difference,
    drawn,
    faults,
    is_consistent,
    matching,
    mermaid,
    shape,
    short,
)
from harness.cli.console import Console
from harness.cli.options import RESULTS, BadOption, Results
from harness.core.errors import CaptureError, UsageError
from harness.core.outcome import ExitCode
from harness.core.units import format_size
from harness.evidence.database import find_database
from harness.store.find import find_run

_TOLD = 10
_CHAIN_TOLD = 12


class NoCache(UsageError):
    """A place that has no cache database to read."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"no cache database at {what!r}: {why}; "
            "give a cache.db, a daemon's root, a run, `host`, or a daemon's socket"
        )


def cache(
    what: Annotated[
        list[str],
        typer.Argument(metavar="FILE|RUN|SOCKET...", help="A cache.db, a run or a capture, or a daemon's socket."),
    ],
    diff: Annotated[bool, typer.Option("--diff", help="Of two moments: what came and what went.")] = False,
    of: Annotated[
        str | None, typer.Option("--around", metavar="KEY", help="Draw what is around a key, a result or a record.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, max=20, help="How many steps around it.")] = 2,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Draw for mermaid.")] = False,
    results: Results = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> int:
    """Measure a BuildKit daemon's cache graph, and say whether it is consistent; exits with 0 either way."""
    if len(what) != (2 if diff else 1):
        raise BadOption(
            "--diff" if diff else "FILE|RUN|SOCKET", f"takes {'two moments' if diff else 'one'}, not {len(what)}"
        )
    try:
        pairs = [_read(each, results) for each in what]
    except CaptureError as error:
        raise NoCache(" ".join(what), str(error)) from error
    console = Console(highlight=False)
    if diff:
        found = difference(pairs[0].graph, pairs[1].graph)
        _print_json(_difference_object(found)) if as_json else _tell_difference(console, found, pairs)
    elif of is not None:
        _draw(console, pairs[0], of, depth, as_mermaid=as_mermaid)
    elif as_json:
        _print_json(_object(pairs[0]))
    else:
        _tell(console, pairs[0])
    return ExitCode.CLEAN


def _read(what: str, results: Path) -> Pair:
    path = Path(what)
    if what == "host" or "://" in what or path.is_socket():
        return anyio.run(_of_daemon, what)
    if path.is_file():
        return read_pair(path)
    if path.is_dir() and not (path / "run.json").is_file():
        return read_pair(_in_folder(path))
    run = find_run(what, results).path
    found = sorted((run / "findings").glob("*/cache.db"), key=lambda file: int(file.parent.name))
    if not found:
        raise NoCache(what, "none of its findings has a cache.db")
    return read_pair(found[0])


def _in_folder(folder: Path) -> Path:
    places = (folder / "cache.db", folder / "buildkit" / "cache.db")
    return next((place for place in places if place.is_file()), places[0])


async def _of_daemon(spec: str) -> Pair:
    place = await locate(spec)
    async with open_found(place) as daemon:
        facts = daemon.facts
    graph = read_graph(find_database(facts, "cache.db"))
    return Pair(graph, read_records(find_database(facts, "metadata_v2.db")))


def _object(pair: Pair) -> dict[str, Any]:
    """Return a graph's measures and faults for machines."""
    graph, found = pair.graph, faults(pair)
    sizes = {name: getattr(graph, name) for name in ("size", "page_size", "pages", "free_pages", "transaction")}
    return {
        "database": sizes,
        "shape": asdict(shape(graph)),
        "consistent": is_consistent(found) and not graph.damage,
        "faults": [asdict(fault) for fault in found],
        "damage": graph.damage,
        "records": None if pair.records is None else len(pair.records),
    }


def _difference_object(found: Difference) -> dict[str, Any]:
    parts = {name: getattr(found, name) for name in ("keys", "results", "links")}
    return {
        name: {
            verb: [asdict(each) if name == "links" else each for each in items]
            for verb, items in zip(("came", "went"), part, strict=True)
        }
        for name, part in parts.items()
    }


def _print_json(found: dict[str, Any]) -> None:
    print(json.dumps(found, indent=1))  # noqa: T201 — for machines


def _say(console: Console, line: str, style: str = "") -> None:
    console.print(line, style=style, markup=False, soft_wrap=True)


def _tell(console: Console, pair: Pair) -> None:
    graph, found, measured = pair.graph, faults(pair), shape(pair.graph)
    _say(console, headline(pair, found), "bold")
    for name, value in _rows(pair, measured):
        _say(console, f"{name:<14} {value}")
    for cycle in measured.cycles[:_TOLD]:
        _say(console, f"{'cycle':<14} {' -> '.join(map(short, cycle))}", "red")
    for damage in graph.damage[:_TOLD]:
        _say(console, f"{'damage':<14} {damage}", "red")
    for fault in [each for each in found if each.kind not in PASSING][:_TOLD]:
        _say(console, f"{'fault':<14} {fault}", "red")
    for fault in [each for each in found if each.kind in PASSING][:_TOLD]:
        _say(console, f"{'passing':<14} {fault}")


def headline(pair: Pair, found: Sequence[Inconsistency]) -> str:
    """Return whether a graph is consistent, in a sentence."""
    if pair.graph.damage:
        return f"damaged: {pair.graph.damage[0]}; what could be read follows"
    counts = Counter(fault.kind for fault in found)
    counted_faults = "; ".join(f"{count} of: {kind}" for kind, count in counts.items() if kind not in PASSING)
    passing = "; ".join(
        f"{count} of: {kind}, as is normal for a while" for kind, count in counts.items() if kind in PASSING
    )
    state = f"not consistent: {counted_faults}" if counted_faults else "consistent"
    return f"{state}{f' ({passing})' if passing else ''}"


def _rows(pair: Pair, measured: Shape) -> list[tuple[str, str]]:
    graph = pair.graph
    chain = [short(key) for key in measured.longest]
    shown = chain if len(chain) <= _CHAIN_TOLD else [*chain[: _CHAIN_TOLD - 1], "…", chain[-1]]
    paths = f"{measured.paths:,}" if measured.paths is not None else f"about 10^{measured.paths_log10:.0f}"
    return [
        (
            "database",
            f"{format_size(graph.size)}, {graph.pages:,} pages of {graph.page_size:,} bytes, "
            f"{graph.free_pages:,} free; transaction {graph.transaction:,}",
        ),
        ("keys", f"{measured.keys:,}: {measured.roots:,} roots, {measured.leaves:,} leaves"),
        ("results", f"{measured.results:,}"),
        ("links", f"{measured.edges:,}"),
        ("longest chain", f"{len(chain)} keys: {' -> '.join(shown)}"),
        (
            "fan-out",
            f"at most {measured.fan_out:,}, of {short(measured.widest)}  {pair.name_of(measured.widest)}".rstrip(),
        ),
        ("paths", f"{paths} from a root to a leaf"),
        (
            "records",
            "no metadata_v2.db beside it" if pair.records is None else f"{len(pair.records):,} in metadata_v2.db",
        ),
    ]


def _tell_difference(console: Console, found: Difference, pairs: Sequence[Pair]) -> None:
    before, after = pairs
    counts = [f"{name} +{len(part[0])} -{len(part[1])}" for name, part in vars(found).items()]
    _say(console, ", ".join(counts), "bold")
    for mark, keys, pair in (("+", found.keys[0], after), ("-", found.keys[1], before)):
        for key in keys:
            _say(console, f"{mark} key    {key}  {pair.name_of(key)}".rstrip())
    for mark, held, pair in (("+", found.results[0], after), ("-", found.results[1], before)):
        for key, result in held:
            record = (pair.records or {}).get(result.rpartition("::")[2])
            _say(console, f"{mark} result {result} of {short(key)}  {record.description if record else ''}".rstrip())
    for mark, links in (("+", found.links[0]), ("-", found.links[1])):
        for link in links:
            _say(console, f"{mark} link   {short(link.source)} -> {short(link.target)}  input {link.input}")


def _draw(console: Console, pair: Pair, what: str, depth: int, *, as_mermaid: bool) -> None:
    found = matching(pair, what)
    if len(found) != 1:
        why = f"it begins {len(found)} of them: {', '.join(map(short, found[:5]))}" if found else "none begins so"
        raise BadOption("--around", f"{what!r} names no one key, result or record: {why}")
    links = around(pair.graph, found[0], depth)
    if as_mermaid:
        print(mermaid(pair, links, found[0]))  # noqa: T201 — for another program
        return
    for line in drawn(pair, links, found[0], depth):
        _say(console, line)
