"""A run or search that is resumed first removes what its killed predecessor left on this host."""

from collections.abc import Callable, Iterable

from harness.core.errors import InfraError
from harness.daemons.visit import leave
from harness.host.ledger import Ledger, LeftAlone, ledgers


class NotGivenBack(InfraError):
    """What a dead harness left, and what could not be ended or removed."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__(
            f"what was begun before is still on this host: {'; '.join(problems)}; `repro clean` tries again"
        )


async def reclaim(of_ours: Callable[[Ledger], bool]) -> list[str]:
    """End and remove what stands in ledgers of an earlier harness; return what stays elsewhere for good.

    Args:
        of_ours: whether a ledger is of what is gone on with.

    Raises:
        NotGivenBack: something is left, or is another's.
    """
    problems, told = [], list[str]()
    for ledger in [*ledgers()]:
        if of_ours(ledger):
            try:
                problems += await ledger.reclaim(leave)
                told += ledger.told
            except LeftAlone as error:
                problems.append(str(error))
    if problems:
        raise NotGivenBack(problems)
    return told
