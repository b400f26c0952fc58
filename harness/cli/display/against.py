"""`--against`: what a run says of a hang rate that the user names, such as one that another daemon had."""

import math
from dataclasses import dataclass

from harness.analysis.rates import confidence_that_excludes, more_needed
from harness.core.errors import UsageError
from harness.core.records import Summary
from harness.core.units import format_duration, parse_rate


class NoRate(UsageError):
    """What was given as a rate, and is none."""

    def __init__(self, why: str) -> None:
        super().__init__(f"--against: {why}")


@dataclass(frozen=True)
class Against:
    """What trials say of a rate; the confidence and the trials that it takes are of a run without a hang."""

    against: float
    hangs: int
    trials: int
    unsettled: int
    """See `Rate`."""
    low95: float
    high95: float
    within95: bool
    """Whether the 95 % interval of the rate contains it."""
    excluded_with: float | None
    more95: int | None
    more99: int | None
    trials_per_minute: float


def require_rate(text: str | None) -> str | None:
    """Return the text of a rate as it stands, or None.

    Raises:
        NoRate: it is none.
    """
    try:
        return text if text is None or parse_rate(text) else None
    except ValueError as error:
        raise NoRate(str(error)) from error


def hold_against(summary: Summary, text: str) -> Against:
    """Return what a run says of a rate."""
    against, rate = parse_rate(text), summary.rate
    clean = rate.hangs == 0
    return Against(
        against=against,
        hangs=rate.hangs,
        trials=rate.trials,
        unsettled=rate.unsettled,
        low95=rate.low95,
        high95=rate.high95,
        within95=rate.low95 <= against <= rate.high95,
        excluded_with=confidence_that_excludes(rate.trials, against) if clean else None,
        more95=more_needed(rate.trials, against, 0.95) if clean else None,
        more99=more_needed(rate.trials, against, 0.99) if clean else None,
        trials_per_minute=60 * rate.trials / summary.seconds if summary.seconds else 0.0,
    )


def format_against(summary: Summary, text: str) -> str:
    """Return the same to a person, in one line."""
    held = hold_against(summary, text)
    if held.excluded_with is None or held.more95 is None or held.more99 is None:
        where = "contains" if held.within95 else "lies above" if held.low95 > held.against else "lies below"
        return f"{summary.rate}: {summary.rate.interval} (95 % sure), which {where} {text}"
    shown = _rounded_down(100 * held.excluded_with)
    needs = f"for 95 % run {_more(held.more95, held)}, for 99 % {_more(held.more99, held)}"
    if held.more99 == 0:
        needs = "that is enough"
    elif held.more95 == 0:
        needs = f"for 99 % run {_more(held.more99, held)}"
    speed = f", at {held.trials_per_minute:.0f} a minute" if held.more99 and held.trials_per_minute >= 1 else ""
    sure = f"so it hangs more rarely than {text} ({shown} % sure)"
    return f"no hang in {held.trials:,} builds, {sure}; {needs}{speed}"


def _rounded_down(percent: float) -> str:
    """Return four digits of it, never more than there is: what is called 95 % needs nothing more for that."""
    percent = min(percent, 99.99)
    if percent <= 0:
        return "0"
    scale = 10.0 ** (3 - math.floor(math.log10(percent)))
    return f"{math.floor(percent * scale) / scale:.4g}"


def _more(trials: int, held: Against) -> str:
    if held.trials_per_minute < 1:
        return f"{trials:,} more"
    return f"{trials:,} more ({format_duration(round(60 * trials / held.trials_per_minute))})"
