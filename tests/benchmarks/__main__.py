"""All that is measured beside an alternative, in one run: ``python -m tests.benchmarks [NAME...]``.

Prints each ratio as it comes, and writes the table in the README with the rows that were measured, and the host's load.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.benchmarks import api_builds, control, overhead, recording, start
from tests.benchmarks.ratio import Ratio

BENCHMARKS: Final[dict[str, Callable[[str, str, int], Iterator[Ratio]]]] = {
    "start": lambda buildkitd, _, rounds: start.ratios(buildkitd, rounds),
    "control": lambda buildkitd, _, rounds: control.ratios(buildkitd, rounds),
    "control-dockerd": lambda _, dockerd, rounds: control.ratios(dockerd, rounds),
    "recording": lambda _, __, rounds: recording.ratios(rounds),
    "api-builds": lambda buildkitd, _, rounds: api_builds.ratios(buildkitd, rounds),
    "api-builds-dockerd": lambda _, dockerd, rounds: api_builds.ratios(dockerd, rounds),
    "overhead": lambda _, dockerd, rounds: overhead.ratios(dockerd, rounds),
}
"""By name, what is measured; each is given the toolchains of a buildkitd and of a dockerd, and a number of rounds."""
_README: Final = Path(__file__).with_name("README.md")
_FROM, _TO = "<!-- ratios: written by python -m tests.benchmarks -->", "<!-- ratios end -->"
_HEADS: Final = ("benchmark", "what", "beside", "ours", "the other's", "ratio (range)", "rounds", "load")


def main() -> None:
    """Measure what the command line names, and put it into the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without it")
    fixed = os.environ.get("REPRO_FIXED")
    parser.add_argument("--buildkitd", metavar="SPEC", default=f"path:{fixed}" if fixed else "auto:buildkitd")
    parser.add_argument("--dockerd", metavar="SPEC", default="debian:forky")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if unknown := {*asked.names} - {*BENCHMARKS}:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in asked.names or BENCHMARKS:
        load, rows = os.getloadavg()[0], []
        for ratio in BENCHMARKS[name](asked.buildkitd, asked.dockerd, asked.rounds):
            print(f"{name}: {ratio}", flush=True)
            rows.append(_line(name, *ratio.cells(), f"{load:.0f}"))
        _README.write_text(replaced(_README.read_text(), name, rows))


def replaced(text: str, name: str, rows: list[str]) -> str:
    """Return a README with these rows in the place of those that the benchmark had in its table."""
    before, _, rest = text.partition(_FROM)
    table, _, after = rest.partition(_TO)
    found = [(line.split(" | ")[0].removeprefix("| "), line) for line in [*table.splitlines(), *rows]]
    kept = [(of, line) for of, line in found if of in BENCHMARKS and (of != name or line in rows)]
    ordered = [line for each in BENCHMARKS for of, line in kept if of == each]
    lines = [_FROM, "", _line(*_HEADS), f"|{'---|' * len(_HEADS)}", *ordered, "", _TO]
    return before + "\n".join(lines) + after


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
