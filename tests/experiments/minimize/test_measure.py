"""What a script is tried with: a fresh daemon of the scenario's kind, never a builder that is somebody's."""

from functools import partial
from pathlib import Path

import anyio
import pytest

from harness.core.manifest import Binary
from harness.experiments.minimize import measure as measuring
from harness.experiments.minimize import minimize as minimizing
from harness.experiments.minimize.measure import NotMeasured, measure
from harness.experiments.minimize.minimize import with_kind
from harness.experiments.minimize.sequential import Tally
from harness.scenario import DaemonSpec, Scenario
from harness.toolchain import NEEDS, Toolchain
from harness.toolchain.base import ToolchainIncomplete


def toolchain(spec: str, folder: Path) -> Toolchain:
    """Return the toolchain ``a+b``, with the programs that the daemons a and b need."""
    names = [name for kind in spec.removesuffix("!").split("+") for name in NEEDS[kind]]
    binaries = {name: Binary(folder / name, f"{name} of {spec}", "") for name in names}
    return Toolchain(spec, binaries, endpoint="unix:///somebody.sock" if spec.endswith("!") else None)


@pytest.fixture(autouse=True)
def toolchains(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have toolchains by what they can run."""

    async def resolve(spec: str) -> Toolchain:
        return toolchain(spec, tmp_path)

    async def equip(wanted: Toolchain, driver: str | None) -> Toolchain:
        assert driver is None
        return wanted

    monkeypatch.setattr(minimizing, "resolve", resolve)
    monkeypatch.setattr(measuring, "resolve", resolve)
    monkeypatch.setattr(measuring, "equip", equip)


KINDS = {
    "buildkitd": ("buildkitd", None, None),
    "dockerd": ("dockerd", None, "dockerd"),
    "both": ("dockerd+buildkitd", None, "dockerd"),
    "asked": ("dockerd+buildkitd", "buildkitd", "buildkitd"),
}


@pytest.mark.parametrize(("spec", "asked", "kind"), KINDS.values(), ids=[*KINDS])
def test_the_kind_of_daemon(spec: str, asked: str | None, kind: str | None) -> None:
    """What the toolchain runs is in the case from the start, so that the script is for its client."""
    found = anyio.run(partial(with_kind, of_kind(DaemonSpec(kind=asked)), spec))
    assert found.daemon.kind == kind


def test_a_fixed_twin_of_another_kind() -> None:
    """A twin that cannot run the daemon is refused before any time is spent."""
    with pytest.raises(ToolchainIncomplete, match="'buildkitd' cannot run dockerd"):
        anyio.run(partial(with_kind, of_kind(DaemonSpec()), "dockerd", "buildkitd"))


REFUSED = {
    "driver": (DaemonSpec(driver="remote"), "buildkitd", "a builder of the driver remote"),
    "host": (DaemonSpec(kind="dockerd"), "dockerd!", "the host's own daemon"),
}


@pytest.mark.parametrize(("daemon", "spec", "why"), REFUSED.values(), ids=[*REFUSED])
def test_no_builder_of_somebody(tmp_path: Path, daemon: DaemonSpec, spec: str, why: str) -> None:
    """A script that prunes is not tried with what might be the user's own."""
    with pytest.raises(NotMeasured, match=why):
        anyio.run(measure, tmp_path / "result", spec, daemon, 1, "hang", print)


def test_its_attempts_are_counted(tmp_path: Path) -> None:
    """Each attempt finds the programs of the toolchain alone, and what it ends with is what is counted."""
    result = tmp_path / "result"
    result.mkdir()
    script = result / "reproduce.sh"
    script.write_text(
        '#!/bin/bash\n[ "$(readlink "$BUILDKIT_BIN/buildkitd")" ] || exit 2\n'
        'echo "$(env | grep -cv "^_=\\|^SHLVL=\\|^PWD=")" >>variables; [ "$(wc -l <variables)" -gt 1 ]\n'
    )
    script.write_text(script.read_text().replace("variables", str(tmp_path / "variables")))
    script.chmod(0o755)
    said: list[str] = []
    measured = anyio.run(measure, result, "buildkitd", DaemonSpec(), 3, "hang", said.append)
    assert measured.tally == Tally(1, 3)
    assert measured.version == "buildkitd of buildkitd"
    assert (tmp_path / "variables").read_text().split() == ["2"] * 3
    assert [line.rpartition(": ")[2] for line in said] == ["HANG", "no hang", "no hang"]


def of_kind(daemon: DaemonSpec) -> Scenario:
    """Return a scenario of which the daemon alone is known."""
    return Scenario.model_construct(name="any", daemon=daemon)
