"""What goes to a host, and what comes back: one run each way, packed."""

import io
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from harness.actors.build import Build
from harness.core.errors import InfraError, UsageError
from harness.core.rng import first_seed
from harness.run.plan import RunOptions
from harness.scenario import Scenario
from harness.scenario.dump import dump
from harness.store.dockerfiles import places_of
from harness.toolchain import Toolchain

SCENARIO: Final = "scenario.yaml"
_KEPT_CASES: Final = 8
_LEVEL: Final = 1
"""Of compression: databases and dumps shrink to a fifth at once, and to little less with much more time."""


class StaysHere(UsageError):
    """Something that only this host has, and that is not sent."""

    def __init__(self, what: str) -> None:
        super().__init__(f"--on: {what}")


class Unpackable(InfraError):
    """What came back is no run folder."""

    def __init__(self, why: str) -> None:
        super().__init__(f"what came back cannot be unpacked: {why}")


@dataclass(frozen=True)
class Sent:
    """A toolchain as hosts are told of it: by a name that each of them resolves, or by what its programs are."""

    spec: str
    """Such as ``buildkit:v0.23.2``; empty where the programs are sent."""
    programs: Mapping[str, str] = field(default_factory=dict)
    """By the name of each program, its SHA-256: what they are, wherever they came from."""


@dataclass(frozen=True)
class Job:
    """One run to be made."""

    files: bytes
    """The scenario and the folders of its Dockerfiles, packed."""
    toolchain: Sent
    seed: int
    shards: int


@dataclass(frozen=True)
class Delivery:
    """What a host gave back."""

    files: bytes = b""
    """The run's folder, packed; empty where there is none."""
    refusal: Literal["", "usage", "host"] = ""
    """Why there is none: the request cannot be met on any host, or not on this one; empty where there is one."""
    because: str = ""


def pack(folder: Path) -> bytes:
    """Return all of a folder; what its links lead to is in it as files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=_LEVEL, dereference=True) as tar:
        tar.add(folder, ".")
    return packed.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Lay out what was packed; nothing in it can lead out of the folder.

    Raises:
        Unpackable: it is damaged, or tries to.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise Unpackable(str(error)) from error


def write_case(scenario: Scenario, folder: Path) -> None:
    """Write a scenario with the Dockerfiles that it names, so that it can be run wherever the folder is.

    Raises:
        StaysHere: it names something that is not sent.
    """
    if scenario.daemons:
        raise StaysHere("a scenario with several daemons runs on one host: write `daemon` instead of `daemons`")
    if (scenario.daemon.image or "").endswith(".tar"):
        raise StaysHere(f"the image {scenario.daemon.image} is a file of this host: name one of a registry")
    builds = [actor for actor in scenario.actors if isinstance(actor, Build)]
    if beside := [f"{each.name}.contexts.{name}" for each in builds for name in each.context_folders]:
        raise StaysHere(f"{', '.join(beside)} is a folder of this host: say a size, or a reference such as an image")
    places = places_of(folder, [Path(each) for each in _dockerfiles(scenario)])
    actors = []
    for actor in scenario.actors:
        if isinstance(actor, Build):
            actor = actor.renamed({str(source): place.name for source, place in places.items()})  # noqa: PLW2901
        actors.append(actor)
    (folder / SCENARIO).write_text(dump(scenario.model_copy(update={"actors": tuple(actors)})))
    for source, place in places.items():
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(source)  # packing follows it


def _dockerfiles(scenario: Scenario) -> Sequence[str]:
    return [str(each) for actor in scenario.actors if isinstance(actor, Build) for each in actor.folders]


@dataclass(frozen=True)
class SentScenario:
    """A scenario as it is sent, and as it is kept here."""

    scenario: Scenario
    files: bytes
    """Packed, with the folders of its Dockerfiles."""
    written: str

    def job(self, options: RunOptions, toolchain: Toolchain) -> Job:
        """Return what is sent to have it run."""
        programs = {name: binary.sha256 for name, binary in toolchain.binaries.items()}
        sent = Sent("" if programs or toolchain.spec == "stub" else toolchain.spec, programs)
        return Job(self.files, sent, first_seed(options.seed, self.scenario.seed), options.shards)


class Cases:
    """The scenarios that were asked for last: a search asks for the same ones again, and to write one takes long."""

    def __init__(self) -> None:
        self._made: list[SentScenario] = []
        self._lock = Lock()

    def known(self, scenario: Scenario) -> SentScenario | None:
        """Return a scenario that was asked for before; None of another."""
        return next((case for case in self._made if case.scenario is scenario or case.scenario == scenario), None)

    def of(self, scenario: Scenario) -> SentScenario:
        """Return a scenario with its Dockerfiles, as they were when it was first asked for.

        Raises:
            StaysHere: it names something that is not sent.
        """
        with self._lock:
            known = self.known(scenario)
            if known is None:
                with tempfile.TemporaryDirectory(prefix="repro-job-") as folder:
                    write_case(scenario, Path(folder))
                    known = SentScenario(scenario, pack(Path(folder)), dump(scenario))
                self._made = [known, *self._made[: _KEPT_CASES - 1]]
            return known
