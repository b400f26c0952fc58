"""``clock``: has the daemon's clock jump, as after a step of NTP or on a host that was suspended, and jump back."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress

import psutil

from harness.actors.base import ActorEnv, CouldNot, Disturbance, Effect, NothingOfTheKind
from harness.actors.relayed import one_of
from harness.core.quantities import Duration
from harness.core.units import format_duration
from harness.host.clock_shift import NoClockShift, clock_shifted
from harness.scenario import Setting, Violation
from harness.scenario.triggers import Firing


class Clock(Disturbance):
    """Set the daemon's wall clock ahead or back; `when.lasting` says for how long.

    It is the clock of the daemon's own processes alone, dockerd's containerd and a builder in a container included. The
    host's stays as it is, and so does that of clients and steps.
    """

    lasts = True

    ahead: Duration | None = None
    """By so much, in whole seconds."""
    back: Duration | None = None
    """By so much, in whole seconds."""

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        yield from super().faults(setting)
        yield from one_of(self, ("ahead", "back"), "ahead")
        if 0 < abs(self._by) < 1:
            yield Violation(("ahead" if self.ahead else "back",), "is at least 1s: it is taken in whole seconds")

    @property
    def _by(self) -> float:
        return (self.ahead or 0.0) - (self.back or 0.0)

    @property
    def in_words(self) -> str:
        """What it does, for a sentence that goes on with when."""
        return f"sets the daemon's clock {format_duration(abs(self._by))} {'ahead' if self._by > 0 else 'back'}"

    @asynccontextmanager
    async def act(self, stage: ActorEnv, moment: Firing) -> AsyncIterator[Effect]:  # noqa: ARG002 — every moment alike
        """Have the clock jump, and jump back; the effect is how many processes see it.

        Raises:
            CouldNot: the daemon is not ours or is down, or its clock cannot be set.
        """
        if not stage.daemon.facts.private:
            raise NothingOfTheKind("the daemon is not ours")
        with ExitStack() as healing:
            pids = [*_processes(stage.daemon.facts.pids)]
            try:
                for pid in pids:
                    healing.enter_context(clock_shifted(pid, round(self._by)))
            except NoClockShift as error:
                raise CouldNot(str(error)) from error
            if not pids:
                raise CouldNot("the daemon is down")
            yield Effect(f"the clocks of {', '.join(map(str, pids))} jumped by {round(self._by)} s", effect=len(pids))


def _processes(pids: tuple[int, ...]) -> Iterator[int]:
    """Yield the daemon's processes, and the containerd that one of them has started."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            yield pid
            yield from (below.pid for below in psutil.Process(pid).children() if below.name() == "containerd")
