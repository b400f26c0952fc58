"""What is believed after what was seen: by hand, by brute force over rates, and by git-bayesect."""

import math
from random import Random

import numpy as np
import pytest
from git_bayesect import Bisector
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from harness.experiments.bisect.belief import Belief, Group, hypotheses, line
from harness.experiments.bisect.rates import Rates

FORK = [[], [0], [0], [1, 2], [3]]
"""0 is forked into 1 and 2, which 3 merges; 4 follows."""

looks = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 60), st.booleans()), max_size=12)


def sure(rate: float, shape: float = math.inf) -> Rates:
    """Return a rate that is known."""
    return Rates(np.array([rate]), np.array([1.0]), shape)


def one_rate(alpha: float, beta_: float) -> Rates:
    """Return a Beta prior on the rate, the same for all candidates, as weights on a fine grid of its logarithm."""
    grid = np.geomspace(1e-7, 1 - 1e-9, 40_000)
    weights = beta.pdf(grid, alpha, beta_) * grid
    return Rates(grid, weights / weights.sum(), math.inf)


def test_a_line_of_what_was_introduced() -> None:
    """The culprit and all after it are bad; hypothesis 0 has all of them bad."""
    assert hypotheses(line(3)).tolist() == [[True, True, True], [False, True, True], [False, False, True]]


def test_a_line_of_what_was_fixed() -> None:
    """All before the fix are bad; hypothesis 0 has all of them bad, the newest too."""
    assert hypotheses(line(3), "fixed").tolist() == [[True, True, True], [True, False, False], [True, True, False]]


def test_a_fork() -> None:
    """What came on one side of a fork is in the other side only after the merge."""
    assert hypotheses(FORK)[1:3].tolist() == [[False, True, False, True, True], [False, False, True, True, True]]
    assert hypotheses(FORK, "fixed")[2].tolist() == [True, True, False, False, False]


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(*(st.sets(st.integers(0, max(i - 1, 0))) for i in range(n)))))
def test_badness_goes_down_to_the_children(drawn: tuple[set[int], ...]) -> None:
    """Whatever the history: what is introduced is not lost by a child, nor is what is fixed."""
    parents = [sorted(above) if number else [] for number, above in enumerate(drawn)]
    brought, gone = hypotheses(parents), hypotheses(parents, "fixed")
    for child, above in enumerate(parents):
        for parent in above:
            assert not (brought[:, parent] & ~brought[:, child]).any()
            assert not (~gone[:, parent] & gone[:, child]).any()
    assert brought.diagonal().all()
    assert not gone.diagonal()[1:].any()
    assert brought[0].all()
    assert gone[0].all()


def test_parents_come_first() -> None:
    """A history out of order is refused, with the place."""
    with pytest.raises(ValueError, match="candidate 1 comes before one of its parents"):
        hypotheses([[], [2], [0]])


def test_one_clean_look_by_hand() -> None:
    """With a known rate it is Bayes' rule on a line of four: 10 clean trials at 0.1 weigh 0.9 to the tenth."""
    belief = Belief(hypotheses(line(4)), sure(0.1)).saw(1, 10, hung=False)
    quiet = 0.9**10
    assert belief.posterior == pytest.approx(np.array([quiet, quiet, 1, 1]) / (2 + 2 * quiet))
    assert belief.chance_bad == pytest.approx(
        np.array([quiet, 2 * quiet, 1 + 2 * quiet, 2 + 2 * quiet]) / (2 + 2 * quiet)
    )


@given(looks)
def test_the_order_of_looks_is_nothing(drawn: list[tuple[int, int, bool]]) -> None:
    """Looks add up: in any order, and in pieces, the same is believed."""
    start = Belief(hypotheses(line(8)))
    forth, back = start, start
    for candidate, trials, hung in drawn:
        forth = forth.saw(candidate, trials, hung=hung)
    for candidate, trials, hung in reversed(drawn):
        back = back.saw(candidate, 1, hung=hung)
        if trials > 1:
            back = back.saw(candidate, trials - 1, hung=False)
    assert forth.posterior == pytest.approx(back.posterior, abs=1e-12)
    assert forth.posterior.sum() == pytest.approx(1.0)


@given(looks, st.sampled_from(["introduced", "fixed"]))
def test_a_hang_is_proof(drawn: list[tuple[int, int, bool]], find: str) -> None:
    """No hypothesis survives by which a candidate that hung is good, whatever else was seen, and one always does."""
    belief = Belief(hypotheses([*FORK, [4], [5], [6]], "fixed" if find == "fixed" else "introduced"))
    for candidate, trials, hung in drawn:
        belief = belief.saw(candidate, trials, hung=hung)
    hung_on = [candidate for candidate, seen in belief.seen.items() if seen.hangs]
    assert belief.chance_bad[hung_on] == pytest.approx(1.0)
    assert not belief.posterior[~belief.bad[:, hung_on].all(axis=1)].any()


def test_the_good_end_hangs_too() -> None:
    """A hang on the good end leaves one hypothesis: that all are bad."""
    introduced = Belief(hypotheses(line(5))).saw(0, 3, hung=True)
    assert introduced.answer() == Group((0,), 1.0)
    fixed = Belief(hypotheses(line(5), "fixed")).saw(4, 3, hung=True)
    assert fixed.posterior.tolist() == pytest.approx([1, 0, 0, 0, 0])


def test_rates_of_candidates_that_differ_by_brute_force() -> None:
    """The posterior is that of drawing rates by the million: each candidate's own about a common mean, both unknown."""
    rates = Rates(np.array([0.02, 0.1]), np.array([0.5, 0.5]), 4)
    belief = Belief(hypotheses(line(3)), rates).saw(2, 5, hung=True).saw(1, 20, hung=False).saw(2, 12, hung=True)
    chance = np.random.default_rng(7)
    mean = chance.choice(rates.mean, 2_000_000)
    own = [chance.beta(4, 4 * (1 - mean) / mean) for _ in range(2)]
    newest = own[1] ** 2 * (1 - own[1]) ** 15
    weight = np.array([(newest * (1 - own[0]) ** 20).mean()] * 2 + [newest.mean()])
    assert belief.posterior == pytest.approx(weight / weight.sum(), rel=5e-3)
    assert belief.joint.sum(axis=0)[0] < 0.5


@pytest.mark.parametrize(("alpha", "beta_"), [(2.0, 20.0), (0.5, 0.5), (1.0, 1.0)])
def test_it_agrees_with_git_bayesect(alpha: float, beta_: float) -> None:
    """With one rate for all, a line of history and no hang on the good side, the posterior is git-bayesect's."""
    chance = Random(7)
    count = 12
    belief = Belief(hypotheses(line(count)), one_rate(alpha, beta_))
    theirs = Bisector(np.ones(count), alpha, beta_, alpha_old=1e-12, beta_old=1.0)  # newest first; the good never hang
    for _ in range(12):
        candidate = chance.randrange(3, count)
        trials, hung = chance.randint(1, 9), candidate >= 7 and chance.random() < 0.7
        belief = belief.saw(candidate, trials, hung=hung)
        for number in range(trials):
            theirs.record(count - 1 - candidate, hung and number == trials - 1)
        assert belief.posterior == pytest.approx(theirs.distribution[::-1], abs=1e-6)
    assert belief.posterior.max() > 100 * belief.posterior[:3].max()


def test_what_is_skipped_may_be_the_culprit() -> None:
    """A candidate that cannot be tried keeps its chance, which git-bayesect takes from it, and shares its answer."""
    belief = Belief(hypotheses(line(4)), sure(0.5)).skip(2).saw(1, 20, hung=False).saw(3, 1, hung=True)
    theirs = Bisector(np.ones(4))
    theirs.record(1, None)
    with np.errstate(divide="ignore"):
        assert theirs.distribution[1] == 0
    assert belief.posterior[2] == pytest.approx(0.5, abs=1e-5)
    answer = belief.answer()
    assert answer is not None
    assert answer.members == (2, 3)
    assert belief.answer(1 - 1e-7) is None


def test_groups_of_a_history_with_forks() -> None:
    """Both sides of a fork are one answer where neither can be tried, and the merge with them where it cannot."""
    fork = Belief(hypotheses(FORK))
    assert sorted(group.members for group in fork.groups) == [(0,), (1,), (2,), (3,), (4,)]
    assert (1, 2, 3) in {group.members for group in fork.skip(1).skip(2).groups}
    assert (3, 4) in {group.members for group in fork.skip(3).groups}


@pytest.mark.parametrize("shape", [4.0, math.inf])
@pytest.mark.parametrize("rate", [0.3, 0.003])
def test_clean_trials_that_make_good(rate: float, shape: float) -> None:
    """The number needed is the least at which a bad candidate is quiet in 5 %; about 3 over a rate known for all."""
    belief = Belief(hypotheses(line(4)), sure(rate, shape))
    needed = belief.clean_needed(0.95)
    [[before, after]] = belief.rates.quiet(np.array([needed - 1, needed]))
    assert after <= 0.05 < before
    if math.isinf(shape):
        assert needed == math.ceil(math.log(0.05) / math.log1p(-rate))


def test_calibration_learns_the_rate() -> None:
    """Hangs on the bad end narrow the rate about one over the trials that each took, and so the clean trials needed."""
    start = Belief(hypotheses(line(4)))
    once = start.saw(3, 100, hung=True)
    often = once
    for _ in range(7):
        often = often.saw(3, 100, hung=True)
    assert often.rate(0.05) < 0.01 < often.rate(0.95)
    assert often.rate(0.95) / often.rate(0.05) < once.rate(0.95) / once.rate(0.05) < 1e4
    assert often.clean_needed() < once.clean_needed() < start.clean_needed()


def test_a_prior_counts() -> None:
    """Weights given beforehand multiply what was seen; a weight of nothing stays nothing."""
    belief = Belief(hypotheses(line(3)), sure(0.5), prior=[0, 1, 3])
    assert belief.posterior == pytest.approx([0, 0.25, 0.75])
