"""Forecasts of searches of made-up histories, beside what these then took."""

from harness.experiments.bisect.belief import Belief, hypotheses, line
from harness.experiments.bisect.choice import Costs
from harness.experiments.bisect.forecast import Forecast, forecast
from tests.experiments.bisect.simulated import BUILD, HANGS, START, TRIAL, Setting, World, search


def calibrated(setting: Setting, seed: int) -> tuple[Belief, Costs, float]:
    """Return what is known after the bad end's hangs, as `search` sees them, and the seconds so far."""
    world, end = World(setting, seed), setting.count - 1
    belief = Belief(hypotheses(line(setting.count)))
    world.have(end)
    for _ in range(HANGS):
        trials, hung = world.look(end, 10**9)
        belief = belief.saw(end, trials, hung=hung)
    return belief, Costs([BUILD] * end + [0.0], START, TRIAL), world.seconds


def held(setting: Setting, seed: int) -> tuple[Forecast, float]:
    """Return what a search was said to take, and what it then took."""
    belief, costs, spent = calibrated(setting, seed)
    found = forecast(belief, costs, 0.95, seed)
    assert found is not None
    return found, search(setting, seed).seconds - spent
