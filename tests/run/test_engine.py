"""The engine from start to verdict, with real processes as clients, and the stub in the daemon's place."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from harness.analysis.hazard import hazard_maps
from harness.core.outcome import Ending, Outcome, Verdict
from harness.core.records import Action, Finding, Iteration, Sample
from harness.store.folder import RunFolder
from harness.store.hazards import hazards
from tests.support.eventually import has_ended, reached, until
from tests.support.stub_runs import SEEN_WITHIN, TIGHT, interrupt, last_run, repro, run, start, write_scenario

pytestmark = pytest.mark.usefixtures("cache")


def iterations(scenario: Path) -> int:
    """Return how many iterations the newest run has recorded; 0 before it has a database."""
    try:
        return len(last_run(scenario).read(Iteration))
    except Exception:
        return 0


def test_quiet_run_is_clean(tmp_path: Path) -> None:
    """Builds that all return make a clean run, with every iteration recorded once, its phases in order."""
    code, output, folder = run(write_scenario(tmp_path, build={"parallel": 4}, stop={"iterations": 40}))
    summary = folder.summary()
    assert code == 0, output
    assert summary is not None
    assert (summary.verdict, summary.ending, summary.iterations) == (Verdict.CLEAN, Ending.ITERATIONS, 40)
    recorded = folder.read(Iteration)
    assert sorted(iteration.number for iteration in recorded) == [*range(1, 41)]
    for iteration in recorded:
        times = [iteration.started, iteration.solving, iteration.exporting, iteration.exported, iteration.exited]
        assert None not in times
        assert times == sorted(time for time in times if time is not None)
    assert "CLEAN" in output


def test_first_hang_is_recorded_and_ends_the_run(tmp_path: Path) -> None:
    """A client that does not return after its export is a hang, recorded with iteration, args and last words."""
    scenario = write_scenario(tmp_path, build={"args": {"N": "{iteration % 4}"}}, clients={"7": "hang"})
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert code == 1, output
    assert summary is not None
    assert summary.verdict is Verdict.HANG
    assert summary.first_hang is not None
    assert (summary.first_hang.iteration, summary.first_hang.build, summary.first_hang.args) == (7, "ci", {"N": "3"})
    (finding,) = folder.read(Finding)
    assert "exporting to image" in finding.last_progress[-1]
    assert "exporting to image" in (folder.path / "findings" / "7" / "progress.jsonl").read_text()
    assert 0 <= finding.waited - TIGHT <= SEEN_WITHIN, "seen at the first beat after the threshold"
    assert "iteration 7" in output


def test_what_hung_is_asked_what_it_still_does(tmp_path: Path) -> None:
    """The daemon that the run ends with is put each question, in order, and the answers are in the summary."""
    scenario = write_scenario(tmp_path, clients={"1": "hang"}, on_hang={"probe": True})
    code, _, folder = run(scenario)
    summary = folder.summary()
    assert code == 1
    assert summary is not None
    assert {question: answer.said for question, answer in summary.aftermath.items()} == {
        "same_build_hangs": "yes",
        "new_argument_hangs": "not asked",
        "other_dockerfile_hangs": "yes",
        "records_stay_running": "no",
        "stops_on_sigterm": "yes",
        "restart_heals": "yes",
        "same_build_works_after": "no",
    }


def test_hang_is_found_in_any_line(tmp_path: Path) -> None:
    """One hanging client among four lines is found while the others go on building."""
    scenario = write_scenario(tmp_path, build={"parallel": 4}, clients={"5": "hang"}, stop={"iterations": 100_000})
    code, _, folder = run(scenario)
    summary = folder.summary()
    assert code == 1
    assert summary is not None
    assert summary.first_hang is not None
    assert summary.first_hang.iteration == 5
    assert summary.outcomes["ok"] > 5


@pytest.mark.parametrize("behaviour", ["stall", "silent"])
def test_stall_is_no_hang(tmp_path: Path, behaviour: str) -> None:
    """A build that stands still before its export is captured, and leaves the run inconclusive."""
    code, output, folder = run(write_scenario(tmp_path, clients={"3": behaviour}))
    summary = folder.summary()
    assert code == 125, output
    assert summary is not None
    assert summary.verdict is Verdict.INCONCLUSIVE
    assert summary.first_hang is None
    assert summary.first_stall is not None
    assert summary.first_stall.iteration == 3
    assert summary.outcomes == {"ok": 9, "stall": 1}
    assert "STALL" in output


def test_hunted_stall_decides_the_verdict(tmp_path: Path) -> None:
    """A scenario that hunts stalls ends at the first, with exit code 1."""
    scenario = write_scenario(tmp_path, clients={"3": "stall"}, stop={"iterations": 10, "on": ["hang", "stall"]})
    code, _, folder = run(scenario)
    summary = folder.summary()
    assert code == 1
    assert summary is not None
    assert (summary.verdict, summary.ending) == (Verdict.HANG, Ending.FINDINGS)


def test_daemon_that_stalls_for_good_ends_the_run(tmp_path: Path) -> None:
    """A run whose every build stalls ends early, instead of waiting for thousands of them."""
    code, _, folder = run(write_scenario(tmp_path, clients={"default": "stall"}))
    summary = folder.summary()
    assert code == 125
    assert summary is not None
    assert summary.ending is Ending.STALLED
    assert summary.iterations == 3


def test_timed_out_builds_are_killed_with_all_they_started(tmp_path: Path) -> None:
    """Every second build is killed, group and all, and neither is a finding."""
    scenario = write_scenario(
        tmp_path, build={"kill": {"every": 2, "after": "100ms"}}, clients={"2": "31", "4": "31"}, stop={"iterations": 4}
    )
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert code == 0, output
    assert summary is not None
    assert summary.outcomes == {"ok": 2, "timed_out": 2}
    killed = [iteration.number for iteration in folder.read(Iteration) if iteration.killed is not None]
    assert killed == [2, 4]

    def left() -> list[psutil.Process]:  # no other test has its clients sleep for so long
        return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", "31"]]

    until(lambda: not left(), 20)


def test_client_that_ignores_its_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    """SIGKILL follows the signal, so that no client outlives its time-out for ever."""
    kill = {"every": 1, "after": {"solving": "50ms"}, "grace": "200ms"}  # it is deaf by then
    scenario = write_scenario(tmp_path, build={"kill": kill}, clients={"default": "deaf"}, stop={"iterations": 1})
    _, output, folder = run(scenario)
    (iteration,) = folder.read(Iteration)
    assert iteration.outcome is Outcome.TIMED_OUT, output
    assert iteration.returncode == -signal.SIGKILL


def test_builds_that_never_succeed_end_the_run_with_their_error(tmp_path: Path) -> None:
    """Ten failures in a row, and never a success, are told once instead of counted for two days."""
    code, output, folder = run(write_scenario(tmp_path, clients={"default": "fail"}, stop={"iterations": 1000}))
    summary = folder.summary()
    assert code == 125
    assert summary is not None
    assert (summary.ending, summary.iterations) == (Ending.FAILING, 10)
    assert "did not complete successfully" in output


def test_failed_build_is_recorded_with_its_message(tmp_path: Path) -> None:
    """A build that reports an error is `failed`, and the run goes on."""
    code, _, folder = run(write_scenario(tmp_path, clients={"4": "fail"}))
    (failed,) = [iteration for iteration in folder.read(Iteration) if iteration.outcome is Outcome.FAILED]
    assert code == 0
    assert failed.number == 4
    assert "failed to solve" in failed.error


@pytest.mark.parametrize("behaviour", ["refuse", "die"])
def test_what_is_not_the_builds_fault_never_counts(tmp_path: Path, behaviour: str) -> None:
    """A client that cannot connect, or that somebody else killed, is `infra`: no failure, no trial."""
    code, _, folder = run(write_scenario(tmp_path, clients={"2": behaviour}, stop={"iterations": 3}))
    summary = folder.summary()
    assert code == 0
    assert summary is not None
    assert summary.outcomes == {"ok": 2, "infra": 1}
    assert summary.rate.trials == 2


@pytest.mark.parametrize(
    ("behaviour", "code", "ending"), [("die", 255, Ending.INFRA), ("refuse", 125, Ending.DAEMON_DIED)]
)
def test_only_infra_is_no_verdict(tmp_path: Path, behaviour: str, code: int, ending: Ending) -> None:
    """Where clients are killed by others the host is broken, which makes ``git bisect run`` stop; where the daemon, or
    the containerd behind it, no longer answers them, it is the daemon's fault, and that commit is passed over.
    """
    ended, output, folder = run(write_scenario(tmp_path, clients={"default": behaviour}, build={"parallel": 5}))
    summary = folder.summary()
    assert ended == code, output
    assert summary is not None
    assert (summary.verdict, summary.ending) == (Verdict.INCONCLUSIVE, ending)
    assert ("5 clients in a row ended before they built: " in summary.because) is (ending is Ending.INFRA)


def test_time_ends_the_run(tmp_path: Path) -> None:
    """At the end of its time, builds still on their way are cut off, and those are not counted."""
    code, _, folder = run(write_scenario(tmp_path, clients={"2": "90"}, stop={"time": "12s"}, detect={"stall": "2m"}))
    summary = folder.summary()
    assert code == 0
    assert summary is not None
    assert summary.ending is Ending.TIME
    assert summary.outcomes == {"ok": 1, "cut_off": 1}


def test_hang_that_begins_before_the_end_is_still_seen(tmp_path: Path) -> None:
    """A build whose export completed just before the end of the run's time is watched to its threshold."""
    scenario = write_scenario(
        tmp_path, clients={"1": "hang"}, stop={"time": "10s"}, detect={"export_hang": "12s", "stall": "1m"}
    )
    code, _, folder = run(scenario)
    summary = folder.summary()
    assert code == 1
    assert summary is not None
    assert summary.first_hang is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_everything_and_keeps_what_was_recorded(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C exits with 130; the iterations so far and those in flight are in the records; nothing runs any more."""
    scenario = write_scenario(tmp_path, clients={"4": "30"}, detect={"stall": "1m"})
    process = start(scenario)
    reached(process, lambda: iterations(scenario) == 3)
    code, output = interrupt(process, number)
    folder = last_run(scenario)
    summary = folder.summary()
    assert code == 130, output
    assert summary is not None
    assert summary.outcomes == {"ok": 3, "cut_off": 1}
    assert not psutil.pid_exists(folder.read_json("run.json")["daemon"]["pid"])
    assert not [*(tmp_path / "cache").glob("ledgers/*")]
    assert not [*(tmp_path / "cache").glob("daemons/*")]


def test_hang_found_before_an_interrupt_stays_the_verdict(tmp_path: Path) -> None:
    """A run that has found its hang, and is interrupted while it goes on for more, exits with 1."""
    scenario = write_scenario(
        tmp_path, clients={"1": "hang"}, stop={"time": "5m"}, build={"parallel": 2}, on_hang={"then": "renew"}
    )
    process = start(scenario)
    reached(process, lambda: (tmp_path / "results").exists() and bool([*tmp_path.glob("results/*/*/findings/1")]))
    code, _ = interrupt(process)
    assert code == 1


def test_dead_daemon_is_inconclusive(tmp_path: Path) -> None:
    """A daemon that ends by itself ends the run at once; it is neither a hang nor the harness's fault."""
    scenario = write_scenario(tmp_path, clients={"3": "30"}, detect={"stall": "1m"})
    process = start(scenario)
    reached(process, lambda: iterations(scenario) == 2)
    os.kill(last_run(scenario).read_json("run.json")["daemon"]["pid"], signal.SIGKILL)
    output, _ = process.communicate(timeout=180)
    summary = last_run(scenario).summary()
    assert process.returncode == 125, output
    assert summary is not None
    assert summary.ending is Ending.DAEMON_DIED
    assert "signal 9" in summary.because


def test_suspended_host_is_no_hang(tmp_path: Path) -> None:
    """Harness and client stopped together for longer than the threshold, as a suspended host would: no finding."""
    scenario = write_scenario(
        tmp_path, clients={"1": "tail 3.5"}, stop={"iterations": 2}, detect={"export_hang": "6s", "stall": "6s"}
    )
    process = start(scenario)
    us = psutil.Process(process.pid)

    def clients() -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):  # others come and go meanwhile
            return [child for child in us.children(recursive=True) if child.cmdline()[:2] == ["sleep", "3.5"]]
        return []

    until(lambda: bool(clients()))
    us.suspend()
    held = [us, *clients()]  # nobody gives up what has ended any more, so each is there yet
    for member in held[1:]:
        member.suspend()
    time.sleep(8)
    for member in held:
        member.resume()
    output, _ = process.communicate(timeout=180)
    summary = last_run(scenario).summary()
    assert process.returncode == 0, output
    assert summary is not None
    assert summary.outcomes == {"ok": 2}
    assert summary.unattended_seconds > 6


def test_same_seed_same_plan(tmp_path: Path) -> None:
    """Which builds are killed, and when, comes from the seed alone, in whatever order four lines take them."""
    build = {"parallel": 4, "kill": {"chance": 0.4, "after": {"uniform": ["50ms", "4s"]}}}
    plans = []
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        (tmp_path / name).mkdir()
        scenario = write_scenario(
            tmp_path / name, build=build, clients={"default": "90"}, stop={"iterations": 12}, detect={"stall": "2m"}
        )
        scenario.write_text(scenario.read_text().replace("chance: 0.4", "chance: 1.0"))
        _, _, folder = run(scenario, "--seed", seed)
        plans.append(
            {
                iteration.number: iteration.killed - iteration.started
                for iteration in folder.read(Iteration)
                if iteration.killed is not None
            }
        )
    first, again, other = plans
    assert first.keys() == again.keys() == other.keys() == {*range(1, 13)}
    apart = [abs(first[number] - again[number]) for number in first]
    elsewhere = [abs(first[number] - other[number]) for number in first]
    assert sorted(apart)[len(apart) // 2] < sorted(elsewhere)[len(elsewhere) // 2] / 2


def test_killed_harness_leaves_a_readable_run_and_clean_removes_the_rest(tmp_path: Path) -> None:
    """After SIGKILL the daemon is gone with the harness, the records stay, and `repro clean` removes the rest."""
    scenario = write_scenario(tmp_path, clients={"4": "30"}, detect={"stall": "1m"})
    process = start(scenario)
    reached(process, lambda: iterations(scenario) == 3)
    daemon = last_run(scenario).read_json("run.json")["daemon"]["pid"]
    process.kill()
    process.communicate(timeout=180)
    folder = last_run(scenario)
    assert folder.summary() is None
    assert len(folder.read(Iteration)) == 3
    until(lambda: has_ended(daemon))
    assert [*(tmp_path / "cache").glob("daemons/*")]
    cleaned = psutil.Popen([os.sys.executable, "-m", "harness", "clean"])  # type: ignore[attr-defined]
    assert cleaned.wait(180) == 0
    assert not [*(tmp_path / "cache").glob("daemons/*")]
    assert not [*(tmp_path / "cache").glob("staging/*")]


def test_daemon_is_renewed(tmp_path: Path) -> None:
    """Every fifth iteration a fresh daemon on a fresh root takes over, iterations are counted on, and none is left."""
    scenario = write_scenario(
        tmp_path, build={"parallel": 2}, daemon={"kind": "stub", "renew": {"every": 5}}, stop={"iterations": 12}
    )
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert code == 0, output
    assert summary is not None
    assert (summary.ending, summary.iterations) == (Ending.ITERATIONS, 12)
    assert sorted(iteration.number for iteration in folder.read(Iteration)) == [*range(1, 13)]
    assert not [*(tmp_path / "cache").glob("ledgers/*")]
    assert not [*(tmp_path / "cache").glob("daemons/*")]


def test_hang_on_a_later_daemon_ends_the_run(tmp_path: Path) -> None:
    """A finding on the third daemon of a run is one like any other."""
    scenario = write_scenario(
        tmp_path, daemon={"kind": "stub", "renew": {"every": 2}, "config": {"5": "hang"}}, stop={"iterations": 100}
    )
    code, _, folder = run(scenario)
    summary = folder.summary()
    assert code == 1
    assert summary is not None
    assert summary.first_hang is not None
    assert summary.first_hang.iteration == 5


def test_run_goes_on_after_hangs(tmp_path: Path) -> None:
    """A fresh daemon follows each that hung; what hangs beside its first is no hang more, and the rate is over all."""
    clients = {"4": "hang", "5": "hang", "12": "hang", "default": "0.4"}
    scenario = write_scenario(
        tmp_path, build={"parallel": 2}, clients=clients, stop={"iterations": 25}, on_hang={"then": "renew"}
    )
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert code == 1, output
    assert summary is not None
    assert (summary.ending, summary.iterations) == (Ending.ITERATIONS, 25)
    assert summary.rate.hangs == 2
    findings = {finding.iteration: finding.generation for finding in folder.read(Finding)}
    assert (findings[4], findings[12]) == (1, 2)
    generations = {iteration.number: iteration.generation for iteration in folder.read(Iteration)}
    assert [generations[number] for number in (1, 11, 25)] == [1, 2, 3]
    assert summary.rate.trials <= 25 - len(findings) + 2
    assert not [*(tmp_path / "cache").glob("daemons/*")]


def test_second_hang_ends_the_run(tmp_path: Path) -> None:
    """`stop.hangs` counts daemons that hung."""
    scenario = write_scenario(
        tmp_path,
        clients={"2": "hang", "5": "hang"},
        stop={"iterations": 100, "hangs": 2},
        on_hang={"then": "renew", "probe": False},
    )
    code, output, folder = run(scenario)
    summary = folder.summary()
    assert code == 1, output
    assert summary is not None
    assert (summary.ending, summary.iterations, summary.rate.hangs) == (Ending.FINDINGS, 5, 2)


def test_hung_daemon_is_held(tmp_path: Path) -> None:
    """`then: hold` leaves a daemon that hung, and says how to attach; `repro clean` ends it. A clean one goes."""
    scenario = write_scenario(tmp_path, clients={"3": "hang"}, on_hang={"then": "hold"})
    code, output, folder = run(scenario)
    daemon = folder.read_json("run.json")["daemon"]["pid"]
    assert code == 1
    assert f"dlv attach {daemon}" in output
    assert psutil.pid_exists(daemon)
    summary = folder.summary()
    assert summary is not None
    assert not summary.aftermath
    assert repro("clean").returncode == 0
    until(lambda: has_ended(daemon), 20)
    scenario = write_scenario(tmp_path, on_hang={"then": "hold"})
    code, output, folder = run(scenario)
    assert code == 0
    assert "attach" not in output
    assert not psutil.pid_exists(folder.read_json("run.json")["daemon"]["pid"])


@pytest.mark.parametrize(("when", "counts"), [({"every": 4}, [4, 8, 12]), ({"at": "100ms"}, [None])])
def test_triggers_fire_when_they_say(tmp_path: Path, when: dict[str, object], counts: list[int | None]) -> None:
    """`every` acts as each n-th iteration starts, `at` once; each act says how long after its due time it began."""
    scenario = write_scenario(
        tmp_path,
        clients={"default": "0.1"},
        stop={"iterations": 14},
        actors=[{"prune": "sometimes", "when": when}],
    )
    _, output, folder = run(scenario)
    actions = folder.read(Action)
    assert len(actions) == len(counts), output
    assert all(action.started - action.due >= 0 for action in actions)
    if counts != [None]:
        starts = {iteration.number: iteration.started for iteration in folder.read(Iteration)}
        assert [action.due for action in actions] == [starts[number] for number in counts if number]


def test_prunes_and_samples_are_recorded(tmp_path: Path) -> None:
    """What other actors do, where builds stood then, and how daemon and harness fare, stands beside the iterations."""
    scenario = write_scenario(
        tmp_path,
        build={"kill": {"every": 2, "after": "800ms", "grace": "1s"}},
        clients={"default": "1"},
        stop={"time": "12s"},
        detect={"export_hang": "1m", "stall": "1m"},
        actors=[
            {"prune": "loop", "when": {"interval": "100ms"}},
            {"prune": "follows", "when": {"step": "RUN true", "of": "ci", "after": "50ms"}},
        ],
    )
    _, _, folder = run(scenario)
    acts, samples = folder.read(Action), folder.read(Sample)
    followers = [act for act in acts if act.actor == "follows"]
    following = [moment for act in followers for moment in act.moments]
    in_time = [moment for act in followers if act.started - act.due < 0.5 for moment in act.moments]
    assert {(moment.point, moment.followed) for moment in in_time} == {("[1/1] RUN true", True)}
    assert all(moment.since >= 0.05 for moment in following)
    actions = [act for act in acts if act.actor == "loop"]
    assert {moment.followed for act in actions for moment in act.moments} == {False}
    killed = [build for build in folder.read(Iteration) if build.killed is not None]
    assert all(build.number % 2 == 0 and build.killed_at and build.killed_after >= 0 for build in killed)
    maps = {(found.actor, found.kind): found for found in hazard_maps(hazards(folder))}
    assert maps["ci", "kill"].acts == len(killed) > 0
    assert maps["follows", "prune"].acts == len(following) > 0
    assert not any(found.hangs for found in maps.values())
    assert len(actions) > 3
    assert all(action.succeeded or not action.attempted for action in actions)  # the run's end cuts one off
    assert any(action.succeeded for action in actions)
    assert {action.kind for action in actions} == {"prune"}
    assert [action.count for action in actions] == [*range(1, len(actions) + 1)]
    assert samples
    assert samples[0].own_rss > 0


def several(folder: Path, clients: dict[str, dict[str, str]], **parts: Any) -> Path:
    """Write a scenario with a stub daemon for each of some ways in which clients behave."""
    file = write_scenario(folder, **parts)
    scenario = yaml.safe_load(file.read_text())
    del scenario["daemon"]
    scenario["daemons"] = {name: {"kind": "stub", "config": config} for name, config in clients.items()}
    file.write_text(yaml.safe_dump(scenario))
    return file


def test_several_daemons_side_by_side(tmp_path: Path) -> None:
    """Each daemon has a run of its own, with the same seed and actors; one that hangs makes the command say so."""
    scenario = several(tmp_path, {"good": {}, "bad": {"4": "hang"}})
    code, output, _ = run(scenario, "--seed", "7")
    summaries = [RunFolder(folder).summary() for folder in (tmp_path / "results" / "stubbed").iterdir()]
    verdicts = {summary.daemon["name"]: summary.verdict for summary in summaries if summary}
    assert verdicts == {"good": Verdict.CLEAN, "bad": Verdict.HANG}, output
    assert {summary.seed for summary in summaries if summary} == {7}
    assert code == 1
    assert "[bad] iteration 4" in output
    assert "[good] iteration 4" not in output


def test_interrupt_ends_every_daemon(tmp_path: Path) -> None:
    """Ctrl-C ends all runs that go on side by side, and each has its summary."""
    scenario = several(tmp_path, {"one": {"default": "1"}, "two": {"default": "1"}}, stop={"time": "1h"})
    process = start(scenario)
    while len([*(tmp_path / "results").glob("*/*/run.db")]) < 2:
        time.sleep(0.05)
    code, output = interrupt(process)
    assert code == 130, output
    assert all(RunFolder(folder).summary() for folder in (tmp_path / "results" / "stubbed").iterdir())


def test_one_toolchain_for_several_daemons(tmp_path: Path) -> None:
    """`--daemon` is refused where it is not said which daemon it means."""
    scenario = several(tmp_path, {"one": {}, "two": {}})
    process = start(scenario, "--daemon", "debian:trixie")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 129
    assert "daemons.one.toolchain" in output
