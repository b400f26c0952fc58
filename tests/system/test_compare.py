"""`repro compare` and `repro verify` with real daemons: what differs is told, and what is fixed."""

import json

import pytest

from tests.system.conftest import SCENARIOS, Repro, folder_from, left_of

PRUNE_RACE = str(SCENARIOS / "prune-race.yaml")

MINUTES = 880
pytestmark = pytest.mark.timeout(900)


def nothing_left(repro: Repro) -> bool:
    """Whether no look has left anything on the host."""
    return not any(left_of(file.parent.name) for file in repro.results.glob("*/*/run.json"))


def test_an_affected_buildkitd_is_different(repro: Repro) -> None:
    """A release that hangs and the one with the fix are different, and the one that hangs is named."""
    affected, fixed = folder_from("REPRO_AFFECTED"), folder_from("REPRO_FIXED")
    options = ("--scenario", PRUNE_RACE, "--looks", "4", "--iterations", "100")
    code, output = repro("compare", affected, fixed, *options, seconds=MINUTES)
    assert code == 1, output
    assert "DIFFERENT  A hangs more: " in output
    [file] = repro.results.glob("prune-race/compare-*/compare.json")
    sides = json.loads(file.read_text())["sides"]
    assert [*sides["A"]["signatures"]] == ["export-livelock"]
    assert (sides["B"]["hangs"], sides["B"]["signatures"]) == (0, {})
    assert (sides["A"]["daemon"], sides["B"]["daemon"]) == ("buildkitd v0.23.2", "buildkitd v0.25.1")
    assert nothing_left(repro)


def test_a_fixed_buildkitd_is_verified(repro: Repro) -> None:
    """The fix of the report's hang is told as one, with the rate that is excluded, after looks at A, B and A again."""
    affected, fixed = folder_from("REPRO_AFFECTED"), folder_from("REPRO_FIXED")
    words = ("verify", "--broken", affected, "--fixed", fixed, PRUNE_RACE, "--hangs", "3", "--ratio", "1")
    code, output = repro(*words, seconds=MINUTES)
    assert code == 0, output
    [file] = repro.results.glob("prune-race/verify-*/verify.json")
    found = json.loads(file.read_text())
    assert (found["verdict"], found["signature"]) == ("fixed", "export-livelock")
    assert found["chance"] <= 0.05
    assert found["b"]["trials"] >= found["needed"]
    looks = [json.loads(line)["side"] for line in (file.parent / "looks.jsonl").read_text().splitlines()]
    assert (looks[:3], looks[-1]) == ([*"AAA"], "A")
    assert nothing_left(repro)


def test_two_settings_of_one_dockerd(repro: Repro) -> None:
    """One dockerd, frozen for longer on side A than a client waits, and hardly at all on side B: A hangs more."""
    options = ("--scenario", str(SCENARIOS / "control-hang.yaml"), "--looks", "4", "--iterations", "12")
    brief = ("--set-b", "actors.at-exported.when.lasting=100ms")
    code, output = repro("compare", "debian:forky", *options, *brief, seconds=MINUTES)
    assert code == 1, output
    assert "DIFFERENT  A hangs more: 4 in " in output
    assert nothing_left(repro)
