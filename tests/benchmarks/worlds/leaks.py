"""Daemons that leak goroutines, or only look like it: what is said of their audits, against what is so.

Run by hand: ``python -m tests.benchmarks.worlds.leaks [--seeds N] [--first SEED]``.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Final

from harness.analysis.leak import leak_of
from harness.core.records import Audit, Leak

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


SHAPES: Final[Mapping[str, Shape]] = {
    "level": level,
    "warm-up": warm_up,
    "ramp": ramp,
    "sawtooth": sawtooth,
    "three steps": steps,
    "wandering": wandering,
}


def audited(random: Random, shape: Shape, slope: float, *, count: int, every: int, noise: float) -> list[Audit]:
    """Return the audits of one daemon; the first cannot tell what lasts, as nobody looked before."""
    held = shape(random, count, every)
    lasting = [round(60 + held[n] + slope * (n + 1) * every + random.gauss(0, noise)) for n in range(count)]
    return [
        Audit((n + 1) * every, 1, n * 30.0, 1.0, True, each, each if n else None, (), 40, 2**27, 0)
        for n, each in enumerate(lasting)
    ]


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


def answers(shape: str, slope: float, *, count: int, every: int, noise: float, seeds: Sequence[int]) -> Answers:
    """Return what is said of as many daemons as there are seeds."""
    said = []
    for seed in seeds:
        random = Random(f"leaks {shape} {slope} {count} {every} {noise} {seed}")
        leak = leak_of(audited(random, SHAPES[shape], slope, count=count, every=every, noise=noise))
        said.append(leak or Leak("unclear", 0.0, -math.inf, math.inf, None))
    return Answers(said, slope)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=15)
    parser.add_argument("--noise", type=float, default=2.0)
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    print(f"n = {asked.seeds} a row, audits {asked.every} builds apart, noise {asked.noise:g}")
    print("| world | slope | audits | yes | no | covered | width |\n|---|---|---|---|---|---|---|")
    for shape in SHAPES:
        for slope in (0.0, 0.3, 0.06, 0.01):
            for count in (10, 20, 50, 200):
                one = answers(shape, slope, count=count, every=asked.every, noise=asked.noise, seeds=seeds)
                shares = f"{one.share('yes'):.3f} | {one.share('no'):.3f} | {one.covered:.3f} | {one.width:.3g}"
                print(f"| {shape} | {slope:g} | {count} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
