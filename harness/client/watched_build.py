"""One running build client, as the rest of the run sees it."""

import re
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import anyio

from harness.buildkit.progress import News, Progress
from harness.client.activity import Work
from harness.client.detectors.base import Detection, Detector, Stillness, Success, SuccessDetector
from harness.core.outcome import FAILURES, FindingKind, Outcome, Phase
from harness.daemons.base import BuildClient, BuildRequest
from harness.host.attended_clock import AttendedClock
from harness.host.proc import Identity

_LEFTOVER_SECONDS: Final = 5.0
"""How long what a client started may outlive it, before it is killed."""
_BROKEN_CONNECTION: Final = re.compile(
    r"cannot connect to the docker daemon|connection refused|connection reset|connection lost|connection is closing|"
    r"broken pipe|transport is closing|error reading (from server|preface)|code = unavailable|failed to dial|"
    r"unexpected eof",
    re.IGNORECASE,
)


class Watch:
    """A client, its progress, and the attended time since either last moved."""

    def __init__(self, actor: str, request: BuildRequest, client: BuildClient, attention: AttendedClock) -> None:
        self.actor, self.request, self.client = actor, request, client
        may_fail = request.cache_to is not None and request.cache_to.ignore_error
        self.progress = Progress(anyio.current_time(), request.results, cache_may_fail=may_fail)
        self.patience = anyio.CancelScope()
        """The wait for the client; cancelled at a finding, or when the run ends."""
        self.found: Detection | None = None
        self.killed: float | None = None
        """Monotonic time of our signal, where the scenario times this build out."""
        self.killed_at = ""
        """Where it stood as its own time-out came; empty where that did not."""
        self.killed_after = 0.0
        self.kill_due: float | None = None
        """Monotonic time at which it is to be timed out, once that is known."""
        self.excuse = ""
        """Why it may fail without fault of its own: the daemon is taken down on purpose."""
        self.severed = ""
        """Why its connection may break: the network is made to fail on purpose."""
        self.on_news: Callable[[Watch, News], None] = lambda _watch, _news: None
        self.failure_kind: Callable[[Outcome, str], FindingKind | None] = lambda _outcome, _error: None
        """Which failures are findings, and of what kind."""
        self.of_success: Sequence[SuccessDetector] = ()
        """What may find something of a success."""
        self.tail: float | None = None
        """Attended seconds from its export's completion to its exit, once it has exited."""
        self._attention = attention
        self._phase_since = self._heard_at = attention.attended
        self.closed = anyio.Event()
        """Every holder of the client's pipe has closed it, and all that was printed is read."""
        self._entered = defaultdict[Phase, anyio.Event](anyio.Event)
        self._listeners: list[Callable[[bytes], object]] = []
        self._holders = 0

    @property
    def iteration(self) -> int:
        """Which build it is."""
        return self.request.iteration

    @property
    def since_export(self) -> float | None:
        """Attended seconds since the export completed; None before that, while held, and at the end."""
        if self.found or self._holders or self.client.returncode is not None:
            return None
        return self._attention.attended - self._phase_since if self.progress.phase is Phase.EXPORTED else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Suspend all detectors while the harness itself stops the client; afterwards every wait starts from zero."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self._phase_since = self._heard_at = self._attention.attended

    @contextmanager
    def tee(self, listener: Callable[[bytes], object]) -> Iterator[None]:
        """Pass on what the client prints, as it comes."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    async def listen(self) -> None:
        """Read what the client prints until every holder of the pipe has closed it."""
        async for chunk in self.client.output():
            for listener in self._listeners:
                listener(chunk)
            self._heard_at = self._attention.attended
            news = self.progress.feed(chunk, anyio.current_time())
            if news.phases:
                self._phase_since = self._heard_at
            for phase in news.phases:
                self._entered[phase].set()
            self.on_news(self, news)
        self.closed.set()

    async def enters(self, phase: Phase) -> float:
        """Wait until the build has come to a phase; return the monotonic time at which it did."""
        if phase not in self.progress.reached:
            await self._entered[phase].wait()
        return self.progress.reached[phase]

    async def wait(self) -> None:
        """Wait until the client has ended and what it printed is read; what it leaves running is killed in time."""
        await self.client.wait()
        exited = anyio.current_time()
        if self.progress.phase is Phase.EXPORTED:
            self.tail = self._attention.attended - self._phase_since
        with anyio.move_on_after(_LEFTOVER_SECONDS):
            await self.closed.wait()
        if not self.closed.is_set():
            self.client.signal(signal.SIGKILL, group=True)
        self.progress.exited(exited)
        self.on_news(self, News((Phase.EXITED,)))

    def look(self, detectors: Iterable[Detector], work: Callable[[], Work] = lambda: Work.NONE) -> None:
        """Ask each detector in turn; at the first finding, stop waiting for the client.

        Args:
            detectors: those to ask.
            work: what the daemon is seen to do for this build.
        """
        if self.found or self._holders or self.client.returncode is not None:
            return
        now = self._attention.attended
        still = Stillness(self.progress.phase, now - self._phase_since, now - self._heard_at, work)
        for detector in detectors:
            waited = detector.waited(still)
            if waited is not None:
                self.find(Detection(detector.outcome, waited))
                return

    def find(self, detection: Detection) -> None:
        """Take what is found of it while it runs, and stop waiting for the client."""
        self.found = detection
        self.patience.cancel()

    def weigh(self, verdict: "ClientVerdict") -> None:
        """Take note where a client that has ended is a finding by its error, or by another of its messages; or by what
        its success looks like.
        """
        if verdict.outcome is Outcome.OK:
            success = self._success()
            findings = [found for detector in self.of_success if (found := detector.weigh(success))]
            self.found = findings[0] if findings else None
            return
        text = "\n".join(dict.fromkeys((verdict.error, *self.progress.messages)))
        if kind := self.failure_kind(verdict.outcome, text):
            self.found = Detection(kind, error=verdict.error)

    def _success(self) -> Success:
        request, reached = self.request, self.progress.reached
        return Success(
            actor=self.actor,
            args=request.args,
            started=reached[Phase.STARTED],
            exited=reached[Phase.EXITED],
            tail=self.tail,
            steps=self.progress.vertexes.values(),
            uses_cache=not request.no_cache and not request.pull,
        )

    def cut_off(self) -> None:
        """Stop waiting for the client, unless its export has completed and it may yet be seen to hang."""
        if self.progress.phase is not Phase.EXPORTED:
            self.patience.cancel()


def daemon_is_gone(error: str) -> bool:
    """Whether a client's error says that the daemon, or the containerd behind it, was not there to answer."""
    return bool(_BROKEN_CONNECTION.search(error))


@dataclass(frozen=True)
class ClientVerdict:
    """What became of a client, and the error it told, if any."""

    outcome: Outcome
    error: str = ""


def judge_client(watch: Watch, daemon: int | None) -> ClientVerdict:
    """Say what became of a client that is waited for no more.

    Args:
        watch: the client.
        daemon: the daemon's pid, if it is ours: a build that failed beside a dead daemon did not fail by itself.
    """
    progress, returncode = watch.progress, watch.client.returncode
    if watch.found and isinstance(watch.found.kind, Outcome) and watch.found.kind not in FAILURES:
        return ClientVerdict(watch.found.kind)
    if progress.phase is not Phase.EXITED or returncode is None:
        return ClientVerdict(Outcome.CUT_OFF)
    if returncode == 0:
        return ClientVerdict(Outcome.OK)
    if watch.excuse:
        return ClientVerdict(Outcome.CUT_OFF, watch.excuse)
    if watch.killed is not None:
        return ClientVerdict(Outcome.TIMED_OUT)
    verdict = _judge_failure(progress, returncode, daemon_died=daemon is not None and not _alive(daemon))
    severed = watch.severed and _BROKEN_CONNECTION.search(verdict.error)
    return ClientVerdict(Outcome.CUT_OFF, f"{watch.severed}: {verdict.error}") if severed else verdict


def _judge_failure(progress: Progress, returncode: int, *, daemon_died: bool) -> ClientVerdict:
    """Tell a build that failed from a client that never got to build."""
    if returncode < 0:
        return ClientVerdict(Outcome.INFRA, f"the client was ended by signal {-returncode}, which we did not send")
    text = [line for line in progress.messages if "error" in line.lower()] or [*progress.messages]
    error = text[-1] if text else progress.vertex_error or f"the client ended with status {returncode}, and no word"
    built = Phase.SOLVING in progress.reached and not daemon_is_gone(error) and not daemon_died
    failed = Outcome.LATE_FAILURE if progress.came_to is Phase.EXPORTED else Outcome.FAILED
    return ClientVerdict(failed if built else Outcome.INFRA, error)


def _alive(pid: int) -> bool:
    try:
        return Identity.of(pid).alive()
    except ProcessLookupError:
        return False
