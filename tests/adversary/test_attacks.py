"""A tiny part of each attack that can be quick; ``python -m tests.adversary`` is the whole."""

import math
import signal
from pathlib import Path

import pytest

from tests.adversary.links import mark, received, telling, with_link
from tests.adversary.mutations import mutations
from tests.adversary.steps import dying
from tests.adversary.world import Options, Repro, events, traceback_in


@pytest.mark.usefixtures("cache")
def test_a_few_mutations_of_each_file(tmp_path: Path) -> None:
    """No reader breaks on a changed file; the whole attack has thousands for each."""
    tries = [*mutations(Options(tmp_path, "", kills=0, mutations=6, seed=20, until=math.inf))]
    assert len(tries) == 19
    assert [each for each in tries if each.problem] == []


def test_what_is_left_is_seen(tmp_path: Path) -> None:
    """The attacks' own eyes: a process, a file in the cache and a temporary one are seen, and nothing else is."""
    repro = Repro(tmp_path)
    assert repro.left() == []
    process = repro.start("serve", str(tmp_path), "--port", "0", output=tmp_path / "log")
    try:
        (repro.cache / "ledgers").mkdir(parents=True)
        (repro.cache / "ledgers" / "x.json").touch()
        (repro.tmp / "y").touch()
        seen = repro.left()
    finally:
        process.kill()
        process.wait()
    assert [each.split()[0] for each in seen] == ["process", "ledgers", "temporary"]


def test_what_is_told_is_read(tmp_path: Path) -> None:
    """A traceback is seen in what was printed, and iterations in lines of JSON, also where the last is torn."""
    log = tmp_path / "log"
    broke = "a\nTraceback (most recent call last):\n  x\nValueError: y\nrepro broke; z\n"
    log.write_text('{"event": "iteration", "number": 1, "outcome": "ok"}\n[1]\n{"event": "iter')
    assert events(log) == {1: "ok"}
    assert traceback_in(broke) == "ValueError: y"
    assert traceback_in("a\nb\n") == ""


def test_a_program_that_dies_at_a_step(tmp_path: Path) -> None:
    """It is killed before the first thing that it would change; where there are fewer than that, it ends by itself."""
    repro = Repro(tmp_path)
    assert dying(repro, 1, "clean")[0] == -signal.SIGKILL
    assert not repro.cache.exists()
    assert dying(repro, 1000, "clean") == (0, "nothing was left behind\n")


@pytest.mark.usefixtures("cache")
def test_what_a_link_would_tell_is_seen(tmp_path: Path) -> None:
    """The attack's own eyes: what no link keeps away is told by commands, pages, bundle and report."""
    run = received(tmp_path / "results")
    mark(run)
    seen = {each.partition(" ")[0] for each in telling(run, received(tmp_path / "other"), tmp_path)}
    assert seen >= {"show", "diagnose", "/", "/runs/{run}/data.json", "the"}


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["summary.json", "run.db", "findings"])
def test_links_of_a_received_run(tmp_path: Path, name: str) -> None:
    """What a link in it leads to is told by no command and no page, and goes into no bundle and no report."""
    run = received(tmp_path / "received")
    assert [*telling(with_link(run, name, tmp_path, relative=False), run, tmp_path)] == []
