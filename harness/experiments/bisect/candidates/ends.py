"""Both ends of a range, had before anything is searched between them."""

from harness.core.errors import UsageError
from harness.experiments.bisect.candidates.base import CannotBeHad, Range


class EndsCannotBeHad(UsageError):
    """A range of which an end, or both, cannot be tried."""

    def __init__(self, refusals: list[CannotBeHad]) -> None:
        reasons = "; ".join(str(refusal) for refusal in refusals)
        if len(refusals) == 1:
            super().__init__(f"one end of the range cannot be tried, so choose another: {reasons}")
        else:
            super().__init__(f"neither end of the range can be tried, so the candidates are hardly at fault: {reasons}")


async def require_ends(candidates: Range) -> tuple[str, str]:
    """Return the toolchains of the oldest and the newest candidate.

    Raises:
        EndsCannotBeHad: one of them, or both, cannot be tried; the message says why.
        InfraError: the network or this host broke.
    """
    had, refusals = [], []
    for index in (len(candidates.candidates) - 1, 0):
        try:
            had.append(await candidates.toolchain(index))
        except CannotBeHad as refusal:
            refusals.append(refusal)
    if refusals:
        raise EndsCannotBeHad(refusals)
    newer, older = had
    return older, newer
