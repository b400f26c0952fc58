"""How soon a disturbance acts once a build has reached what it waits for: from the phase as it is seen to the act.

Eight lines of builds keep two cores busy, so this is what a loaded machine does. Run it with a daemon:
``python tests/benchmarks/reaction.py debian:forky``. It prints, by actor, how often it acted and how late.
"""

import sys
import tempfile
from pathlib import Path

from harness.analysis.rates import quantile
from harness.core.records import Action
from harness.report.words import shown_seconds
from harness.store.find import find_run
from tests.system.conftest import Repro

SCENARIO = """
name: reaction
actors:
  - {build: ci, dockerfile: diamond, args: {N: "{iteration}"}, parallel: 8}
  - {freeze: daemon, when: {phase: exporting, of: ci, lasting: 5ms}}
  - {freeze: client, target: client, when: {step: "RUN echo", of: ci, lasting: 5ms}}
  - {prune: cache, all: true, when: {phase: exported, of: ci}}
stop: {time: 60s}
"""


def main(toolchain: str) -> None:
    """Run it, and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder, "reaction.yaml")
        scenario.write_text(SCENARIO)
        code, output = Repro(Path(folder, "results"))("run", str(scenario), "--daemon", toolchain)
        if code:
            sys.exit(output)
        actions = find_run("last", Path(folder, "results")).read(Action)
    for name in dict.fromkeys(action.actor for action in actions):
        lags = [action.lag for action in actions if action.actor == name and action.lag is not None]
        told = "  ".join(f"p{share * 100:g} {shown_seconds(quantile(lags, share))}" for share in (0.5, 0.99, 1.0))
        print(f"{name:<8} {len(lags):>5} acts  {told}")


if __name__ == "__main__":
    main(sys.argv[1])
