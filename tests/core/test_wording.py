"""How findings are named in sentences."""

from typing import get_args

from harness.core.wording import Wording, none_of
from harness.scenario.model import Hunted


def test_each_kind_that_a_scenario_may_hunt_has_its_words() -> None:
    """No kind is called a hang that is none."""
    nouns = [Wording.of([kind]).noun for kind in get_args(Hunted)]
    assert len({*nouns}) == len(nouns)
    assert nouns[:3] == ["hang", "stall", "failure"]


def test_several_kinds_are_joined() -> None:
    """As long as it is not known which one it is, each is named; records that name none are of hangs."""
    words = Wording.of(["hang", "failure", "hang"])
    assert f"it {words.third}; A {words.past}" == "it hangs or fails; A hung or failed"
    assert (words.counted(1), words.counted(2)) == ("1 hang or failure", "2 hangs or failures")
    assert Wording.of([""]) == Wording.of([]) == Wording.of(["hang"])
    assert none_of(["hang", "stall"]) == "no hang and no stall"
    assert none_of(["hang", "stall", "death"]) == "no hang, stall or death"
