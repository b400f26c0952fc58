"""From goroutine dumps to one sentence: what keeps the daemon from going on, where, known as what, fixed in what.

For use without the rest: ``diagnose(read_dumps(paths), version="BuildKit v0.23.2").sentence``.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from harness.buildkit.goroutines.difference import compare
from harness.buildkit.goroutines.files import rereadable, texts_of
from harness.buildkit.goroutines.lines import lines_of
from harness.buildkit.goroutines.model import Bucket, Goroutine
from harness.buildkit.goroutines.parse import Note, by_source, goroutines, read
from harness.buildkit.goroutines.processes import by_process
from harness.buildkit.goroutines.reading import NOTHING_KNOWN, Dump, Kind, ProcessFacts, Reading, cut_at
from harness.buildkit.goroutines.rewrapped import Way, reading_of
from harness.buildkit.goroutines.signatures import Signature, among, signatures, users_files
from harness.buildkit.goroutines.waits import is_held, outside, place, works_on_data
from harness.core.errors import StoreError
from harness.core.files import read_json
from harness.core.records import Diagnosis

_PRODUCTS: Final = {"buildkitd": "BuildKit", "dockerd": "Engine"}
_STUCK: Final = {Kind.LIVELOCK, Kind.DEADLOCK, Kind.LOST_WAKE_UP, Kind.CLIENT_SIDE, Kind.CRASHED}
_GRAVITY: Final = (
    *(Kind.CRASHED, Kind.LIVELOCK, Kind.DEADLOCK, Kind.LOST_WAKE_UP, Kind.FROZEN, Kind.CLIENT_SIDE, Kind.WAITS),
    *(Kind.SLOW, Kind.UNKNOWN, Kind.LEAK, Kind.IDLE, Kind.CLIENT),
)
"""Of several processes, the first of these is what keeps builds from going on."""
_OF_ALL: Final = {Kind.IDLE, Kind.SLOW, Kind.LOST_WAKE_UP}
"""What only whole dumps show: that there is no build, that one has come or gone, or that nothing was begun for it."""
_OF_MOST: Final = _OF_ALL | {Kind.DEADLOCK}
"""These, and that a goroutine waits for none of the others at no place that is known."""
_STARVED_CORES: Final = 0.5
_HASHED: Final = 12
_DIES: Final = frozenset({"running", "idle", "syscall"})
"""What the goroutine that died is in, or the thread of C that did."""


@dataclass(frozen=True)
class Posted:
    """What somebody posted in one file."""

    dumps: tuple[Dump, ...]
    """In the order in which they stand; without those whose goroutines mostly have no frames, or too few calls."""
    crash: str = ""
    """What the process said as it died; empty where it did not."""
    hollow: bool = False
    """Whether a dump was left out, for want of frames or calls."""


def read_dump(file: Path) -> Dump:
    """Return the goroutines in a file; none where it holds no dump with stacks.

    Raises:
        OSError: it cannot be read.
    """
    with texts_of(file) as texts:
        return [each for text in texts for each in goroutines(lines_of(text))]


def read_dumps(paths: Iterable[Path]) -> list[Dump]:
    """Return the dumps in files, in the order of the files, and in that of a file that has several.

    Raises:
        OSError: a file cannot be read.
    """
    return [dump for path in paths for dump in read_file(path).dumps]


def read_file(path: Path) -> Posted:
    """Return what is in a file: its dumps, and what its process said as it died.

    Lines of several processes that a log has mixed are told apart by the names in their prefixes.

    Raises:
        OSError: it cannot be read.
    """
    with rereadable(path) as file:
        way, is_readable = reading_of(file)
        parts = _parts(file, way)
        sources = list(dict.fromkeys(each.source for part in parts for each in part.goroutines))
        if 1 < len(sources) <= _SOURCES_MOST:
            parts = [part for lines in _lines_apart(file, way) for part in _parts_in([lines])]
    crash = next((part for number, part in enumerate(parts) if _has_died(part, parts, number)), None)
    whole = [crash] if crash else parts
    found = [part.goroutines for part in whole if part.goroutines]
    read_well = tuple(
        dump for dump in found if is_readable and 2 * sum(bool(each.frames) for each in dump) >= len(dump)
    )
    return Posted(read_well, crash.crash if crash else "", len(read_well) < len(found))


_DUMPS_MOST: Final = 200
"""Dumps of one file that are kept, the last: what is older says nothing more."""
_SOURCES_MOST: Final = 64
"""Processes that a log has mixed; of more, what looks like their names is none."""


@dataclass
class _Part:
    """A dump in a file, or what a process said as it died and the goroutines that it printed then."""

    crash: str = ""
    goroutines: list[Goroutine] = field(default_factory=list)

    @property
    def is_daemons(self) -> bool:
        return any(frame.is_daemons for each in self.goroutines for frame in each.frames)


def _parts(path: Path, way: Way) -> list[_Part]:
    """Return the dumps in a file, whose lines are read in a way."""
    with texts_of(path) as texts:
        return _parts_in(map(way, texts))


def _lines_apart(path: Path, way: Way) -> Iterable[Sequence[bytes]]:
    """Return the lines of a log of several processes, each one's apart, in the order in which they come."""
    with texts_of(path) as texts:
        return by_source(chain.from_iterable(map(way, texts)))


def _parts_in(texts: Iterable[Iterable[bytes]]) -> list[_Part]:
    """Return the dumps in texts, apart by what stands between them and by goroutines that are there again."""
    parts = [_Part()]
    ids: set[int] = set()
    for each in chain.from_iterable(chain(read(lines), [Note(begins=True)]) for lines in texts):
        if isinstance(each, Note):
            if not (each.crash and parts[-1].crash and not parts[-1].goroutines):  # which goes on to say more
                parts.append(_Part(each.crash))
                ids = set()
        else:
            if each.id in ids:
                parts.append(_Part())
                ids = set()
            ids.add(each.id)
            parts[-1].goroutines.append(each)
        del parts[:-_DUMPS_MOST]
    return parts


def _has_died(part: _Part, parts: Sequence[_Part], number: int) -> bool:
    """Whether a part is of a process that died, which is the one that the file is about.

    Go prints the goroutine that died first, as running. A log of builds has what compilers and tests in it said.
    """
    if not part.crash:
        return False
    if not part.goroutines:
        return not any(other.goroutines for other in (parts[number:] if "illed" in part.crash else parts))
    died = part.goroutines[0].state in _DIES or "asleep" in part.crash
    return died and (part.is_daemons or not any(other.is_daemons for other in parts))


def diagnose_counted(found: Sequence[Bucket]) -> Diagnosis | None:
    """Return what a dump in the counted form shows, which is leaks alone; None where it shows none."""
    for bucket in found:
        for each in signatures():
            made = [f for f in bucket.frames if each.creator and f.function.startswith(f"{each.creator}.func")]
            if made and bucket.count >= each.least:
                because = f"{bucket.count:,} goroutines of {each.place}"
                known = _fate(each, "", "")
                return Diagnosis(
                    kind=Kind.LEAK,
                    because=because,
                    signature=each.name,
                    known=True,
                    fixed_in=each.fixed_in,
                    link=each.link,
                    sentence=f"leak in {each.place} ({each.name}): {because}: {each.means.strip()}; known: {known}",
                    goroutines=(),
                    frames=tuple(frame.function for frame in bucket.frames if frame.is_users),
                )
    return None


def diagnose(
    dumps: Sequence[Dump],
    *,
    version: str | None = None,
    daemon: Mapping[str, Any] | None = None,
    process: ProcessFacts = NOTHING_KNOWN,
    crash: str = "",
    own: Sequence[Path] = (),
) -> Diagnosis:
    """Return what dumps of one daemon, in order, come to.

    Args:
        dumps: see `compare`.
        version: of the daemon, with its product: `BuildKit v0.23.2`, `Engine 28.3.3`; in place of `daemon`.
        daemon: its `kind` and `version`, as `summary.json` has them.
        process: what the kernel says of its process.
        crash: what it said as it died.
        own: files of signatures beside those that come with this.
    """
    processes = [] if crash else by_process(dumps)
    if len(processes) > 1:
        return _of_several(
            [diagnose(one, version=version, daemon=daemon, process=process, own=own) for one in processes]
        )
    reading = _crashed(dumps, crash) if crash else compare(dumps, process, _deadlocks(dumps, own))
    product, number = _of_version(version) if version else _product(daemon or {})
    fitting = _fitting(dumps, reading, own)
    known = next((each for each in fitting if not each.suspect), None)
    at = next((id_ for dump in dumps if (id_ := cut_at(dump)) is not None), None)
    if at is not None and reading.kind in (_OF_ALL if known else _OF_MOST):
        lost = f"a dump is cut off at goroutine {at}, and what is missing may be what it waits for: give all of it"
        reading = replace(reading, kind=Kind.UNKNOWN, because=f"{reading.because}; {lost}")
        fitting, known = [], None
    users = list(dict.fromkeys(frame.function for frame in reading.frames if frame.is_users))
    return Diagnosis(
        kind=reading.kind,
        because=reading.because,
        signature=known.name if known else _own_signature(reading, users),
        known=known is not None,
        fixed_in=known.fixed_in if known else {},
        link=known.link if known else "",
        sentence=_sentence(reading, known, users, product, number)
        + _suspicion(fitting if known is None else [])
        + (_leaks(dumps, reading, own) if known is None or known.kind else "")
        + (_suspects(dumps[0], own) if reading.kind is Kind.UNKNOWN and len(dumps) == 1 else ""),
        goroutines=reading.goroutines,
        frames=tuple(users),
    )


def _of_several(found: Sequence[Diagnosis]) -> Diagnosis:
    """Return what the dumps of several processes come to: the gravest of them, with a word on the others."""
    gravest = min(found, key=lambda each: _GRAVITY.index(each.kind) if each.kind in _GRAVITY else len(_GRAVITY))
    others = "; ".join(each.sentence for each in found if each is not gravest)
    return replace(
        gravest, sentence=f"{gravest.sentence}; the dumps are of {len(found)} processes; of another: {others}"
    )


def diagnose_finding(folder: Path, daemon: Mapping[str, Any]) -> Diagnosis | None:
    """Return what the evidence of a finding comes to; None where it has no dump.

    Args:
        folder: `findings/<iteration>` of a run.
        daemon: its `kind` and `version`.
    """
    figures = _ProcessFigures()
    with suppress(StoreError):  # empty or damaged, as after a power cut: the dumps say what they say
        figures = read_json(folder / "process.json", _ProcessFigures)
    dumps = [*_readable(sorted(folder.glob("goroutines-*.txt")))]
    process = _facts(figures)
    if not dumps and not process.stopped:
        return None
    return diagnose(dumps, daemon=daemon, process=process, own=users_files())


@dataclass(frozen=True)
class _ThreadState:
    """One thread's, of what `process.json` has."""

    state: str = ""


@dataclass(frozen=True)
class _ProcessFigures:
    """What of `process.json` says how busy a daemon was; see `evidence/process.py`."""

    stopped: bool = False
    cores: float | None = None
    threads: tuple[_ThreadState, ...] = ()
    step_lives: bool | None = None
    moved: Any = None


def _readable(files: Iterable[Path]) -> Iterator[Dump]:
    """Yield the dumps in files; one that cannot be read costs itself alone."""
    for file in files:
        with suppress(OSError):
            if file.is_file() and (dump := read_dump(file)):
                yield dump


def _facts(figures: _ProcessFigures) -> ProcessFacts:
    """Return what `process.json` says.

    A thread in state R runs, or waits for a core: with half a core or less over the seconds of the look, it wanted
    more than it got, so that the number says nothing.
    """
    cores = figures.cores
    wanting = any(thread.state == "R" for thread in figures.threads)
    starved = cores is not None and wanting and cores < _STARVED_CORES
    return ProcessFacts(
        cores=None if starved else cores,
        stopped=figures.stopped,
        step_lives=figures.step_lives,
        moved=figures.moved,
    )


def _crashed(dumps: Sequence[Dump], crash: str) -> Reading:
    """Return where a process died: Go prints the goroutine that did it first."""
    frames = dumps[0][0].frames if dumps else ()
    ids = (dumps[0][0].id,) if dumps else ()
    return Reading(Kind.CRASHED, crash, ids, frames)


def _of_version(version: str) -> tuple[str, str]:
    product, _, number = version.rpartition(" ")
    return _product({"kind": "buildkitd" if product.lower() == "buildkit" else "dockerd", "version": number})


def _leaks(dumps: Sequence[Dump], reading: Reading, own: Sequence[Path]) -> str:
    """Return what leaks beside what keeps the daemon from going on."""
    if reading.kind not in _STUCK or not dumps:
        return ""
    leaking = [each for each in signatures(*own) if each.creator and each.fits(dumps, reading)]
    return "".join(f"; beside it, {len(each.gathered(dumps))} goroutines leak in {each.place}" for each in leaking)


def _deadlocks(dumps: Sequence[Dump], own: Sequence[Path]) -> list[Signature]:
    """Return the known deadlocks that dumps can show."""
    return [each for each in among(dumps, *own) if each.kind is Kind.DEADLOCK and each.stacks and not each.suspect]


def _suspects(dump: Dump, own: Sequence[Path]) -> str:
    """Return what one dump is consistent with, what it waits for outside, and where its longest waits are.

    A scheduler sleeps, and builds wait for it, also where a step's process or a registry takes its time.
    """
    stacks = {id(each.frames): each for each in dump}  # thousands share one
    awaited = {key: waits for key, each in stacks.items() if (waits := outside(each))}
    outer = Counter(awaited[id(each.frames)] for each in dump if each.minutes and id(each.frames) in awaited)
    slept = outer or any(works_on_data(each) for each in stacks.values())
    named = [
        each
        for each in among([dump], *own)
        if not each.suspect and each.consistent_with(dump) and not (slept and each.kind is Kind.LOST_WAKE_UP)
    ]
    extra = "".join(
        f"; consistent with {each.name} ({each.place}: {each.means.strip()}; known, {_fate(each, '', '')}), "
        "not confirmed by one dump"
        for each in named
    )
    extra += "".join(f"; {count} wait for {waits}, which may be slow and no fault" for waits, count in outer.items())
    held = [each for each in dump if each.minutes and is_held(each)]
    if held:
        longest = max(held, key=lambda each: each.minutes)
        extra += f"; {len(held)} wait, up to {longest.minutes} min, the longest in {place(longest).rpartition('/')[2]}"
    return extra


def _fitting(dumps: Sequence[Dump], reading: Reading, own: Sequence[Path]) -> list[Signature]:
    """Return the signatures of what keeps it from going on; where nothing does, of what grows in it."""
    hunted = [
        each
        for each in among(dumps, *own)
        if each.kind is reading.kind or (each.kind is None and reading.kind not in _STUCK)
    ]
    return [each for each in hunted if each.fits(dumps, reading)] if dumps else []


def _suspicion(fitting: Sequence[Signature]) -> str:
    """Return what may be behind it, though no dump can show that."""
    return "".join(
        f"; perhaps {each.name}: {each.means.strip()}; fixed in "
        f"{' / '.join(f'{name} {number}' for name, number in each.fixed_in.items())}; {each.link}"
        for each in fitting
        if each.suspect
    )


def _product(daemon: Mapping[str, Any]) -> tuple[str, str]:
    """Return what signatures go by: BuildKit where its version is told, else Docker's Engine."""
    figures = str(daemon.get("version") or "")
    match = re.search(r"BuildKit (v\S+)", figures)
    return ("BuildKit", match[1]) if match else (_PRODUCTS.get(str(daemon.get("kind")), ""), figures)


def _own_signature(reading: Reading, users: Sequence[str]) -> str:
    """Return a name for what nobody has named: the same for the same kind at the same functions; none for the rest."""
    if reading.kind not in _STUCK:
        return ""
    text = "\n".join((reading.kind, *(reading.places or users)))
    return f"unknown-{hashlib.sha256(text.encode()).hexdigest()[:_HASHED]}"


def _sentence(reading: Reading, known: Signature | None, users: Sequence[str], product: str, version: str) -> str:
    if known is None:
        at = f" in {users[0].rpartition('/')[2]}" if users else ""
        unknown = ", not known" if reading.kind in _STUCK else ""
        return f"{reading.kind}{at if reading.kind in _STUCK else ''}{unknown}: {reading.because}"
    what = f"{reading.kind} in {known.place}" if known.kind else f"leak in {known.place}"
    why = f"; {reading.because}" if known.kind in {Kind.DEADLOCK, Kind.CRASHED, Kind.CLIENT} else ""
    return f"{what} ({known.name}): {known.means.strip()}{why}; known: {_fate(known, product, version)}"


def _fate(known: Signature, product: str, version: str) -> str:
    """Return in what it is fixed, whether a version should have that, and where to read of it."""
    fixed = " / ".join(f"{name} {number}" for name, number in known.fixed_in.items())
    fate = f"fixed in {fixed}" if fixed else "no fix known"
    if known.affects(product, version) is False:
        fate += f", but {product} {version} should not have it: please report it"
    return f"{fate}; {known.link}"
