"""What a search among 4,096 candidates takes on 1, 8 and 64 hosts, and how often its answer is right, by simulation.

``python -m tests.benchmarks.fleet_bisect PLACES [SEARCHES] [CANDIDATES]``: candidates take 60 s to be built, one after
the other; looks take 5 s to start and half a second a build, and are made side by side. A build hangs in one of ten.
"""

import sys
from statistics import fmean, median

from tests.experiments.bisect.simulated import Setting, search_on

FIRST_SEED = 2_000_000


def main() -> None:
    """Search, and print a line as each is over, with all so far."""
    places, searches, candidates = map(int, [*sys.argv[1:], *("1", "20", "4096")[len(sys.argv) - 1 :]])
    told = []
    for seed in range(FIRST_SEED, FIRST_SEED + searches):
        told.append(search_on(Setting(0.1, candidates), seed, places))
        hours = [each.seconds / 3600 for each in told]
        built, looks = (fmean(getattr(each, what) for each in told) for what in ("builds", "looks"))
        right, named = sum(each.right for each in told), fmean(len(each.members) for each in told)
        print(
            f"{places} at once, {candidates} candidates, {len(told)} searches: {right} right, named {named:.1f}; "
            f"hours: median {median(hours):.2f}, mean {fmean(hours):.2f}; {built:.1f} built, {looks:.1f} looks",
            flush=True,
        )


if __name__ == "__main__":
    main()
