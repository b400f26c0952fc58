"""The table of commands, and what `repro` says of itself. Nothing of a command is loaded for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class CommandEntry:
    """A command of `repro`, as its help shows it; the rest is in the module of its name."""

    function: str
    """What it is there: a function, or a `typer.Typer` with commands of its own."""
    says: str
    """One line for the list of all."""
    examples: tuple[str, ...] = ()
    """Lines that can be typed as they stand; of commands that have commands, those have them."""


COMMANDS: Final[Mapping[str, CommandEntry]] = {
    "demo": CommandEntry("demo", "See a hang found and explained, on any machine.", ("repro demo",)),
    "run": CommandEntry(
        "run",
        "Run a scenario against a daemon.",
        (
            "repro run prune-race --daemon buildkit:v0.23.2",
            "repro run mixed-ci-day --time 8h",
            "repro run my.yaml --set actors.ci.parallel=8 --iterations 500",
            "repro run prune-race --time 1h --junit junit.xml --fail-if 'rate.high95>0.01'",
            "repro run prune-race --shards 8 --on tcp://10.0.0.1:8786 --insecure --resume last",
        ),
    ),
    "resume": CommandEntry(
        "resume",
        "Go on with a run that ended early, or is to have more.",
        ("repro resume", "repro resume last --time 48h"),
    ),
    "affected": CommandEntry(
        "affected",
        "Which known hangs a daemon has; changes nothing.",
        ("repro affected --daemon host", "repro affected --daemon buildkit:v0.24.0"),
    ),
    "capture": CommandEntry(
        "capture", "All evidence of a daemon that runs already.", ("sudo repro capture --daemon /run/docker.sock",)
    ),
    "watch": CommandEntry(
        "watch", "Watch a daemon that others load.", ("repro watch --daemon host --once", "repro watch --daemon 4711")
    ),
    "diagnose": CommandEntry(
        "diagnose_",
        "Say what goroutine dumps show.",
        ("repro diagnose last", "repro diagnose one.txt two.txt three.txt --version 'BuildKit v0.23.2'"),
    ),
    "signatures": CommandEntry("signatures", "The known bugs that dumps are compared with, and your own."),
    "explain": CommandEntry(
        "explain_", "Why a build hangs, as far as its run tells.", ("repro explain", "repro explain last 7")
    ),
    "cache": CommandEntry(
        "cache",
        "The cache graph, and whether it is consistent.",
        ("repro cache last", "repro cache /var/lib/buildkit/cache.db"),
    ),
    "bisect": CommandEntry("bisect", "Which build brought a hang, or took it away."),
    "verify": CommandEntry(
        "verify_",
        "Whether B is free of the hang that A has.",
        ("repro verify prune-race --broken buildkit:v0.23.2 --fixed buildkit:v0.25.1",),
    ),
    "compare": CommandEntry(
        "compare_",
        "Whether two toolchains, or two settings, hang alike.",
        (
            "repro compare docker:28.4.0 docker:28.5.2",
            "repro compare buildkit:v0.23.2 --set-b daemon.gc=tiny",
        ),
    ),
    "minimize": CommandEntry(
        "minimize_",
        "The smallest scenario that still hangs, as a script.",
        ("repro minimize prune-race --daemon buildkit:v0.23.2 --fixed buildkit:v0.25.1",),
    ),
    "explore": CommandEntry(
        "explore",
        "Which mix of open values hangs soonest.",
        ("repro explore mine.yaml --daemon buildkit:v0.23.2 --time 30m",),
    ),
    "list": CommandEntry("list_scenarios", "The scenarios there are.", ("repro list",)),
    "new": CommandEntry("new", "Write a scenario of your own.", ("repro new mine", "repro new mine --from prune-race")),
    "check": CommandEntry(
        "check",
        "What a scenario will do; nothing is run.",
        ("repro check mine.yaml", "repro check prune-race --set stop.time=8h"),
    ),
    "show": CommandEntry(
        "show",
        "A run again.",
        ("repro show", "repro show last --against 1/16141", "repro show last --export-csv tables"),
    ),
    "report": CommandEntry(
        "report", "report.html and report.md again.", ("repro report last", "repro report 3f2a 99c1 -o .")
    ),
    "serve": CommandEntry("serve", "The runs as a page that follows them.", ("repro serve", "repro serve --port 0")),
    "merge": CommandEntry(
        "merge_",
        "Runs of several hosts as one rate and one verdict.",
        ("repro merge host-a/results/prune-race/20261128T033655Z-bffd 3f2a",),
    ),
    "bundle": CommandEntry("bundle_", "One archive for a report, without secrets.", ("repro bundle last",)),
    "doctor": CommandEntry("doctor", "Whether this host can run scenarios.", ("repro doctor",)),
    "toolchain": CommandEntry("toolchain", "The daemon binaries in the cache."),
    "clean": CommandEntry("clean", "End and remove what dead runs left on this host.", ("repro clean",)),
    "schema": CommandEntry("schema", "The JSON Schema of scenarios.", ("repro schema > schema.json",)),
}

WORKING: Final = {
    *(
        "run",
        "resume",
        "demo",
        "affected",
        "bisect",
        "compare",
        "verify",
        "minimize",
        "explore",
        "capture",
        "watch",
        "serve",
        "doctor",
    ),
    *("clean", "report", "bundle", "toolchain", "diagnose", "merge", "new"),
}
"""Commands whose work is not what they print: a reader who does not read holds up none of it, nor their end."""

ABOUT: Final = """\
Finds docker builds that export and never return: runs builds against a real daemon, disturbs them, and diagnoses the
first that hangs.

\b
What people come for:
  see a hang now          repro demo
                          repro run merged-and-killed --daemon buildkit:v0.23.2
  my builds hang now      repro capture --daemon host
  am I affected?          repro affected --daemon host
  soak overnight          repro run mixed-ci-day --time 8h
  which build brought it  repro bisect start prune-race --in buildkit:v0.22.0..v0.23.2
  is my upgrade safe?     repro verify prune-race --broken docker:28.4.0 --fixed docker:28.5.2

Daemons of ours are private, need root, and are gone afterwards. Exit codes: 0 clean, 1 hang, 125 inconclusive,
129 usage, 130 interrupted, 255 broken.
"""


def epilog(*examples: str) -> str:
    """Return examples as what a command's help ends with, a line each."""
    return "\n".join(("\b", "Examples:" if len(examples) > 1 else "Example:", *(f"  {each}" for each in examples)))
