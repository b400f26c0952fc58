"""The attempts of a search, a line on disk for each as it is done.

What is attempted next follows from what was seen. So a search that was ended goes on by being asked the same once more:
what its folder has is not attempted again.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from harness.core.outcome import Ending, Outcome
from harness.core.rng import SEED_BITS, Dice
from harness.experiments.earlier import AskedElse, differing, earlier_folder
from harness.experiments.journal import entries, line_of
from harness.experiments.minimize.case import Case
from harness.experiments.minimize.sequential import Tally
from harness.experiments.short_run import HOST_TRIES, HostFails, ShortRun
from harness.store.folder import RunFolder
from harness.store.folders import new_folder
from harness.store.minimized import BEGUN

_ATTEMPTS: Final = "attempts.jsonl"

Take = Callable[[Case, int], Awaitable[ShortRun]]
"""Runs a case on a fresh daemon, with a seed."""


@dataclass(frozen=True)
class Attempt:
    """One run of a case."""

    key: str
    """The case's."""
    what: str
    """What it is of, to a person."""
    hung: bool
    """With the signature that is looked for."""
    look: ShortRun
    seconds: float
    """Of all daemons up to its end."""


@dataclass
class Attempts:
    """All attempts so far, in their order."""

    path: Path
    seed: int
    take: Take
    signature: str = ""
    """The hang that is looked for, or what else is; the first one's, where it is not said."""
    done: list[Attempt] = field(default_factory=list)
    known: list[Attempt] = field(default_factory=list)
    """What an earlier process saw, and is not asked for yet."""
    report: Callable[[Attempt, bool], None] = lambda attempt, known: None  # noqa: ARG005 — nobody hears

    @property
    def kind(self) -> str:
        """What is looked for: a `hang`, a `failure`, and so on."""
        return next((attempt.look.kind for attempt in self.done if attempt.hung), "") or Outcome.HANG

    @property
    def seconds(self) -> float:
        """What all daemons so far took, from start to end."""
        return self.done[-1].seconds if self.done else 0.0

    def of(self, case: Case) -> Tally:
        """Return how often a case has hung."""
        own = [attempt for attempt in self.done if attempt.key == case.key]
        return Tally(sum(attempt.hung for attempt in own), len(own))

    def hung_with(self, case: Case) -> list[Attempt]:
        """Return the attempts at a case that hung."""
        return [attempt for attempt in self.done if attempt.key == case.key and attempt.hung]

    async def attempt(self, case: Case, what: str) -> Attempt:
        """Run a case once more, and save what came of it.

        Raises:
            UsageError: the case is no scenario.
            HostFails: the host breaks, again and again.
            Interrupted: it was ended by the user.
        """
        known = next((attempt for attempt in self.known if attempt.key == case.key), None)
        if known:
            self.known.remove(known)
            return self._add(known, known=True)
        for _ in range(HOST_TRIES):
            seed = Dice(self.seed, "attempts").throw(len(self.done) + 1).getrandbits(SEED_BITS)
            look = await self.take(case, seed)
            if look.ending is not Ending.INFRA:
                break
        else:
            raise HostFails("attempts", look.because)
        hung = look.said == "hang" and self.signature in {"", look.signature}
        spent = max([self.seconds, *(attempt.seconds for attempt in self.known)])
        attempt = Attempt(case.key, what, hung, look, spent + look.seconds)
        with (self.path / _ATTEMPTS).open("a") as file:
            file.write(line_of(attempt))
        return self._add(attempt, known=False)

    def _add(self, attempt: Attempt, *, known: bool) -> Attempt:
        if attempt.hung:
            self.signature = self.signature or attempt.look.signature
        self.done.append(attempt)
        self.report(attempt, known)
        return attempt


def begin(results: Path, name: str, asked: dict[str, Any], seed: int) -> Path:
    """Make the folder of a new search, ``results/<scenario>/minimize-<UTC time>-<4 hex>``.

    Raises:
        StoreError: it cannot be made.
    """
    path = new_folder(results / name, kind="minimize")
    RunFolder(path).write_json(BEGUN, {"asked": asked, "seed": seed})
    return path


def resume(results: Path, name: str, earlier: str, asked: dict[str, Any]) -> tuple[Path, int, list[Attempt]]:
    """Return the folder of a search that was ended, its seed, and the attempts that it has.

    Raises:
        NoSuchSearch: there is none of that name, or several.
        AskedElse: it was asked something else.
        StoreError: it cannot be read.
    """
    path = earlier_folder(earlier, results / name, "minimize", "minimization")
    begun = RunFolder(path).read_json(BEGUN)
    if differ := differing(begun, asked):
        raise AskedElse(path, differ)
    return path, begun["seed"], entries(path / _ATTEMPTS, Attempt)


def locked(path: Path) -> AbstractContextManager[None]:
    """Lock a search for this process.

    Raises:
        RunGoesOn: another process has it.
    """
    return RunFolder(path).locked()
