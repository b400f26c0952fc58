"""`repro minimize` with the stub daemon: what it leaves in its folder, and that bad input is told in a sentence."""

from pathlib import Path

import pytest

from tests.support.stub_runs import repro, run, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


def minimized(folder: Path, what: object, *options: str) -> tuple[int, str]:
    """Return the exit code of `repro minimize`, and what it printed."""
    done = repro("minimize", str(what), "--daemon", "stub", "--results", str(folder / "results"), *options)
    return done.returncode, done.stdout + done.stderr


def test_what_hangs_leaves_a_folder(tmp_path: Path) -> None:
    """The scenario, its context, and how often it hangs are there, and say why there is no script."""
    scenario = write_scenario(tmp_path, build={"args": {"N": "1"}}, clients={"default": "hang"})
    code, output = minimized(tmp_path, scenario, "--time", "4s")
    (result,) = tmp_path.glob("results/stubbed/minimize-*/result")
    assert code in {0, 125}, output
    assert {file.name for file in result.iterdir()} == {"scenario.yaml", "dockerfiles", "RATE.md"}
    rate = (result / "RATE.md").read_text()
    assert "There is no `reproduce.sh`: its daemon is not a plain one: config" in rate
    assert "stayed with a chance of at most 0.05" in rate
    again, output = minimized(tmp_path, scenario, "--time", "4s", "--resume", "last")
    assert again == code
    assert output.count("(known)") >= output.count("HANG") - 1, "what was seen is not attempted again"


def test_what_never_hangs(tmp_path: Path) -> None:
    """It ends after a bounded time, with one sentence, and its runs stay."""
    code, output = minimized(tmp_path, write_scenario(tmp_path, stop={"iterations": 1}), "--time", "2s")
    assert code == 129
    assert "stubbed showed no hang in " in output
    assert "there is nothing to minimize" in output
    assert [*tmp_path.glob("results/stubbed/minimize-*/runs/stubbed/*/summary.json")]


def test_a_run_in_which_nothing_hung(tmp_path: Path) -> None:
    """A run without a hang is refused before any daemon is started; so is one to go on with that is not there."""
    scenario = write_scenario(tmp_path, stop={"iterations": 1})
    _, _, folder = run(scenario)
    code, output = minimized(tmp_path, folder.path)
    assert (code, "has no hang, and no other finding, with a signature" in output) == (129, True), output
    code, output = minimized(tmp_path, scenario, "--resume", "last")
    assert (code, "no minimization 'last' to go on with" in output) == (129, True), output
