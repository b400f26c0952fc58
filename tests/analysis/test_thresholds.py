"""Thresholds of the user's own: what they may say, what they come to, and what is refused."""

from dataclasses import replace

import pytest

from harness.analysis.rates import rate
from harness.analysis.thresholds import NAMES, Threshold, value_of
from tests.analysis.test_judge import OK, judged

SUMMARY = replace(judged([OK], seconds=60.0), rate=rate(1, 100), outcomes={"ok": 99, "hang": 1}, tail_seconds={})

HOLDS = {
    "rate.high95 > 0.01": True,
    "rate.high95 > 6/100": False,
    "0.01 < rate.high95 < 0.1": True,
    "rate.hangs >= 1 and rate.trials >= 100": True,
    "outcomes.hang / (outcomes.hang + outcomes.ok) >= 0.01": True,
    "outcomes.late_failure != 0": False,
    "not (outcomes.ok < 50) and -seconds < 0": True,
    "verdict == 'inconclusive'": False,
    "ending != 'time' or verdict == 'hang'": True,
    "tail_seconds.p99 > 1": None,
    "tail_seconds.p99 > 1 or rate.hangs == 1": True,
    "tail_seconds.p99 > 1 and rate.hangs == 0": False,
    "tail_seconds.p99 > 1 and rate.hangs == 1": None,
    "not tail_seconds.p99 > 1": None,
    "first_hang.iteration < 10": None,
    "leak.low95 > 0": None,
    "rate.hangs / outcomes.stall > 1": None,
    "rate.hangs * 1e308 * 1e308 > 1": True,
}


@pytest.mark.parametrize(("text", "holds"), HOLDS.items(), ids=HOLDS)
def test_what_it_comes_to(text: str, holds: bool | None) -> None:
    """A condition holds, does not, or rests on what the run does not tell: the rules of logic with an unknown."""
    assert Threshold.parse(text).holds(SUMMARY) is holds


REFUSED = {
    "rate.high59 > 0.01": r"there is no 'rate\.high59'; did you mean 'rate\.high95'\?; there are: verdict, ending, ",
    "rate > 0.01": "there is no 'rate'",
    "hangs > 1": "there is no 'hangs'",
    "rate.high95": "is a number and no condition; compare it",
    "'hang'": "is a word and no condition",
    "rate.high95 >": "is no condition like",
    "": "is no condition like",
    "verdict > 'clean'": "is a word, where a number has to stand",
    "verdict == 1": "is a number, where a word has to stand",
    "rate.hangs == 'many'": "is a word, where a number has to stand",
    "rate.hangs and 1": "is a number, where a condition has to stand",
    "(rate.hangs > 1) > 0": "is a condition, where a number has to stand",
    "rate.hangs ** 9 > 1": "cannot be used here",
    "__import__('os').system('true') > 1": "cannot be used here|there is no",
    "rate.hangs.__class__ == 1": "there is no",
    "[1][0] > 0": "cannot be used here",
    "(lambda: 1)() > 0": "cannot be used here",
    "True": "cannot be used here",
    "None == 1": "cannot be used here",
    "1j > 0": "cannot be used here",
    "rate.hangs is 1": "cannot be used here",
    "(x := 1) > 0": "cannot be used here",
    "f'{seconds}' == 'x'": "cannot be used here",
    "\0 > 1": "is no condition like",
    "(" * 400: "is no condition like",
    "not " * 122 + "1 > 0": "",
    "9" * 501: "has 501 characters; at most 500 are read",
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_what_is_refused(text: str, why: str) -> None:
    """What is no condition is refused with what may stand there, and nothing of it is run."""
    if not why:
        assert Threshold.parse(text).holds(SUMMARY) is True
        return
    with pytest.raises(ValueError, match=why):
        Threshold.parse(text)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_of_a_summary(name: str) -> None:
    """Each name stands for something in every summary, or for what it does not tell: none of them breaks."""
    assert isinstance(value_of(name, SUMMARY), int | float | str | None)


def test_it_is_told_with_its_figures() -> None:
    """Who reads that a build failed reads why: every name with what it came to."""
    told = Threshold.parse("rate.high95 > 0.01 and tail_seconds.p99 < 1 and rate.high95 < 1").format(SUMMARY)
    assert told.endswith("(rate.high95 is 0.05446, tail_seconds.p99 is not known)")
