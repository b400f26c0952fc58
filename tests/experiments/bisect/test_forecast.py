"""What a search is said to take still, held against what searches of made-up histories take."""

import numpy as np

from harness.experiments.bisect.belief import Belief, hypotheses, line
from harness.experiments.bisect.choice import Costs
from harness.experiments.bisect.forecast import Forecast, forecast
from tests.experiments.bisect.forecasts import calibrated, held
from tests.experiments.bisect.simulated import BUILD, START, TRIAL, Setting

END = 63


def test_four_of_five_searches_take_what_is_said() -> None:
    """At its beginning a search is told what it will take, right in four of five cases, and not at any width."""
    told = [held(Setting(0.3), seed) for seed in range(2000, 2008)]
    within = [one.low80 <= took <= one.high80 for one, took in told]
    assert 0.6 <= sum(within) / len(within) <= 0.97
    assert np.mean([one.high80 / one.low80 for one, _ in told]) < 4


def test_it_falls_to_nothing() -> None:
    """Once the answer is there, or nothing more can be told, nothing is left."""
    belief, costs, _ = calibrated(Setting(0.3), 1)
    known = belief.saw(40, 5, hung=True).saw(40, 3, hung=True)
    for _ in range(6):
        known = known.saw(40, 3, hung=True).saw(39, 200, hung=False)
        known = known.saw(20, 200, hung=False).saw(30, 200, hung=False).saw(50, 3, hung=True)
    assert known.answer(0.95) is not None
    assert forecast(known, costs, 0.95, 1) == Forecast(0.0, 0.0)
    for candidate in range(1, END):
        belief = belief.skip(candidate)
    assert forecast(belief.skip(0), costs, 0.95, 1) == Forecast(0.0, 0.0)


def test_nothing_is_left_of_a_search_that_a_plainer_belief_would_go_on_with() -> None:
    """The looks of a search in BuildKit's history: it has its answer, though who takes it for simple is less sure."""
    belief = Belief(hypotheses(line(36)))
    hangs = {35: (55, 5, 13), 27: (11, 16), 23: (9,), 21: (11, 36), 20: (46,), 19: (29, 97, 6, 21)}
    clean = {0: (45,), 18: (181, 37, 45, 44, 35, 44, 42, 43, 46, 48), 19: (58, 42)}
    for hung, looks in ((True, hangs), (False, clean)):
        for candidate, lengths in looks.items():
            for trials in lengths:
                belief = belief.saw(candidate, trials, hung=hung)
    assert belief.answer() is not None
    have = [0.0 if candidate in belief.seen else 164.0 for candidate in range(36)]
    assert forecast(belief, Costs(have, 3.8, 1.2, 4.1), 0.95, 1) == Forecast(0.0, 0.0)


def test_dear_builds_count() -> None:
    """Where a candidate takes an hour to build, a search takes about as many hours as there are halves."""
    belief, costs, _ = calibrated(Setting(0.3), 3)
    hourly = forecast(belief, Costs([3600.0] * END + [0.0], costs.start, costs.trial), 0.95, 1)
    assert hourly is not None
    assert 5 * 3600 < hourly.low80 <= hourly.high80 < 11 * 3600


def test_a_thousand_candidates() -> None:
    """A long history is foreseen too: at the least it takes a build for each of its halves."""
    belief = Belief(hypotheses(line(1000)))
    for trials in (20, 30, 16):
        belief = belief.saw(999, trials, hung=True)
    found = forecast(belief, Costs([BUILD] * 999 + [0.0], START, TRIAL), 0.95, 1)
    assert found is not None
    assert 9 * BUILD < found.low80 < 30 * BUILD
    assert found.low80 < found.high80


def test_too_many_looks_are_not_played_out() -> None:
    """Where looks cost nothing to begin they are made build by build, and what thousands of them take is not told."""
    belief, costs, _ = calibrated(Setting(0.003), 3)
    assert forecast(belief, Costs(costs.have, start=0.0, trial=1e-6), 0.95, 1) is None


def test_the_same_seed_says_the_same() -> None:
    """A forecast is drawn, and yet the same each time."""
    belief, costs, _ = calibrated(Setting(0.03), 3)
    assert forecast(belief, costs, 0.95, 5) == forecast(belief, costs, 0.95, 5)


def test_looks_that_are_made_at_once_take_the_time_of_one() -> None:
    """Where all candidates are there, eight places make a search shorter, and no more than eight times."""
    belief, costs, _ = calibrated(Setting(0.03), 3)
    there = Costs([0.0] * (END + 1), costs.start, costs.trial, costs.hang)
    alone, eight = (forecast(belief, there, 0.95, 5, places) for places in (1, 8))
    assert alone is not None
    assert eight is not None
    assert alone.low80 / 8 < eight.low80 < 0.7 * alone.low80
    assert alone.high80 / 8 < eight.high80 < 0.7 * alone.high80
