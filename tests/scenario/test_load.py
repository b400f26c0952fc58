"""Scenarios from files: what is read, and for everything that is wrong, where it stands and what is said of it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from harness.actors.build import Build
from harness.actors.prune import Prune
from harness.cli.kinds import VOCABULARY
from harness.core.errors import ScenarioError
from harness.core.outcome import Outcome, Phase
from harness.scenario import Scenario, dump, load
from harness.scenario.load import PROJECT, find_scenario
from harness.scenario.places import Override
from harness.scenario.triggers import IntervalTrigger, PhaseTrigger

SHIPPED = sorted((PROJECT / "scenarios").glob("*.yaml"))

Read = Callable[..., Scenario]

GOOD = """\
name: x
actors:
  - build: ci
    dockerfile: mine
stop: {iterations: 5}
"""
RICH = """\
name: rich
about: "Ends: at `5`, é"
daemon:
  kind: buildkitd
  toolchain: path:/opt/b k
  image_store: graphdriver
  config: {worker: {oci: {gc: true, reserved: [1, a]}}, "on": "no"}
actors:
  - build: ci
    dockerfile: mine
    base: alpine:3.22
    args: {N: "{iteration % 7}", FLAG: "on", M: 3, T: true, F: 1.5}
    export: oci
    no_cache: true
    network: host
    parallel: 4
    kill: {chance: 0.3, after: {uniform: [100ms, 1s]}, signal: SIGINT, grace: 2s, target: client}
    when: {interval: {exponential: 250ms}}
  - prune: cleanup
    all: true
    when: {phase: exporting, of: ci, after: 1m30s, chance: 0.5}
  - freeze: cold
    when: {interval: 5m, lasting: 6s}
stop: {iterations: 20, time: 48h, hangs: 2, on: [hang, stall]}
on_hang: {then: renew, probe: false}
detect: {export_hang: 3s, stall: 2h30m}
seed: 7
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a scenario that stands beside a folder `mine` with a Dockerfile."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "Dockerfile").write_text("FROM base\n")

    def from_text(text: str, *settings: str) -> Scenario:
        (tmp_path / "s.yaml").write_text(text)
        return load(tmp_path / "s.yaml", VOCABULARY, settings)

    return from_text


def problems(read: Read, text: str, *settings: str) -> Sequence[tuple[int, str, str]]:
    """Return what is wrong with a scenario: lines, key paths and messages."""
    with pytest.raises(ScenarioError) as caught:
        read(text, *settings)
    shown = [
        f"{caught.value.file}:{problem.line}: {problem.path}: {problem.message}" for problem in caught.value.problems
    ]
    assert str(caught.value) == "\n".join(shown)
    return [(problem.line, problem.path, problem.message) for problem in caught.value.problems]


def prune(when: str) -> str:
    """Return a scenario with a second actor, `p`, whose trigger stands in line 6."""
    return GOOD.replace("stop", f"  - prune: p\n    when: {when}\nstop")


BAD: dict[str, tuple[str, int, str, str]] = {
    "empty": ("", 1, "scenario", "is no mapping with the keys name, actors and stop"),
    "list": ("- a\n", 1, "scenario", "is no mapping"),
    "no-yaml": ("name: x\nstop: {iterations: 5\n", 3, "yaml", "expected ',' or '}'"),
    "two-documents": (GOOD + "---\n" + GOOD, 6, "yaml", "but found another document"),
    "control-character": ("name: \x07\n", 1, "yaml", "special characters are not allowed"),
    "other-type": (GOOD + "about: !!python/name:os.system x\n", 6, "yaml", "could not determine a constructor"),
    "unknown-key": (GOOD + "stopp: {time: 1s}\n", 6, "stopp", "unknown key; did you mean 'stop'?; allowed: about,"),
    "no-name": (GOOD.removeprefix("name: x\n"), 1, "name", "is missing"),
    "bad-name": (GOOD.replace("name: x", "name: A b"), 1, "name", "should match pattern"),
    "no-stop": (GOOD.replace("stop: {iterations: 5}\n", ""), 1, "stop", "is missing"),
    "nobodys-host": (
        GOOD.replace("stop", "  - {network: n, host: far, cut: half_open, when: {at: 1s, lasting: 1s}}\nstop"),
        5,
        "actors.n.host",
        "no build has the client host 'far'; client hosts: none",
    ),
    "host-without-client": (
        GOOD.replace("build: ci", "build: ci\n    host: far\n    export: image\n    via: api"),
        4,
        "actors.ci.host",
        "is of a client's program: leave out `host`, or `via: api`",
    ),
    "compose-without-services": (
        GOOD.replace("build: ci", "build: ci\n    via: compose"),
        3,
        "actors.ci.targets",
        "compose builds services: name the stages that it is to build",
    ),
    "hangs-on-one-daemon": (
        GOOD.replace("{iterations: 5}", "{iterations: 5, hangs: 2}"),
        1,
        "scenario",
        "a daemon that hung once hangs again",
    ),
    "no-end": (GOOD.replace("{iterations: 5}", "{hangs: 3}"), 5, "stop", "a run needs an end: give `iterations`"),
    "zero-iterations": (GOOD.replace("5}", "0}"), 5, "stop.iterations", "should be greater than or equal to 1, not 0"),
    "text-iterations": (GOOD.replace("5}", "many}"), 5, "stop.iterations", "should be a valid integer"),
    "bare-time": (GOOD.replace("iterations: 5", "time: 90"), 5, "stop.time", "90 is no duration; write it like"),
    "unknown-finding": (
        GOOD.replace("5}", "5, on: [hang, bug]}"),
        5,
        "stop.on.1",
        "should be 'hang', 'stall', 'failure', 'late_failure', 'death', 'act', 'growth', 'inconsistency', "
        "'content', 'miss' or 'slow', not 'bug'",
    ),
    "unknown-stop": (
        GOOD.replace("5}", "5, hang: 3}"),
        5,
        "stop.hang",
        "did you mean 'hangs'?; allowed: hangs, iterations, on, time",
    ),
    "another-word": (
        GOOD + "detect: {error: x}\n",
        6,
        "detect.error",
        "unknown key; did you mean 'failure'?; allowed: ",
    ),
    "another-kind": (
        GOOD.replace("stop:", "  - gc: g\n    when: {interval: 1s}\nstop:"),
        5,
        "actors.g",
        "unknown actor 'gc'; did you mean 'prune'?",
    ),
    "both-words": (GOOD + "detect: {failed: x, failure: y}\n", 6, "detect.failed", "did you mean 'failure'?"),
    "detect": (GOOD + "detect:\n  stall: soon\n", 7, "detect.stall", "'soon' is no duration"),
    "unknown-daemon": (
        GOOD + "daemon:\n  image_store: containerd\n  kind: dockerdd\n",
        8,
        "daemon.kind",
        "unknown daemon 'dockerdd'; did you mean 'dockerd'?; known: buildkitd, dockerd",
    ),
    "unknown-store": (GOOD + "daemon: {image_store: zfs}\n", 6, "daemon.image_store", "'containerd' or 'graphdriver'"),
    "no-actors": ("name: x\nactors: []\nstop: {time: 1s}\n", 2, "actors", "nothing is built: a scenario needs"),
    "number-of-actors": ("name: x\nactors: 5\nstop: {time: 1s}\n", 2, "actors", "should be a list, each item of"),
    "actors-are-text": ("name: x\nactors: abc\nstop: {time: 1s}\n", 2, "actors", "should be a list, each item of"),
    "actors-are-a-mapping": (
        "name: x\nactors: {build: ci, dockerfile: mine}\nstop: {time: 1s}\n",
        2,
        "actors",
        "begins with a kind and a name: `- build: ci`",
    ),
    "actors-of-nothing": ("name: x\nactors:\nstop: {time: 1s}\n", 2, "actors", "should be a list, each item of which"),
    "actors-missing": ("name: x\nstop: {time: 1s}\n", 1, "actors", "should be a list, each item of which"),
    "name-beside-the-kind": (
        GOOD.replace("mine\n", "mine\n    name: other\n"),
        5,
        "actors.ci.name",
        "unknown key; the name stands behind the kind: `- build: NAME`",
    ),
    "alias-in-itself": (
        "name: x\nactors: &a\n  - *a\nstop: {time: 1s}\n",
        1,
        "yaml",
        "comes to more than 50,000 values, with what its aliases stand for",
    ),
    "alias-in-its-mapping": (
        GOOD + "daemon: {config: &c {a: *c}}\n",
        1,
        "yaml",
        "comes to more than 50,000 values, with what its aliases stand for",
    ),
    "no-bool": (GOOD + "about: !!bool maybe\n", 6, "yaml", "is no bool"),
    "no-int": (GOOD + "seed: !!int many\n", 6, "yaml", "is no int"),
    "no-timestamp": (GOOD + "about: !!timestamp x\n", 6, "yaml", "is no timestamp"),
    "int-without-end": (GOOD + f"seed: {'9' * 5000}\n", 6, "yaml", "is no int"),
    "time-without-end": (GOOD.replace("iterations: 5", f"time: {'9' * 400}s"), 5, "stop.time", "is no duration"),
    "key-is-a-list": (GOOD + "? [a, b]\n: 1\n", 6, "yaml", "and a scenario has text, numbers, true, false and null"),
    "key-is-a-mapping": (GOOD + "? {a: b}\n: 1\n", 6, "yaml", "and a scenario has text, numbers, true, false and null"),
    "unknown-actor": (
        GOOD.replace("stop", "  - prun: p\nstop"),
        5,
        "actors.p",
        "unknown actor 'prun'; did you mean 'prune'?; known: build, ",
    ),
    "actor-is-text": (GOOD.replace("stop", "  - prune\nstop"), 5, "actors.1", "an actor is a mapping that begins with"),
    "two-actors-in-one": (
        GOOD.replace("stop", "  - prune: p\n    freeze: f\nstop"),
        5,
        "actors.p",
        "is two actors in one: prune and freeze",
    ),
    "no-dockerfile": (GOOD.replace("    dockerfile: mine\n", ""), 3, "actors.ci.dockerfile", "is missing"),
    "absent-dockerfile": (
        GOOD.replace(": mine", ": nosuch"),
        4,
        "actors.ci.dockerfile",
        "there is no Dockerfile in any of",
    ),
    "long-dockerfile": (
        GOOD.replace(": mine", f": {'d' * 300}"),
        4,
        "actors.ci.dockerfile",
        "there is no Dockerfile in any of",
    ),
    "unknown-option": (
        GOOD.replace("mine\n", "mine\n    paralel: 3\n"),
        5,
        "actors.ci.paralel",
        "unknown key; did you mean 'parallel'?; allowed: args, base, build, cache_from, cache_to, context, contexts, "
        "dockerfile, dockerfile_inline, dockerfiles, env,",
    ),
    "option-of-a-part": (
        GOOD.replace("mine\n", "mine\n    kill:\n      every: 3\n      after: 5s\n      sig: SIGINT\n"),
        8,
        "actors.ci.kill.sig",
        "did you mean 'signal'?; allowed: after, chance, every, grace, signal, target",
    ),
    "bad-actor-name": (GOOD.replace(": ci", ": C I"), 3, "actors.C I.build", "should match pattern"),
    "bad-export": (
        GOOD.replace("mine\n", "mine\n    export: zip\n"),
        5,
        "actors.ci.export",
        "should be 'load', 'image'",
    ),
    "bad-kill": (
        GOOD.replace("mine\n", "mine\n    kill: {every: 3, chance: 0.5, after: 5s}\n"),
        5,
        "actors.ci.kill",
        "either `every: N` or `chance: P`",
    ),
    "bad-signal": (
        GOOD.replace("mine\n", "mine\n    kill: {every: 3, after: 5s, signal: KILL}\n"),
        5,
        "actors.ci.kill.signal",
        "'SIGTERM'",
    ),
    "late-kill": (
        GOOD.replace("mine\n", "mine\n    kill: {every: 6, after: 5s}\n"),
        5,
        "actors.ci.kill.every",
        "never fires: the run ends after 5 iterations",
    ),
    "no-trigger": (GOOD.replace("stop", "  - prune: p\nstop"), 5, "actors.p.when", "is missing"),
    "text-trigger": (GOOD.replace("stop", "  - prune: p\n    when: 5m\nstop"), 6, "actors.p.when", "not '5m'"),
    "trigger-of-nothing": (prune("null"), 6, "actors.p.when", "should be a mapping, not None; allowed: "),
    "trigger-is-a-list": (prune("[5m]"), 6, "actors.p.when", "should be a mapping, not ['5m']; allowed: "),
    "unordered-bounds": (
        GOOD.replace("stop", "  - prune: p\n    when:\n      interval:\n        uniform: [2s, 1s]\nstop"),
        7,
        "actors.p.when.interval",
        "the first bound of `uniform` is the lower one",
    ),
    "bare-bound": (
        GOOD.replace("stop", "  - prune: p\n    when:\n      interval:\n        uniform: [1s, 2]\nstop"),
        8,
        "actors.p.when.interval.uniform.1",
        "2 is no duration",
    ),
    "too-likely": (
        prune("{phase: exited, of: ci, chance: 2}"),
        6,
        "actors.p.when.chance",
        "should be less than or equal to 1, not 2",
    ),
    "trigger-of-no-build": (prune("{phase: exited}"), 6, "actors.p.when.of", "is missing"),
    "option-of-a-phase": (
        prune("{phase: exited, of: ci, color: red}"),
        6,
        "actors.p.when.color",
        "unknown key; allowed: after, chance, lasting, of, phase",
    ),
    "option-of-an-interval": (
        prune("{interval: 2s, chance: 0.5}"),
        6,
        "actors.p.when.chance",
        "unknown key; allowed: interval, lasting",
    ),
    "option-of-a-delay": (
        prune("{phase: exited, of: ci, after: {uniform: [0s, 1s], mean: 1s}}"),
        6,
        "actors.p.when.after.mean",
        "unknown key; allowed: uniform",
    ),
    "delay-of-a-kill": (
        GOOD.replace("mine\n", "mine\n    kill: {every: 3, after: {exponential: often}}\n"),
        5,
        "actors.ci.kill.after.exponential",
        "'often' is no duration",
    ),
    "args-are-text": (GOOD.replace("mine\n", "mine\n    args: N=3\n"), 5, "actors.ci.args", "valid dictionary"),
    "arg-is-a-list": (
        GOOD.replace("mine\n", "mine\n    args:\n      OK: 1\n      Name: [1]\n"),
        7,
        "actors.ci.args.Name",
        "should be a valid string",
    ),
    "unknown-phase": (
        GOOD.replace("stop", "  - prune: p\n    when: {phase: export, of: ci}\nstop"),
        6,
        "actors.p.when.phase",
        "'started', 'solving', 'exporting', 'exported' or 'exited', not 'export'",
    ),
    "unheard-of": (
        GOOD.replace("stop", "  - prune: p\n    when: {phase: exited, of: cii}\nstop"),
        6,
        "actors.p.when.of",
        "never fires: no build is named 'cii'; builds: ci",
    ),
    "of-no-build": (
        GOOD.replace("stop", "  - prune: p\n    when: {phase: exited, of: p}\nstop"),
        6,
        "actors.p.when.of",
        "builds: ci",
    ),
    "too-late": (
        GOOD.replace("stop: {iterations: 5}", "  - prune: p\n    when: {interval: 2m}\nstop: {time: 2m}"),
        6,
        "actors.p.when",
        "never fires: its first time to act, 2m, is not before the end of the run at stop.time, 2m",
    ),
    "freeze-for-ever": (
        GOOD.replace("stop", "  - freeze: f\n    when: {interval: 1s}\nstop"),
        6,
        "actors.f.when",
        "needs `lasting`: how long until what it did is healed",
    ),
    "nothing-is-built": (
        GOOD.replace("- build: ci\n    dockerfile: mine", "- prune: p\n    when: {interval: 1s}"),
        2,
        "actors",
        "nothing is built: a scenario needs at least one `- build: NAME`",
    ),
    "same-name": (
        GOOD.replace("stop", "  - prune: ci\n    when: {interval: 1s}\nstop"),
        5,
        "actors.ci",
        "the name 'ci' is taken by the actor in line 3",
    ),
    "key-twice": (GOOD + "about: a\nabout: b\n", 7, "about", "stands twice"),
    "actors-key-twice": (
        GOOD.replace("mine\n", "mine\n    base: a\n    base: b\n"),
        6,
        "actors.ci.base",
        "stands twice",
    ),
    "key-twice-beside-a-merged-one": (
        GOOD + "daemon:\n  config:\n    a: &a {x: 1}\n    b:\n      <<: *a\n      x: 2\n      x: 3\n",
        12,
        "daemon.config.b.x",
        "stands twice",
    ),
    "key-twice-as-number-and-text": (GOOD + "daemon: {config: {1: a, '1': b}}\n", 6, "daemon.config.1", "stands twice"),
}


def test_words_of_reports(read: Read) -> None:
    """What summaries and reports call a finding is taken, and is kept in the records by our own word."""
    scenario = read(GOOD.replace("5}", "5, on: [failed, crash, leak]}") + "detect: {failed: [lost, gone]}\n")
    assert scenario.stop.on == ("failure", "death", "growth")
    assert scenario.detect.failures == ("lost", "gone")
    assert scenario.model_dump(mode="json")["detect"]["failure"] == ["lost", "gone"]


@pytest.mark.parametrize("name", BAD)
def test_one_problem(read: Read, name: str) -> None:
    """Each mistake is one problem, with its own line, its key path as `--set` takes it, and what is allowed."""
    text, line, path, said = BAD[name]
    [problem] = problems(read, text)
    assert problem[:2] == (line, path)
    assert said in problem[2]


def test_a_kind_of_delay_that_there_is_not(read: Read) -> None:
    """A key that no delay has is told where it stands, with what is allowed there."""
    found = problems(read, prune("{interval: {unifrm: [0s, 1s]}}"))
    assert {line for line, _, _ in found} == {6}
    [said] = [message for _, path, message in found if path == "actors.p.when.interval.unifrm"]
    assert said.startswith("unknown key")
    assert "allowed: " in said


def test_actors_that_are_none(read: Read) -> None:
    """An item of the list that is no mapping is told at its index, whatever it is."""
    found = problems(read, GOOD.replace("stop", "  - 5\n  -\n  - []\n  - {}\nstop"))
    assert [(line, path) for line, path, _ in found] == [(5 + index, f"actors.{1 + index}") for index in range(4)]
    assert all("an actor is a mapping that begins with its kind and name" in message for _, _, message in found)


def test_every_problem_at_once(read: Read) -> None:
    """Mistakes of every kind and place are told together, in the order of the file, and each of them once."""
    text = dedent("""\
        name: X!
        actors:
          - build: ci
            dockerfile: nosuch
            color: red
          - prune: ci
            when: {interval: 5 minutes}
          - build: other
            dockerfile: mine
            parallel: 0
          - prune: loop
            when: {phase: exited, of: cj}
        stop: {iterations: 0}
        daemon: {kind: podman}
        wrong: 1
        """)
    found = problems(read, text)
    assert [(line, path) for line, path, _ in found] == [
        (1, "name"),
        (4, "actors.ci.dockerfile"),
        (5, "actors.ci.color"),
        (7, "actors.ci.when.interval"),
        (10, "actors.other.parallel"),
        (12, "actors.loop.when.of"),
        (13, "stop.iterations"),
        (14, "daemon.kind"),
        (15, "wrong"),
    ]


def test_names_and_files_beside_unknown_keys(read: Read) -> None:
    """An unknown key does not hide what else is wrong with the same actors: a missing file, a name that is taken."""
    text = dedent("""\
        name: x
        actors:
          - build: ci
            dockerfile: nosuch
            color: red
          - build: ci
            dockerfile: mine
            size: 3
            kill: {every: 3, after: soon}
        stop: {iterations: 5}
        """)
    assert [(line, path) for line, path, _ in problems(read, text)] == [
        (4, "actors.ci.dockerfile"),
        (5, "actors.ci.color"),
        (6, "actors.ci"),
        (8, "actors.ci.size"),
        (9, "actors.ci.kill.after"),
    ]


def test_a_whole_scenario(read: Read, tmp_path: Path) -> None:
    """Every part of a scenario is read as it is meant, and what is not said has its default."""
    rich = read(RICH)
    build, prune, freeze = rich.actors
    assert isinstance(build, Build)
    assert isinstance(prune, Prune)
    assert (build.name, build.dockerfile, build.parallel) == ("ci", str(tmp_path.resolve() / "mine"), 4)
    assert build.args == {"N": "{iteration % 7}", "FLAG": "on", "M": "3", "T": "true", "F": "1.5"}
    assert build.kill is not None
    assert (build.kill.every, build.kill.chance, build.kill.grace) == (None, 0.3, 2.0)
    assert isinstance(prune.when, PhaseTrigger)
    assert (prune.when.phase, prune.when.of, prune.when.after.least) == (Phase.EXPORTING, "ci", 90.0)
    assert isinstance(freeze.when, IntervalTrigger)
    assert freeze.when.lasting == 6.0
    assert (rich.stop.time, rich.stop.hangs, rich.seed) == (172800.0, 2, 7)
    assert rich.stop.hunted == {Outcome.HANG, Outcome.STALL}
    assert rich.detect.stall == 9000.0
    assert rich.daemon.config == {"worker": {"oci": {"gc": True, "reserved": [1, "a"]}}, "on": "no"}
    plain = read(GOOD)
    assert plain.stop.hunted == {Outcome.HANG}
    assert (plain.daemon.kind, plain.daemon.toolchain, plain.seed) == (None, "auto", None)


@pytest.mark.parametrize("order", ["build: ci\n    network: none", "network: none\n    build: ci"])
def test_an_option_that_is_a_kind_too(read: Read, order: str) -> None:
    """`network` and `kill` are kinds of actors and options of a build, wherever in it they stand."""
    build = read(GOOD.replace("build: ci", order)).actors[0]
    assert isinstance(build, Build)
    assert (build.name, build.network) == ("ci", "none")


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "y", "On", "NO"])
def test_words_that_old_yaml_took_for_booleans(read: Read, word: str) -> None:
    """`on` is a key and `no` a word, as in YAML 1.2, and as keys of the daemon's configuration too."""
    scenario = read(GOOD.replace("5}", "5, on: [stall]}") + f"about: {word}\ndaemon: {{config: {{{word}: {word}}}}}\n")
    assert scenario.stop.hunted == {Outcome.STALL}
    assert scenario.about == word
    assert scenario.daemon.config == {word: word}


def test_the_booleans_there_are(read: Read) -> None:
    """`true` and `false` are booleans, in the configuration as in an actor."""
    scenario = read(GOOD.replace("mine\n", "mine\n    no_cache: true\n") + "daemon: {config: {a: false, b: true}}\n")
    assert scenario.daemon.config == {"a": False, "b": True}
    assert scenario.daemon.config["a"] is False
    assert isinstance(scenario.actors[0], Build)
    assert scenario.actors[0].no_cache


@pytest.mark.parametrize("date", ["2024-13-45", "2024-01-02", "2024-01-02 03:04:05"])
def test_dates_are_text(read: Read, date: str) -> None:
    """What looks like a date, and is one or not, is text like any other."""
    scenario = read(f"{GOOD}about: {date}\ndaemon: {{config: {{since: {date}}}}}\n".replace(" 03:", "T03:"))
    assert scenario.about == date.replace(" ", "T")
    assert scenario.daemon.config == {"since": date.replace(" ", "T")}


def test_merged_keys(read: Read) -> None:
    """What stands in a mapping goes before what is merged into it, and is no key that stands twice; aliases neither."""
    config = dedent("""\
        daemon:
          config:
            one: &one {size: 1, color: red}
            other: &other {<<: *one, size: 2}
            again: *other
            third: {<<: *other, size: 3}
            both: {<<: [*other, {weight: 5}], color: blue}
        """)
    assert read(GOOD + config).daemon.config == {
        "one": {"size": 1, "color": "red"},
        "other": {"size": 2, "color": "red"},
        "again": {"size": 2, "color": "red"},
        "third": {"size": 3, "color": "red"},
        "both": {"size": 2, "color": "blue", "weight": 5},
    }


def test_merged_actors(read: Read) -> None:
    """An actor may be another one with some of it changed, its name among that."""
    scenario = read(
        GOOD.replace("- build", "- &ci\n    build").replace("mine\n", "mine\n  - {<<: *ci, build: two, parallel: 2}\n")
    )
    assert [(actor.name, actor.model_dump()["parallel"]) for actor in scenario.actors] == [("ci", 1), ("two", 2)]


def test_two_keys_that_stand_twice(read: Read) -> None:
    """Every key that stands twice is told once, with the line of the last, also if it stands there three times."""
    text = GOOD + "about: a\nseed: 1\nabout: b\nseed: 2\nabout: c\n"
    assert problems(read, text) == [(9, "seed", "stands twice"), (10, "about", "stands twice")]


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("stop.iterations=50", "stop.iterations", 50),
        ("stop.time=90s", "stop.time", "1m30s"),
        ("stop={time: 1h}", "stop", {"iterations": None, "time": "1h", "hangs": None, "on": ["hang"]}),
        ("seed=3", "seed", 3),
        ("actors.ci.parallel=8", "actors.0.parallel", 8),
        ("actors.0.parallel=8", "actors.0.parallel", 8),
        ("actors.ci.args.N=a=b", "actors.0.args", {"N": "a=b"}),
        ("actors.ci.kill={chance: 0.5, after: 1s}", "actors.0.kill.chance", 0.5),
        ("actors.ci.kill.every=2", "actors.0.kill.every", 2),
        ("actors.cleanup.when.interval=3s", "actors.1.when.interval", "3s"),
        ("actors.cleanup.all=true", "actors.1.all", True),
        ("daemon.config.debug=on", "daemon.config", {"debug": "on"}),
        ("detect.stall=5s", "detect.stall", "5s"),
    ],
)
def test_settings(read: Read, setting: str, path: str, value: object) -> None:
    """A setting replaces or adds what stands at its path; actors go by name or by index, values are YAML."""
    kill = "    kill: {every: 3, after: 1s}\n" if "kill.every" in setting else ""
    text = GOOD.replace("stop", f"{kill}  - prune: cleanup\n    when: {{interval: 1s}}\nstop")

    def at_path(*settings: str) -> object:
        here: Any = read(text, *settings).model_dump(mode="json")
        for part in path.split("."):
            here = here[int(part) if part.isdigit() else part] if here is not None else None
        return here

    assert at_path() != value
    assert at_path(setting) == value


def test_actors_whose_keys_are_sorted(read: Read) -> None:
    """An actor goes by its name too where a program has put another key first."""
    text = "name: s\nactors:\n- args: {N: '1'}\n  build: ci\n  dockerfile: trivial\nstop: {iterations: 1}\n"
    assert read(text, "actors.ci.parallel=3").model_dump()["actors"][0]["parallel"] == 3
    with pytest.raises(ScenarioError, match="there are: ci"):
        read(text, "actors.other.parallel=3")


def test_the_last_setting_counts(read: Read) -> None:
    """Settings apply one after the other, and to what the ones before them made."""
    scenario = read(GOOD, "stop.iterations=1", "detect.stall=1s", "stop.iterations=2", "detect.export_hang=2s")
    assert (scenario.stop.iterations, scenario.detect.stall, scenario.detect.export_hang) == (2, 1.0, 2.0)


@pytest.mark.parametrize(
    ("setting", "path", "said"),
    [
        ("stop.iterations", "", "is no setting; write it like stop.iterations=50"),
        ("=5", "", "is no setting"),
        ("actors.cj.parallel=8", "", "actors has no 'cj'; there are: ci"),
        ("actors.7.parallel=8", "", "actors has no '7'"),
        ("stop.iterations.x=1", "", "stop.iterations has no keys"),
        ("name.first.x=1", "", "name has no keys"),
        ("stop.iterations=[", "", "the value is no YAML"),
        ("stop.iterations=none", "stop.iterations", "should be a valid integer"),
        ("stop.iterationz=3", "stop.iterationz", "did you mean 'iterations'?"),
        ("actors.ci.dockerfile=nosuch", "actors.ci.dockerfile", "there is no Dockerfile"),
        ("actors.ci.paralel=3", "actors.ci.paralel", "did you mean 'parallel'?"),
        ("daemon.kind=podman", "daemon.kind", "unknown daemon 'podman'"),
        ("stop.hangs=3", "scenario", "a daemon that hung once hangs again"),
    ],
)
def test_bad_settings(read: Read, setting: str, path: str, said: str) -> None:
    """A setting that cannot be is told as the option that it is, and not as a line of a file that is right."""
    with pytest.raises(ScenarioError) as caught:
        read(GOOD, setting)
    [problem] = caught.value.problems
    assert (problem.option, problem.path) == (f"--set {setting}", path)
    assert said in problem.message
    assert str(caught.value).startswith(f"--set {setting}: ")


def test_options_and_the_file_are_told_apart(read: Read) -> None:
    """What the file itself has is told at its line; what settings brought together, with both of them."""
    bad = GOOD.replace("iterations: 5", "iterations: 5, hangz: 1")
    with pytest.raises(ScenarioError) as caught:
        read(bad, Override.of("detect.stall=soon", "--stall soon"))
    told = {problem.path: problem.option for problem in caught.value.problems}
    assert told["detect.stall"] == "--stall soon"
    assert [option for path, option in told.items() if path != "detect.stall"] == [""]
    kills = GOOD.replace("mine", "mine\n    kill: {every: 5, after: 1s}")
    with pytest.raises(ScenarioError) as caught:
        read(kills, Override.of("stop.iterations=3", "--iterations 3"))
    assert [problem.option for problem in caught.value.problems] == ["--iterations 3"]


@pytest.mark.parametrize("made", ["absent", "folder", "bytes"])
def test_a_file_that_cannot_be_read(tmp_path: Path, made: str) -> None:
    """A file that is absent, a folder or no text is the user's problem, told in one sentence."""
    file = tmp_path / "s.yaml"
    if made == "folder":
        file.mkdir()
    elif made == "bytes":
        file.write_bytes(b"name: \xff\xfe\n")
    said = {"absent": "no such scenario or file; `repro list` has", "folder": "Is a directory", "bytes": "is no text"}
    with pytest.raises(ScenarioError, match=rf"^{re.escape(str(file))}: {said[made]}.*$"):
        load(file, VOCABULARY)


@pytest.mark.parametrize("named", ["prune-race", "prune-race.yaml"])
def test_a_shipped_scenario_goes_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    """From any folder, with or without its ending; a file of that very path goes first, and a folder does not count."""
    monkeypatch.chdir(tmp_path)
    assert find_scenario(Path(named)) == PROJECT / "scenarios" / "prune-race.yaml"
    (tmp_path / named).mkdir()
    assert find_scenario(Path(named)) == PROJECT / "scenarios" / "prune-race.yaml"
    (tmp_path / named).rmdir()
    (tmp_path / named).touch()
    assert find_scenario(Path(named)) == Path(named)


def test_a_name_is_no_path(tmp_path: Path) -> None:
    """A path that is no file is no shipped scenario, although one has the same name."""
    assert find_scenario(tmp_path / "prune-race.yaml") == tmp_path / "prune-race.yaml"


def test_a_mistyped_name(tmp_path: Path) -> None:
    """The nearest file beside is told, or else the nearest shipped name: one sentence, with what can be typed."""
    (tmp_path / "nightly-soak.yaml").touch()
    with pytest.raises(ScenarioError, match=r"^prune-rac: no such scenario or file; did you mean 'prune-race'\?$"):
        load(Path("prune-rac"), VOCABULARY)
    with pytest.raises(ScenarioError, match=rf"did you mean '{re.escape(str(tmp_path))}/nightly-soak\.yaml'\?$"):
        load(tmp_path / "nigthly-soak.yaml", VOCABULARY)


def test_where_dockerfiles_are_looked_for(read: Read, tmp_path: Path) -> None:
    """The scenario's own folder goes before its `dockerfiles/`, that before its parent's, and ours come last."""
    ours = read(GOOD.replace("mine", "trivial"))
    assert isinstance(ours.actors[0], Build)
    assert ours.actors[0].dockerfile == str(PROJECT / "dockerfiles" / "trivial")
    for folder in ("dockerfiles/trivial", "trivial"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "Dockerfile").touch()
        nearer = read(GOOD.replace("mine", "trivial"))
        assert isinstance(nearer.actors[0], Build)
        assert nearer.actors[0].dockerfile == str(tmp_path.resolve() / folder)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenarios(file: Path) -> None:
    """Every scenario that we ship is read, is named like its file, and says what it is about."""
    scenario = load(file, VOCABULARY)
    assert scenario.name == file.stem
    assert len(scenario.about) > 20


def test_there_are_shipped_scenarios() -> None:
    """The recipe of the report and both controls are among the shipped ones."""
    assert {file.stem for file in SHIPPED} >= {"kill-every-third", "control-clean", "control-hang"}


@pytest.mark.parametrize("text", [GOOD, RICH], ids=["plain", "rich"])
def test_dumped_and_loaded(read: Read, tmp_path: Path, text: str) -> None:
    """What is dumped is read back to an equal scenario, from any folder, and dumped the same again."""
    scenario = read(text)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "scenario.yaml").write_text(dump(scenario))
    back = load(tmp_path / "elsewhere" / "scenario.yaml", VOCABULARY)
    assert back == scenario
    assert [type(actor) for actor in back.actors] == [type(actor) for actor in scenario.actors]
    assert dump(back) == dump(scenario)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenarios_dumped_and_loaded(tmp_path: Path, file: Path) -> None:
    """What a run keeps of a shipped scenario is that scenario."""
    scenario = load(file, VOCABULARY)
    (tmp_path / "scenario.yaml").write_text(dump(scenario))
    assert load(tmp_path / "scenario.yaml", VOCABULARY) == scenario
