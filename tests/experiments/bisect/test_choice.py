"""Where to look next and for how long: what a look is expected to tell and to take, and that no choice is silly."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from git_bayesect import Bisector

from harness.experiments.bisect import choice as choice_module
from harness.experiments.bisect.belief import Belief, hypotheses, line
from harness.experiments.bisect.choice import Acquisition, Costs, next_look, next_looks
from harness.experiments.bisect.rates import Rates
from harness.experiments.bisect.spread import Alike, Candidates, Duds, Spread
from tests.experiments.bisect.priors import beta_rates


def entropy(belief: Belief) -> float:
    """Return how uncertain the culprit is, in bits."""
    some = belief.posterior[belief.posterior > 0]
    return float(-(some * np.log2(some)).sum())


def calibrated(count: int = 32, trials: int = 100, rates: Rates | None = None) -> Belief:
    """Return the belief after three hangs of the bad end, each after so many trials."""
    belief = Belief(hypotheses(line(count)), rates or Rates.flat())
    for _ in range(3):
        belief = belief.saw(count - 1, trials, hung=True)
    return belief


def chosen(belief: Belief, costs: Costs) -> Acquisition:
    """Return what is chosen, where something is."""
    choice = next_look(belief, costs)
    assert choice is not None
    return choice


SPREADS = [Alike(), Candidates(4), Duds(0.5)]


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("looks", [0, 1, 2])
def test_the_gain_is_what_uncertainty_falls_by(looks: int, spread: Spread) -> None:
    """Of one trial, by brute force: the bits promised are those by which its outcomes lower the entropy on average."""
    belief = replace(calibrated(12, 4, Rates.flat(spreads=((1.0, spread),))), kinds=(1.0, 0.0, 0.0))
    for candidate, trials in [(5, 10), (8, 3)][:looks]:
        belief = belief.saw(candidate, trials, hung=False)
    choice = chosen(belief, Costs([0.0] * 12, start=1, trial=1, longest=1))
    clean, hung = (belief.saw(choice.candidate, 1, hung=hung) for hung in (False, True))
    quiet = chance_of(belief, clean) / (chance_of(belief, clean) + chance_of(belief, hung))
    after = quiet * entropy(clean) + (1 - quiet) * entropy(hung)
    assert choice.trials == 1
    assert choice.gain_bits == pytest.approx(entropy(belief) - after, abs=1e-9)


def chance_of(before: Belief, after: Belief) -> float:
    """Return the chance of what was seen in between, but for a constant, by the likelihood of each history and rate."""
    [sides], rates = before.sides, before.rates
    [candidate] = [one for one in after.seen if after.seen[one] != before.seen.get(one)]
    old, new = before.seen.get(candidate, ()), after.seen[candidate]
    more = np.exp(rates.likelihood(sides.spread, new) - rates.likelihood(sides.spread, old))
    more[0] = 0.0 if new[-1].hung else 1.0
    share = before.shares(np.array([candidate]))[:, :, 0]
    return float((share[:, :, None] * sides.rates * more).sum())


def test_it_chooses_as_git_bayesect_where_costs_are_alike() -> None:
    """With single trials, equal costs and one rate for all, git-bayesect's choice tells as much as this one's."""
    chance, count = Random(7), 12
    belief = Belief(hypotheses(line(count)), beta_rates((2, 20), None), kinds=(1.0, 0.0, 0.0))
    theirs = Bisector(np.ones(count), 2.0, 20.0, alpha_old=1e-12, beta_old=1.0)
    same = 0
    for _ in range(8):
        candidate = chance.randrange(3, count)
        trials, hung = chance.randint(1, 9), candidate >= 7 and chance.random() < 0.7
        belief = belief.saw(candidate, trials, hung=hung)
        for number in range(trials):
            theirs.record(count - 1 - candidate, hung and number == trials - 1)
        ours = chosen(belief, Costs([0.0] * count, start=1, trial=0, longest=1))
        same += ours.candidate == count - 1 - theirs.select()
    assert same == 8


def test_expected_seconds_count_that_a_hang_ends_a_look() -> None:
    """A look's seconds are those of drawing culprit, rate and hang by the hundred thousand."""
    belief = Belief(hypotheses(line(16)), Rates.known(0.02), kinds=(1.0, 0.0, 0.0)).saw(6, 40, hung=False)
    choice = chosen(belief, Costs([60.0] * 16, start=5, trial=0.5, hang=30))
    chance, draws = np.random.default_rng(7), 200_000
    bad = belief.bad[chance.choice(16, draws, p=belief.posterior), choice.candidate]
    until = np.where(bad, chance.geometric(0.02, draws), choice.trials + 1)
    drawn = 60 + 5 + 0.5 * np.minimum(until, choice.trials) + 30 * (until <= choice.trials)
    assert choice.candidate not in belief.seen
    assert choice.seconds == pytest.approx(drawn.mean(), rel=0.01)


def test_the_first_look_halves() -> None:
    """With a rate that is nearly one the first choice is the middle, and it tells nearly one bit."""
    belief = Belief(hypotheses(line(64)), Rates.known(0.99), kinds=(1.0, 0.0, 0.0))
    choice = chosen(belief, Costs([60.0] * 64, start=5, trial=0.5))
    assert abs(choice.candidate - 31.5) < 2
    assert choice.gain_bits > 0.99


def test_dear_starts_make_long_looks() -> None:
    """The dearer it is to begin, the longer a look, and never so short that the beginning is most of it in vain."""
    lengths = [chosen(calibrated(), Costs([0.0] * 32, start=start, trial=1)).trials for start in (0.1, 10, 1000)]
    assert lengths[0] <= lengths[1] < lengths[2]
    assert lengths[1] >= 10


def test_what_is_built_is_preferred() -> None:
    """A candidate that is there is looked at rather than one in the middle that has to be built for an hour."""
    belief = calibrated()
    have = [3600.0] * 32
    have[22] = 0.0
    assert chosen(belief, Costs(have, start=5, trial=0.5)).candidate == 22
    assert chosen(belief, Costs([1.0] * 32, start=5, trial=0.5)).candidate != 22


def test_neither_end_nor_skipped() -> None:
    """What tells nothing and what cannot be tried is never chosen, whatever it costs, and no look is over its limit."""
    belief, tried = calibrated(8), set()
    while choice := next_look(belief, Costs([1.0] * 8, start=0, trial=1, longest=20)):
        assert choice.trials <= 20
        tried.add(choice.candidate)
        belief = belief.skip(choice.candidate)
    assert tried >= set(range(7))
    assert len(belief.groups) == 1


def test_nothing_is_left_to_tell() -> None:
    """Where one hypothesis is left there is no choice."""
    belief = Belief(hypotheses(line(8)), Rates.known(0.1), kinds=(1.0, 0.0, 0.0)).saw(0, 3, hung=True)
    assert next_look(belief, Costs([1.0] * 8, start=1, trial=1)) is None


def test_neighbours_of_the_broken_are_avoided() -> None:
    """After a candidate that does not build the next choice is not the one beside it, if it would have to be built."""
    belief = calibrated(64)
    costs = Costs([60.0] * 64, start=5, trial=0.5)
    middle = chosen(belief, costs).candidate
    assert abs(chosen(belief.skip(middle), costs).candidate - middle) > 1
    there = Costs([0.0] * 64, start=5, trial=0.5)
    middle = chosen(belief, there).candidate
    assert abs(chosen(belief.skip(middle), there).candidate - middle) == 1


def test_a_history_with_forks() -> None:
    """In full history one side of a fork is tried, and its hang leaves that side alone."""
    parents = [[], [0], [1], [2], [0], [4], [5], [3, 6]]
    belief = Belief(hypotheses(parents), Rates.known(0.3), kinds=(1.0, 0.0, 0.0)).saw(7, 3, hung=True)
    choice = chosen(belief, Costs([60.0] * 8, start=5, trial=0.5))
    after = belief.saw(choice.candidate, 2, hung=True)
    side = {1, 2, 3} if choice.candidate in {1, 2, 3} else {4, 5, 6}
    assert choice.candidate in {2, 3, 5, 6}
    assert after.posterior[[0, *side]].sum() == pytest.approx(1.0)


def test_places_cost_no_builds_that_do_not_pay() -> None:
    """In many places no second candidate is built for the case that the first look comes to what is likelier."""
    belief = calibrated(64, 4)
    to_build = next_looks(belief, Costs([60.0] * 64, start=5, trial=0.5), 8)
    there = next_looks(belief, Costs([0.0] * 64, start=5, trial=0.5), 8)
    assert len({choice.candidate for choice in to_build}) == 1
    assert len(there) == 8
    assert len({choice.candidate for choice in there}) > 1


def test_what_is_chosen_among_many_tells_as_much_as_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all of many candidates are thought through, and nothing is lost by that."""
    belief = calibrated(400, 4).saw(200, 30, hung=False).saw(300, 2, hung=True)
    costs = Costs([60.0] * 400, start=5, trial=0.5)
    quick = chosen(belief, costs)
    monkeypatch.setattr(choice_module, "_MANY", 1000)
    best = chosen(belief, costs)
    assert quick.gain_bits / quick.seconds > 0.99 * best.gain_bits / best.seconds
