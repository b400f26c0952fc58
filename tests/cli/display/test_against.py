"""`--against`: what a run says of a rate that the user names."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.rates import more_needed, rate
from harness.cli.display.against import format_against
from tests.analysis.test_judge import OK, judged
from tests.support.stub_runs import repro, run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize(
    ("hangs", "trials", "seconds", "said"),
    [
        (
            0,
            418,
            60.6,
            "no hang in 418 builds, so it hangs more rarely than 1/16141 (2.556 % sure); for 95 % run 47,935 more "
            "(1h55m49s), for 99 % 73,912 more (2h58m35s), at 414 a minute",
        ),
        (0, 0, 0, "no hang in 0 builds, so it hangs more rarely than 1/16141 (0 % sure); for 95 % run 48,353 more"),
        (
            0,
            60000,
            60,
            "no hang in 60,000 builds, so it hangs more rarely than 1/16141 (97.57 % sure); for 99 % run 14,330 more",
        ),
        (
            0,
            10**6,
            60,
            "no hang in 1,000,000 builds, so it hangs more rarely than 1/16141 (99.99 % sure); that is enough",
        ),
        (
            1,
            231,
            60,
            "1 in 231 builds that could have hung: from one in 9,120 to one in 42 (95 % sure), which lies above 1/1",
        ),
        (
            1,
            9000,
            60,
            "1 in 9,000 builds that could have hung: from one in 355,000 to one in 1,620 (95 % sure), which contains 1",
        ),
        (
            1,
            200_000,
            60,
            "1 in 200,000 builds that could have hung: from one in 7,900,000 to one in 35,900 (95 % sure), which lies "
            "below 1/16141",
        ),
    ],
)
def test_what_is_said(hangs: int, trials: int, seconds: float, said: str) -> None:
    """Each number stands with its n; of a clean run is told what more it takes, of a hang where the rate lies."""
    summary = replace(judged([OK], seconds=seconds), rate=rate(hangs, trials))
    assert format_against(summary, "1/16141").startswith(said)


@pytest.mark.parametrize("sure", [0.95, 0.99])
def test_what_is_short_of_a_confidence_is_not_called_it(sure: float) -> None:
    """A build short of 95 %, or of 99 %, is told as less than that, however the figure would be rounded."""
    trials = more_needed(0, 1e-6, sure)
    summary = judged([OK], seconds=60)
    short = format_against(replace(summary, rate=rate(0, trials - 1)), "0.000001")
    assert f"({100 * sure - 0.01:.2f} % sure)" in short
    assert f"for {100 * sure:g} % run 1 more" in short
    assert f"({100 * sure:g} % sure)" in format_against(replace(summary, rate=rate(0, trials)), "0.000001")


def test_runs_are_held_against_a_rate(tmp_path: Path) -> None:
    """`run` and `show` hold a run against a rate, in words and as JSON; what is no rate is refused before anything."""
    scenario = write_scenario(tmp_path)
    refused = repro("run", str(scenario), "--against", "often")
    assert refused.returncode == 129
    assert "--against: 'often' is no rate" in refused.stderr
    assert not (tmp_path / "results").exists()
    code, output, folder = run(scenario, "--against", "1/100")
    assert code == 0, output
    line = "against    no hang in 10 builds, so it hangs more rarely than 1/100 (9.561 % sure); for 95 % run 289 more"
    assert line in output
    assert line in repro("show", str(folder.path), "--against", "1/100").stdout
    held = json.loads(repro("show", str(folder.path), "--against", "1%", "--json").stdout)["against"]
    assert (held["trials"], held["hangs"], held["more95"], held["within95"]) == (10, 0, 289, True)
    _, output, _ = run(scenario, "--against", "1%", "--json")
    assert json.loads(output.splitlines()[-1])["against"]["more99"] == 449
