"""From goroutine dumps to one sentence: what keeps the daemon from going on, where, known as what, fixed in what."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.buildkit.goroutines.difference import Dump, Kind, Reading, compare
from harness.buildkit.goroutines.parse import goroutines, lines_of
from harness.buildkit.goroutines.signatures import Signature, signatures
from harness.core.records import Diagnosis

_PRODUCTS: Final = {"buildkitd": "BuildKit", "dockerd": "Engine"}
_STUCK: Final = {Kind.LIVELOCK, Kind.DEADLOCK, Kind.LOST_WAKE_UP, Kind.CLIENT_SIDE}
_HASHED: Final = 12


def read_dump(file: Path) -> Dump:
    """Return the goroutines in a file; none where it holds no dump with stacks.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        return [*goroutines(lines_of(stream))]


def diagnose(
    dumps: Sequence[Dump],
    *,
    daemon: Mapping[str, Any] | None = None,
    cores: float | None = None,
    stopped: bool = False,
) -> Diagnosis:
    """Return what dumps of one daemon, in order, come to.

    Args:
        dumps: see `compare`.
        daemon: its `kind` and `version`, as `summary.json` has them.
        cores: how much CPU it used, in cores.
        stopped: whether its process is stopped.
    """
    reading = compare(dumps, cores=cores, stopped=stopped)
    product, version = _product(daemon or {})
    fitting = _fitting(dumps, reading)
    known = next((each for each in fitting if not each.suspect), None)
    users = list(dict.fromkeys(frame.function for frame in reading.frames if frame.is_users))
    return Diagnosis(
        kind=reading.kind,
        because=reading.because,
        signature=known.name if known else _own_signature(reading, users),
        known=known is not None,
        fixed_in=known.fixed_in if known else {},
        link=known.link if known else "",
        sentence=_sentence(reading, known, users, product, version) + _suspicion(fitting if known is None else []),
        goroutines=reading.goroutines,
        frames=tuple(users),
    )


def diagnose_finding(folder: Path, daemon: Mapping[str, Any]) -> Diagnosis | None:
    """Return what the evidence of a finding comes to; None where it has no dump.

    Args:
        folder: `findings/<iteration>` of a run.
        daemon: its `kind` and `version`.
    """
    process: dict[str, Any] = {}
    if (folder / "process.json").is_file():
        process = json.loads((folder / "process.json").read_text())
    dumps = [dump for file in sorted(folder.glob("goroutines-*.txt")) if (dump := read_dump(file))]
    if not dumps and not process.get("stopped"):
        return None
    return diagnose(dumps, daemon=daemon, cores=process.get("cores"), stopped=bool(process.get("stopped")))


def _fitting(dumps: Sequence[Dump], reading: Reading) -> list[Signature]:
    """Return the signatures of what keeps it from going on; where nothing does, of what grows in it."""
    hunted = [each for each in signatures() if (each.kind is not None) == (reading.kind in _STUCK)]
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
    told = str(daemon.get("version") or "")
    match = re.search(r"BuildKit (v\S+)", told)
    return ("BuildKit", match[1]) if match else (_PRODUCTS.get(str(daemon.get("kind")), ""), told)


def _own_signature(reading: Reading, users: Sequence[str]) -> str:
    """Return a name for what nobody has named: the same for the same kind at the same functions; none for the rest."""
    if reading.kind not in _STUCK:
        return ""
    text = "\n".join((reading.kind, *users))
    return f"unknown-{hashlib.sha256(text.encode()).hexdigest()[:_HASHED]}"


def _sentence(reading: Reading, known: Signature | None, users: Sequence[str], product: str, version: str) -> str:
    if known is None:
        at = f" in {users[0].rpartition('/')[2]}" if users else ""
        unknown = ", not known" if reading.kind in _STUCK else ""
        return f"{reading.kind}{at if reading.kind in _STUCK else ''}{unknown}: {reading.because}"
    what = f"{reading.kind} in {known.place}" if known.kind else f"leak in {known.place}"
    fixed = " / ".join(f"{name} {number}" for name, number in known.fixed_in.items())
    fate = f"fixed in {fixed}" if fixed else "no fix known"
    affected = known.affects(product, version)
    if affected is False:
        fate += f", but {product} {version} should not have it: please report it"
    return f"{what} ({known.name}): {known.means.strip()}; known: {fate}; {known.link}"
