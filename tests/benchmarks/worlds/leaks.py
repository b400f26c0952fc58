"""Daemons that leak goroutines, or only look like it: what is said of their audits, against what is so.

Run by hand: ``python -m tests.benchmarks.worlds.leaks [--seeds N] [--first SEED] [--only WORLD] [--counts]``.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import median
from typing import Final

from harness.analysis.leak import leak_of
from harness.core.records import Arrivals, Audit, Leak

Shape = Callable[[Random, int, int], list[float]]
"""What a daemon holds at each of so many audits, so many builds apart, beside what it leaks and the noise."""


def warm_up(_random: Random, count: int, every: int) -> list[float]:
    """Fifty more, nine in ten of them within the first 230 builds."""
    return [50 * -math.expm1(-n * every / 100) for n in range(1, count + 1)]


def ramp(_random: Random, count: int, every: int) -> list[float]:
    """Fifty more, evenly over the first 300 builds."""
    return [50 * min(1.0, n * every / 300) for n in range(1, count + 1)]


def sawtooth(random: Random, count: int, _every: int) -> list[float]:
    """What grows by 20 to 80 and is given back, again and again, at least once within what is seen."""
    period, phase, height = random.uniform(4, count), random.random(), random.uniform(20, 80)
    return [height * ((n / period + phase) % 1) for n in range(count)]


def steps(random: Random, count: int, _every: int) -> list[float]:
    """Three steps of 10 to 60, anywhere, that stay."""
    places = [(random.randrange(1, count), random.uniform(10, 60)) for _ in range(3)]
    return [sum(height for place, height in places if n >= place) for n in range(count)]


def wandering(random: Random, count: int, _every: int) -> list[float]:
    """Noise that resembles what it was at the last audit: correlation 0.9, standard deviation 5."""
    values = [random.gauss(0, 5)]
    while len(values) < count:
        values.append(0.9 * values[-1] + random.gauss(0, 5 * math.sqrt(1 - 0.9**2)))
    return values


def level(_random: Random, count: int, _every: int) -> list[float]:
    """Nothing but noise."""
    return [0.0] * count


def busy(random: Random, count: int, _every: int) -> list[float]:
    """Streams of builds that come and go, ever more of them: from 10 to 50 at first, to 30 to 90 more at the end."""
    first, last = random.uniform(10, 50), random.uniform(30, 90)
    return [first + last * n / count for n in range(count)]


SHAPES: Final[Mapping[str, Shape]] = {
    "level": level,
    "warm-up": warm_up,
    "ramp": ramp,
    "sawtooth": sawtooth,
    "three steps": steps,
    "wandering": wandering,
    "busy": busy,
    "busy, for long": busy,
}
LIVES: Final[Mapping[str, float]] = {"busy": 0.0, "busy, for long": 0.7}
"""Of shapes whose goroutines are not the same from audit to audit: the share that is still there at the next one."""


class Daemon:
    """Holds goroutines, each with an id: some for good, some until what it holds falls, some for a moment."""

    def __init__(self, random: Random, lives: float = 1.0) -> None:
        self.random, self.lives = random, lives
        self.made = 0
        self.for_good, self.given_back = self.new(60), list[int]()

    def new(self, count: int) -> list[int]:
        """Make so many."""
        ids = [3 * number + self.random.randrange(3) for number in range(self.made, self.made + count)]
        self.made += count + self.random.randrange(100)
        return ids

    def holds(self, also: float) -> None:
        """Hold so many that are not for good; those that are given back are any of them."""
        self.given_back = [each for each in self.given_back if self.lives == 1 or self.random.random() < self.lives]
        more = max(0, round(also)) - len(self.given_back)
        self.given_back += self.new(max(0, more))
        for _ in range(-more):
            self.given_back.pop(self.random.randrange(len(self.given_back)))

    def leaks(self, builds: int, slope: float) -> None:
        """Keep some of what so many builds took."""
        self.for_good += self.new(sum(self.random.random() < slope for _ in range(builds)))


def audited(
    random: Random, shape: Shape, slope: float, *, count: int, every: int, noise: float, lives: float = 1.0
) -> list[Audit]:
    """Return the audits of one daemon; the first cannot tell what lasts, as nobody looked before."""
    held, daemon = shape(random, count, every), Daemon(random, lives)
    least = min(held)
    before: set[int] = set()
    audits = []
    for n in range(count):
        daemon.holds(held[n] - least)
        daemon.leaks(every, slope)
        there = {*daemon.for_good, *daemon.given_back, *daemon.new(max(0, round(random.gauss(3 * noise, noise))))}
        came, gone = tuple(sorted(there - before)), tuple(sorted(before - there))
        audit = Audit((n + 1) * every, 1, n * 30.0, 1.0, True, len(there), len(there) if n else None, (), 40, 2**27, 0)
        audits.append(replace(audit, came=(Arrivals("main.start", came),), gone=gone) if n else audit)
        before = there if n else set()
    return audits


ROWS: Final = (
    *((0.0, count) for count in (10, 20, 50, 200)),
    *((0.3, count) for count in (10, 20, 50)),
    *((0.06, count) for count in (50, 200)),
    (0.01, 200),
)
"""Leaks a build, and numbers of audits, that are tried."""


@dataclass(frozen=True)
class Answers:
    """What was said in one world."""

    said: Sequence[Leak]
    slope: float

    def share(self, verdict: str) -> float:
        """Return how often this was said."""
        return sum(each.verdict == verdict for each in self.said) / len(self.said)

    @property
    def covered(self) -> float:
        """How often the interval held the slope."""
        return sum(each.low95 <= self.slope <= each.high95 for each in self.said) / len(self.said)

    @property
    def width(self) -> float:
        """The median interval's."""
        return median(each.high95 - each.low95 for each in self.said)


def answers(
    shape: str, slope: float, *, count: int, every: int, noise: float, seeds: Sequence[int], ids: bool = True
) -> Answers:
    """Return what is said of as many daemons as there are seeds; without ids, of the same daemons' numbers alone."""
    said = []
    for seed in seeds:
        random = Random(f"leaks {shape} {slope} {count} {every} {noise} {seed}")
        lives = LIVES.get(shape, 1.0)
        audits = audited(random, SHAPES[shape], slope, count=count, every=every, noise=noise, lives=lives)
        leak = leak_of(audits if ids else [replace(audit, came=(), gone=()) for audit in audits])
        said.append(leak or Leak("unclear", 0.0, -math.inf, math.inf, None))
    return Answers(said, slope)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=15)
    parser.add_argument("--noise", type=float, default=2.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--counts", action="store_true", help="without the ids")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    print(f"n = {asked.seeds} a row, audits {asked.every} builds apart, noise {asked.noise:g}")
    print("| world | slope | audits | yes | no | covered | width |\n|---|---|---|---|---|---|---|")
    for shape in (shape for shape in SHAPES if asked.only in shape):
        for slope, count in ROWS:
            one = answers(
                shape, slope, count=count, every=asked.every, noise=asked.noise, seeds=seeds, ids=not asked.counts
            )
            shares = f"{one.share('yes'):.3f} | {one.share('no'):.3f} | {one.covered:.3f} | {one.width:.3g}"
            print(f"| {shape} | {slope:g} | {count} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
