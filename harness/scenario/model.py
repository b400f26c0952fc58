"""The model of a scenario, but for the actors' own options: those stand in the actors' files."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from harness.core.model import Pattern, StrictModel
from harness.core.outcome import FAILURES, FindingKind, Outcome, Symptom, finding_kind
from harness.core.quantities import Duration, Size
from harness.core.units import format_duration
from harness.scenario.environment import Environment
from harness.scenario.owned import owned_keys
from harness.scenario.triggers import When

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
"""A name fit for files, tags and screens."""
Webhook = Annotated[str, Field(pattern=r"^(https?://\S+|\$[A-Za-z_][A-Za-z0-9_]*)$")]
"""An address, or `$NAME`: the environment variable that has it."""


@dataclass(frozen=True)
class Violation:
    """What is wrong with a well-formed part: the key path below that part, and what to do."""

    path: tuple[str | int, ...]
    message: str


Hunted = Literal[
    "hang",
    "stall",
    "failure",
    "late_failure",
    "death",
    "act",
    "growth",
    "inconsistency",
    "content",
    "miss",
    "slow",
]
"""The kinds of findings that a scenario may hunt."""
_ALSO_HUNTED: Final[Mapping[str, Hunted]] = {"failed": "failure", "crash": "death", "leak": "growth"}
"""What reports and summaries call some of them."""
_SLOW_TIMES: Final = 100.0


class Renew(StrictModel):
    """Some races live only in a daemon's first seconds."""

    every: Annotated[int, Field(ge=1)]
    """How many iterations a daemon lives, before a fresh one on a fresh root takes its place."""


class Limits(StrictModel):
    """What the daemon, its steps and what they start may use together."""

    memory: Annotated[Size, Field(ge=2**26)] | None = None
    """At least 64MiB; swap is not given."""
    cpus: Annotated[float, Field(ge=0.05)] | None = None
    disk: Annotated[Size, Field(ge=2**26)] | None = None
    """At least 64MiB: the daemon's root lives on a file system of its own of that size, so that it can be full."""


_DRIVER_KINDS: Final[Mapping[str, str]] = {
    "docker": "dockerd",
    "docker-container": "dockerd",
    "buildctl": "buildkitd",
    "remote": "buildkitd",
}
"""The ways that builds go, and the kind of daemon that each is for; the first of a kind is its usual one."""


class DaemonSpec(StrictModel):
    """The daemon under test."""

    toolchain: str = "auto"
    """Whose binaries: `auto`, `path:DIR`, `debian:SUITE`, `docker:VERSION`, `buildkit:VERSION`, `host`."""
    kind: str | None = None
    """`dockerd` or `buildkitd`; without it, what the driver is for, or what the toolchain has, dockerd first."""
    driver: Literal["docker", "docker-container", "buildctl", "remote"] | None = None
    """How builds go: with dockerd, to its own builder or to a BuildKit in a container of it; with buildkitd, through
    buildctl or through buildx. Without it, the former.
    """
    image: str | None = None
    """What the driver docker-container runs: a reference such as `moby/buildkit:v0.25.1`, or a `FILE.tar` of
    `docker save`, relative to the working folder.
    """
    rootless: bool = False
    """buildkitd as root of a user namespace, who is nobody on the host; its steps have no process sandbox."""
    image_store: Literal["containerd", "graphdriver"] = "containerd"
    """Where dockerd keeps images; buildkitd has one store only."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Merged into daemon.json, or into buildkitd.toml. Keys that say where the daemon lives, listens, or what programs
    and networks of the host it uses, are the harness's own, and are refused.
    """
    env: Environment = Field(default_factory=dict)
    """Variables that the daemon's process has, beside our own: `{GODEBUG: gctrace=1}`."""
    gc: Literal["report", "tiny", "never"] | None = None
    """A policy of garbage collection: the one of the report (953.7 MiB, 48 h), or one that keeps next to nothing; or
    none. Without it, the daemon's own; or none in a scenario that looks for cache misses.
    """
    limits: Limits = Limits()
    renew: Renew | None = None
    """Without it, one daemon serves the whole run."""

    @field_validator("config")
    @classmethod
    def _leaves_what_is_ours(cls, config: dict[str, Any]) -> dict[str, Any]:
        owned = [f"{'.'.join(path)} ({what})" for path, what in owned_keys(config)]
        if owned:
            raise ValueError(
                "these keys belong to the harness, which keeps the daemon apart from yours: "
                f"{', '.join(owned)}; leave them out"
            )
        return config

    @model_validator(mode="after")
    def _fits(self) -> Self:
        kind = _DRIVER_KINDS.get(self.driver or "")
        if self.driver and self.kind not in {None, kind}:
            raise ValueError(f"driver {self.driver!r} is for {kind}, and `kind` says {self.kind!r}: leave one out")
        if self.rootless and self.wanted_kind != "buildkitd":
            raise ValueError(f"`rootless` is for buildkitd, and this is {self.wanted_kind}: leave one out")
        if self.driver == "docker-container" and self.image is None:
            raise ValueError(
                "driver 'docker-container' needs `image`: a reference such as moby/buildkit:v0.25.1, or a FILE.tar"
            )
        if self.driver != "docker-container" and self.image is not None:
            raise ValueError("`image` is what driver 'docker-container' runs: say that driver, or leave `image` out")
        return self

    @property
    def wanted_kind(self) -> str | None:
        """The kind of daemon that it asks for; None where any will do."""
        return self.kind or _DRIVER_KINDS.get(self.driver or "") or ("buildkitd" if self.rootless else None)


class Stop(StrictModel):
    """When a run ends: at the first of these."""

    iterations: Annotated[int, Field(ge=1)] | None = None
    time: Duration | None = None
    hangs: Annotated[int, Field(ge=1)] | None = None
    """How many findings of a kind in `on` end the run: without it the first, or none where `on_hang` renews the daemon.
    """
    on: tuple[Annotated[Hunted, BeforeValidator(lambda word: _ALSO_HUNTED.get(str(word), word))], ...] = ("hang",)
    """Which findings the scenario hunts: those decide its verdict. `failure`: a build's error that `detect.failure`
    names, or any where that names none. `late_failure`: an error of a client whose export had completed. `death`: the
    daemon ended by itself, or did not start again. `act`: an act, such as a prune, that did not come back.
    `growth`: goroutines, or something else that audits count, grow without bound.
    `inconsistency`: a cache graph that contradicts itself. `content`: a result that does not hold what was asked for.
    `miss`: a step that ran again for no reason. `slow`: a client that returned far later than those before it.
    """

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.iterations is None and self.time is None:
            raise ValueError("a run needs an end: give `iterations`, `time`, or both")
        return self

    @property
    def hunted(self) -> frozenset[FindingKind]:
        """The findings that decide the verdict."""
        return frozenset(finding_kind(kind) for kind in self.on)


def _or_auto(schema: dict[str, Any]) -> None:
    """Let a schema take the word ``auto`` too, as `Detect._auto` does."""
    schema["anyOf"] = [*schema["anyOf"], {"const": "auto"}]


class Detect(StrictModel):
    """What makes a finding: how long nothing may happen, in attended time; which errors."""

    export_hang: Annotated[Duration, Field(json_schema_extra=_or_auto)] = 60.0
    """From the export's completion to the client's exit."""
    suspect: Literal["auto", "never"] = "auto"
    """A build that stays after its export for longer than this run's builds do is looked at, and is a hang as soon as
    the daemon's goroutines show it, before `export_hang` is over; or never. ``export_hang: auto`` leaves both alone.
    """
    stall: Duration = 600.0
    """Without any word from the build, before its export has completed."""
    orphan: Duration = 60.0
    """From the end of a client that was timed out to the end of the daemon's record of its build."""
    act: Duration = 600.0
    """From the beginning of an act that asks the daemon for something, such as a prune, to its answer."""
    failure: Annotated[Pattern | tuple[Pattern, ...], Field(validation_alias=AliasChoices("failure", "failed"))] = ()
    """Regular expressions: a build that fails with an error in which one of them is found is a finding."""
    inconsistency: bool = False
    """Whether a cache graph that contradicts itself is a finding: it is read at each audit, and at each other finding.
    Also where `stop.on` has it.
    """
    miss: bool = False
    """Whether a step that runs again is a finding: the same step of a build with the same arguments was done before,
    and nothing was removed since. Also where `stop.on` has it.
    """
    slow: Annotated[float, Field(gt=1)] | None = None
    """A build that returns after its export in more than so many times the median of those before it, and in more than
    a second, is a finding: usually 100.
    """

    @model_validator(mode="before")
    @classmethod
    def _auto(cls, written: Any) -> Any:
        if isinstance(written, Mapping) and written.get("export_hang") == "auto":
            return {key: value for key, value in written.items() if key != "export_hang"}
        return written

    @property
    def failures(self) -> tuple[str, ...]:
        """The patterns of `failure`, one or several."""
        return (self.failure,) if isinstance(self.failure, str) else self.failure


class AuditSpec(StrictModel):
    """Whether the daemon leaks: now and then no build begins until it is quiet, and it is looked at."""

    every: Annotated[int, Field(ge=1)]
    """How many iterations lie between two looks; a verdict needs eight of them on one daemon."""
    memory: bool = False
    """Also at the heap, after a garbage collection."""
    disk: bool = False
    """Also at the disk, and the cache's records, that are not given back once everything was pruned."""
    cpu: bool = False
    """Also at the cores that the daemon uses for nothing, for half a second."""


class OnHang(StrictModel):
    """What is done with a daemon that hung, or had another finding that the scenario hunts, once that is captured."""

    then: Literal["stop", "hold", "renew"] = "stop"
    """End the run; end it and leave the daemon for a debugger; or go on with a fresh one, to measure the rate."""
    capture: Literal["all", "dumps"] = "all"
    """All evidence; or goroutine dumps alone, which name the hang, and take two seconds."""
    probe: bool = True
    """Ask one that the run ends with what it still does: build the same, another, stop, restart."""


@dataclass(frozen=True)
class Setting:
    """What an actor's options are held against."""

    stop: Stop | None
    builds: frozenset[str]
    """The names of the scenario's build actors."""
    folders: tuple[Path, ...]
    """Where Dockerfile folders are looked for, in order."""
    limits: tuple[Limits, ...]
    """Each daemon's."""
    waits: Mapping[str, str | None] = field(default_factory=dict)
    """By the name of each actor, the one whose builds or acts it waits for."""
    hosts: frozenset[str] = frozenset()
    """The names of the client hosts that builds come from."""


class ActorSpec(StrictModel):
    """What every actor has."""

    builds: ClassVar[bool] = False
    """Whether its acts are iterations."""

    name: Name
    when: When | None = None

    @classmethod
    def key(cls) -> str:
        """Return what an actor of this kind begins with in a scenario, and is called in records: ``prune``."""
        return cls.__name__.lower()

    @property
    def needs_hosts(self) -> frozenset[str]:
        """The client hosts, beside ours, that it builds from, by name."""
        return frozenset()

    @property
    def must_act(self) -> bool:
        """Whether a run in which it never acts is not what the scenario describes: it follows others, each time."""
        return not self.builds and self.when is not None and self.when.always_comes

    def faults(self, setting: Setting) -> Iterator[Violation]:
        """Yield what cannot work although every value is well-formed."""
        if self.when is None:
            return
        listened, followed = self.when.listens_to, self.when.follows_act
        if listened is not None and listened not in setting.builds:
            known = ", ".join(sorted(setting.builds)) or "none"
            yield Violation(("when", "of"), f"never fires: no build is named {listened!r}; builds: {known}")
        elif followed is not None and followed not in setting.waits.keys() - setting.builds:
            known = ", ".join(sorted(setting.waits.keys() - setting.builds - {self.name})) or "none"
            why = f"never fires: no actor besides builds is named {followed!r}; there are: {known}"
            yield Violation(("when", "follows"), why)
        elif circle := self._circle(setting.waits):
            who = "it" if len(circle) <= 2 else "one of them"
            why = f"never fires: it waits for itself ({' waits for '.join(circle)}); let {who} begin by itself"
            yield Violation(("when", "of" if followed is None else "follows"), why)
        limit = setting.stop.iterations if setting.stop else None
        if limit is not None and self.when.least_iterations > limit:
            yield Violation(("when",), f"never fires: the run ends after {limit} iterations (stop.iterations)")
        if setting.stop and setting.stop.time is not None and self.when.earliest >= setting.stop.time:
            yield Violation(
                ("when",),
                f"never fires: its first time to act, {format_duration(self.when.earliest)}, is not before "
                f"the end of the run at stop.time, {format_duration(setting.stop.time)}",
            )

    def _circle(self, waits: Mapping[str, str | None]) -> Sequence[str]:
        """Return the circle of actors that wait for each other, of whom this one stands first; empty if there is none.

        The others of a circle have none of their own: it is told once.
        """
        way = [self.name]
        while (awaited := waits.get(way[-1])) is not None and awaited not in way[1:]:
            way.append(awaited)
            if awaited == self.name:
                return way if self.name == next(name for name in waits if name in way) else ()
        return ()  # it leads to who begins by himself, or into a circle that this actor is no part of

    def placed(self, setting: Setting) -> Self:  # noqa: ARG002 — for actors that name files
        """Return it with every file it names as an absolute path."""
        return self


class Scenario(StrictModel):
    """One scenario: a daemon, the actors that load and disturb it, and when to stop."""

    name: Name
    about: str = ""
    daemon: DaemonSpec = DaemonSpec()
    daemons: dict[Name, DaemonSpec] = Field(default_factory=dict)
    """Several by name, instead of `daemon`: a run against each, side by side, with the same seed."""
    actors: Annotated[tuple[SerializeAsAny[ActorSpec], ...], Field(min_length=1)]
    stop: Stop
    detect: Detect = Detect()
    on_hang: OnHang = OnHang()
    on_finding: str | None = None
    """A shell's command that is run once the evidence of a daemon's first finding is there, which it can read as JSON
    from its standard input.
    """
    webhook: Webhook | None = None
    """An address that is told the same by a POST of JSON, or `$NAME`, the environment variable that has it: most such
    addresses are secrets.
    """
    audit: AuditSpec | None = None
    """Without it, no build waits for another, and nothing is said of leaks."""
    seed: int | None = None
    """The source of all chance in the run; without it, one is drawn and recorded."""

    @model_validator(mode="after")
    def _collects_nothing_where_misses_count(self) -> Self:
        """What a policy of the daemon's has removed is no miss."""
        specs = [self.daemon, *self.daemons.values()]
        if self.looks_at_misses and any(spec.gc not in {None, "never"} for spec in specs):
            raise ValueError(
                "a step runs again where the daemon has collected its result: with `miss`, leave out `daemon.gc`"
            )
        return self

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if self.daemons and "daemon" in self.model_fields_set:
            raise ValueError("give either `daemon` or `daemons`, not both")
        return self

    @model_validator(mode="after")
    def _hangs_once(self) -> Self:
        if (self.stop.hangs or 1) > 1 and self.on_hang.then != "renew":
            raise ValueError(
                "a daemon that hung once hangs again: for more `hangs` than one say `on_hang: {then: renew}`"
            )
        return self

    @property
    def findings_wanted(self) -> int | None:
        """How many findings that it hunts end the run; None where none does."""
        return self.stop.hangs or (None if self.on_hang.then == "renew" else 1)

    def failure_kind(self, outcome: Outcome, error: str) -> FindingKind | None:
        """Return what a build that has come to an end is a finding of; None where it is none.

        Args:
            outcome: what became of it.
            error: all that its client told of that.
        """
        if outcome not in FAILURES:
            return None
        if any(re.search(pattern, error) for pattern in self.detect.failures):
            return Symptom.FAILURE
        if outcome in self.stop.hunted:
            return outcome
        return Symptom.FAILURE if Symptom.FAILURE in self.stop.hunted and not self.detect.failure else None

    @property
    def looks_at_graph(self) -> bool:
        """Whether a cache graph that contradicts itself is a finding."""
        return self.detect.inconsistency or Symptom.INCONSISTENCY in self.stop.hunted

    @property
    def looks_at_misses(self) -> bool:
        """Whether a step that runs again for no reason is a finding."""
        return self.detect.miss or Symptom.MISS in self.stop.hunted

    @property
    def daemon_as_opened(self) -> DaemonSpec:
        """Its one daemon: without collection of its own where that would make a miss of what is none."""
        return self.daemon.model_copy(update={"gc": "never"}) if self.looks_at_misses else self.daemon

    @property
    def slow_times(self) -> float | None:
        """From how many times the median on a client's return is a finding; None where it is none."""
        return self.detect.slow or (_SLOW_TIMES if Symptom.SLOW in self.stop.hunted else None)

    def by_daemon(self) -> Mapping[str, "Scenario"]:
        """Return a scenario for each of its daemons, by name; a single one has no name."""
        if not self.daemons:
            return {"": self}
        return {name: self.model_copy(update={"daemon": spec, "daemons": {}}) for name, spec in self.daemons.items()}


@dataclass(frozen=True)
class Vocabulary:
    """The kinds that a scenario may name."""

    actors: Mapping[str, type[ActorSpec]]
    daemons: Collection[str]
