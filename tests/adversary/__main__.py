"""Attacks the harness, and prints what held: ``python -m tests.adversary [ATTACK...] [--kills 100] [--minutes N]``.

Real daemons are those of ``--daemon``, without it of ``path:$REPRO_FIXED``, else of ``auto:buildkitd``. All at full
size takes about an hour on two free cores; a try that has begun is ended. Exits with 1 where anything did not hold.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.adversary.clocks import clocks
from tests.adversary.damage import folders
from tests.adversary.disks import disks
from tests.adversary.forms import forms
from tests.adversary.kills import kills
from tests.adversary.ledgers import forged_ledgers
from tests.adversary.links import links
from tests.adversary.mutations import mutations
from tests.adversary.pages import pages
from tests.adversary.secrets import secrets
from tests.adversary.serve import serve
from tests.adversary.shapes import shapes
from tests.adversary.signals import signals
from tests.adversary.steps import steps
from tests.adversary.surroundings import surroundings
from tests.adversary.world import Attack, Options, Try

ATTACKS: Final[dict[str, tuple[Attack, str]]] = {
    "mutations": (mutations, "each file that is read, changed"),
    "forms": (forms, "reports in a hundred forms of posting"),
    "shapes": (shapes, "texts of 40 MB, of odd shapes"),
    "folders": (folders, "each file of a run damaged, each command and page asked"),
    "links": (links, "each file and folder of a run a link to elsewhere, each command and page asked"),
    "secrets": (secrets, "secrets of all forms, through bundle, report and page"),
    "pages": (pages, "poisoned runs in Chromium"),
    "ledgers": (forged_ledgers, "forged ledgers, with victims of our own"),
    "serve": (serve, "half requests, slow readers, tricks, forged acts, beside a run"),
    "surroundings": (surroundings, "odd caches, locales, containerd killed"),
    "signals": (signals, "STOP 90 s, HUP, TERM, INT; in runs and searches"),
    "disks": (disks, "disks of results, cache, TMPDIR full or read-only"),
    "clocks": (clocks, "wall clock jumps, time namespaces"),
    "kills": (kills, "SIGKILL at random, gone on with"),
    "steps": (steps, "SIGKILL before single steps of a run's start and of clean"),
}


def main() -> int:
    """Attack, and print a table of what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversary", description=__doc__)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"of {', '.join(ATTACKS)}; all without it")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--mutations", type=int, default=3000, help="for each reader")
    parser.add_argument("--minutes", type=float, default=90.0, help="no try begins later")
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="readers, disks, signals, shapes, forms named so"
    )
    parser.add_argument("--first", metavar="SHAPE", default="", help="of `shapes`: begin with this one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--daemon", default=f"path:{os.environ['REPRO_FIXED']}" if "REPRO_FIXED" in os.environ else "auto:buildkitd"
    )
    parser.add_argument("--place", type=Path, help="a folder to work in, which stays; a temporary one without it")
    asked = parser.parse_args()
    if unknown := {*asked.attacks} - {*ATTACKS}:
        parser.error(f"no attack {', '.join(sorted(unknown))}; there are {', '.join(ATTACKS)}")
    signal.signal(signal.SIGHUP, lambda *_: None)  # what `nohup` has ignored is ignored by all that is started
    until = time.monotonic() + 60 * asked.minutes
    rows, broken = [], []
    with tempfile.TemporaryDirectory(prefix="repro-adversary-", ignore_cleanup_errors=True) as temporary:
        top = asked.place or Path(temporary)
        for name in asked.attacks or ATTACKS:
            attack, what = ATTACKS[name]
            place = top / name
            place.mkdir(parents=True)
            os.environ["REPRO_CACHE"] = str(place / "cache")
            options = Options(
                place, asked.daemon, asked.kills, asked.mutations, asked.seed, until, (*asked.only,), asked.first
            )
            began = time.monotonic()
            tries = [*_told(name, attack(options))]
            wrong = [each for each in tries if each.problem]
            broken += [f"{name}: {each.what}: {each.problem}" for each in wrong]
            rows.append(f"| {name} | {what} | {len(tries)} | {len(wrong)} | {(time.monotonic() - began) / 60:.1f} |")
    print("\n".join(["| attack | what | tries | broke | minutes |", "|---|---|---|---|---|", *rows]))  # noqa: T201
    print("\n".join(["", *broken]))  # noqa: T201
    return int(bool(broken))


def _told(name: str, tries: Iterator[Try]) -> Iterator[Try]:
    """Pass tries on, each with a line on standard error."""
    for each in tries:
        sys.stderr.write(f"{name}: {each.what}: {each.problem or 'held'}\n")
        sys.stderr.flush()
        yield each


if __name__ == "__main__":
    sys.exit(main())
