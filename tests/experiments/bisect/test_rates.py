"""What is thought of hang rates before any is seen: chances that sum to 1, and a good side below the bad one."""

import numpy as np
import pytest

from harness.experiments.bisect.rates import Rates
from harness.experiments.bisect.spread import Alike, Trials


@pytest.mark.parametrize("never", [0.0, 0.75])
def test_chances_sum_to_one(never: float) -> None:
    """Of the worst side, and of each side below it for each rate of the one above; none is above the other."""
    rates = Rates.flat(never)
    assert rates.worst.sum() == pytest.approx(1.0)
    assert rates.below[2:].sum(axis=1) == pytest.approx(1.0)
    assert rates.between[3:].sum(axis=1) == pytest.approx(1.0)
    assert not np.triu(rates.below).any()
    assert sum(chance for chance, _ in rates.spreads) == pytest.approx(1.0)
    assert rates.below[30, 0] == pytest.approx(never)


def test_who_never_hangs_is_quiet() -> None:
    """The first rate of the grid has no hang, however long a look is."""
    rates = Rates.flat()
    assert rates.likelihood(Alike(), [Trials(5000, hung=False)])[0] == 0
    assert np.exp(rates.likelihood(Alike(), [Trials(5, hung=True)])[0]) == 0
    assert rates.quiet(Alike(), np.array([10**6]))[0, 0] == 1
    assert rates.until_hang(Alike(), np.array([70]))[0, 0] == 70
