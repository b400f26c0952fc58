"""A case as a shell script: what upstream runs, with nothing but BuildKit, or docker buildx, and bash.

Only a straight line can be told so: builds of one line that begin at once or follow something, clients that are killed,
and prunes, each act once. What is left to chance, and what repeats, has no such form.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from harness.actors.template import filled
from harness.core.outcome import Outcome, Symptom, finding_kind
from harness.core.units import counted, parse_duration, parse_size
from harness.experiments.minimize.case import CONTEXTS, Case, Tree, kind_of, name_of

_TEMPLATE: Final = "reproduce.sh"
_CLIENTS: Final = {"buildctl": "reproduce_buildctl.sh", "docker": "reproduce_docker.sh"}
"""What differs in the template from client to client, part by part."""
_SIGNS: Final = {
    Outcome.HANG: "reproduce_hang.sh",
    Symptom.FAILURE: "reproduce_failure.sh",
    Outcome.LATE_FAILURE: "reproduce_failure.sh",
}
"""What differs from one kind of finding to the other."""
_DRIVERS: Final = {"docker": "docker", "docker-container": "docker", "remote": "docker", "buildctl": "buildctl"}
"""The client that builds go through, by a daemon's driver."""
_DAEMON_OPTIONS: Final = {"kind", "renew", "driver", "image", "image_store"}
MOST_LINES: Final = 60
_BUILD_OPTIONS: Final = {
    "dockerfile",
    "args",
    "export",
    "files",
    "when",
    "parallel",
    "no_cache",
    "kill",
    "tag",
}
_PRUNE_OPTIONS: Final = {"what", "all", "filters", "via", "when"}  # in the script it is always the client
_KILL_OPTIONS: Final = {"of", "signal", "grace", "target", "victim", "when", "every"}
_PHASES: Final = {"exporting": "exporting to", "solving": "^#"}
_STATES: Final = {"started": "", "cached": "CACHED", "completed": "DONE"}


class NoStraightLine(Exception):
    """A case that this script has no form for."""


@dataclass
class _Script:
    """A script as it grows."""

    case: Case
    client: str
    """`buildctl` or `docker`."""
    lines: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    """The actors that stand in it."""
    iteration: int = 0

    def add(self, actor: Tree) -> None:
        """Add an actor's one act, behind what it waits for."""
        kind, name = kind_of(actor), name_of(actor)
        when = actor.get("when", {})
        if kind == "build":
            _only(actor, _BUILD_OPTIONS)
            self.iteration += 1
            self.lines += self._after(when, self._build(name, actor))
        elif kind == "kill":
            _only(actor, _KILL_OPTIONS)
            if actor.get("victim", "followed") != "followed" or actor.get("every", 1) != 1:
                raise NoStraightLine(f"{name} chooses whom it ends")
            victim = actor.get("of", when.get("of"))
            signal = str(actor.get("signal", "SIGTERM")).removeprefix("SIG")
            self.lines += self._after(when, f"end {victim} {signal}")
        elif kind == "prune":
            _only(actor, _PRUNE_OPTIONS)
            if actor.get("what", "cache") not in {"cache", "everything"}:
                raise NoStraightLine(f"{name} prunes {actor['what']}")
            words = [
                *(["--all"] if actor.get("all") else []),
                *(f"--filter={text}" for text in actor.get("filters", ())),
            ]
            self.lines += self._after(when, shlex.join(["prune", *words]))
        else:
            raise NoStraightLine(f"the script has no words for {kind} {name}")
        self.order.append(name)

    def _build(self, name: str, actor: Tree) -> str:
        if actor.get("parallel", 1) != 1 or "kill" in actor:
            raise NoStraightLine(f"the builds of {name} run in several lines, or are killed by a time-out")
        option = {"buildctl": "--opt=build-arg:", "docker": "--build-arg="}[self.client]
        words = [f"{option}{key}={filled(str(value), self.iteration)}" for key, value in actor.get("args", {}).items()]
        words += ["--no-cache"] * (actor.get("no_cache", 0) == 1)
        if actor.get("no_cache", 0) not in {0, 1}:
            raise NoStraightLine(f"whether {name} uses the cache is left to chance")
        if not isinstance(actor.get("export", "load"), str):
            raise NoStraightLine(f"{name} has several exports")
        exported = {"image": f"type=image,name={name}", "load": f"type=docker,name={name},dest=/dev/null"}
        output = exported.get(actor.get("export", "load"), "type=oci,dest=/dev/null")
        if actor.get("export") == "push":
            raise NoStraightLine(f"{name} pushes to a registry")
        return shlex.join(["build", name, f"{CONTEXTS}/{actor['dockerfile']}", f"--output={output}", *words])

    def _after(self, when: Mapping[str, Any], act: str) -> list[str]:
        """Return the lines of an act, behind what it waits for."""
        after, of = when.get("after", "0s"), str(when.get("of", ""))
        by_itself = bool(when) and not set(when) & {"step", "phase", "follows"}
        if by_itself or not isinstance(after, str) or when.get("chance", 1) != 1:
            raise NoStraightLine("something comes by chance, or at a time of its own")
        state, phase = str(when.get("state", "started")), when.get("phase", "")
        pause, awaited = parse_duration(after), ""
        if "step" in when:
            if state not in _STATES:
                raise NoStraightLine(f"plain progress does not show what is {state}")
            awaited = shlex.join(["await_step", of, when["step"], *([_STATES[state]] if _STATES[state] else [])])
        elif phase == "exited":
            awaited = f"await_exit {of}"
        elif phase:
            if phase not in _PHASES:
                raise NoStraightLine(f"plain progress does not show when a build is {phase}")
            awaited = shlex.join(["await_step", of, _PHASES[phase]])
        return [*([awaited] if awaited else []), f"sleep {pause:g}; {act}" if pause else act]


def script_of(case: Case, about: str, kind: str = Outcome.HANG) -> str:
    """Return ``reproduce.sh``.

    Args:
        case: the smallest.
        about: what is known of what it shows, in a line.
        kind: what that is: a `hang`, or a `failure` by the patterns of `detect.failure`.

    Raises:
        NoStraightLine: the case has no such form; says why.
    """
    sign = _SIGNS.get(finding_kind(kind))
    if sign is None:
        raise NoStraightLine(f"the script tells a hang or a failure, not: {kind}")
    daemon = case.scenario.get("daemon", {})
    if odd := set(daemon) - _DAEMON_OPTIONS:
        raise NoStraightLine(f"its daemon is not a plain one: {', '.join(sorted(odd))}")
    client = _DRIVERS.get(daemon.get("driver", ""), "docker" if daemon.get("kind") == "dockerd" else "buildctl")
    script, left = _Script(case, client), list(case.actors)
    if sum(kind_of(actor) == "build" for actor in left) < case.scenario["stop"].get("iterations", 0):
        raise NoStraightLine("its builds are made again and again")
    while left:
        able = [actor for actor in left if _awaits(actor) <= set(script.order)]
        if not able:
            raise NoStraightLine("its acts wait for each other")
        script.add(able[0])
        left.remove(able[0])
    made = dict.fromkeys(line for actor in case.actors for line in _files(actor))
    kinds = [kind_of(actor) for actor in case.actors]
    summary = ", ".join(counted(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))
    text = (files(__package__) / _TEMPLATE).read_text()
    texts = {"FAILURE": shlex.quote(_failures(case)), "ABOUT": about, "SAID": summary}
    marks = {**_parts(_CLIENTS[client]), **_parts(sign), **texts, "ACTS": "\n".join([*made, *script.lines])}
    for mark, content in marks.items():
        text = text.replace(f"@{mark}@", content)
    if len(text.splitlines()) > MOST_LINES:
        raise NoStraightLine(f"it would have more than {MOST_LINES} lines")
    return text


def _failures(case: Case) -> str:
    """Return the pattern of the errors that are looked for; empty where any is."""
    written = case.scenario.get("detect", {}).get("failure", [])
    patterns = [written] if isinstance(written, str) else written
    return patterns[0] if len(patterns) == 1 else "|".join(f"(?:{pattern})" for pattern in patterns)


def _parts(file: str) -> Mapping[str, str]:
    """Return what the template has of a client's own, or of a kind of finding, by its marks."""
    parts: dict[str, list[str]] = {}
    for line in (files(__package__) / file).read_text().splitlines():
        if (mark := line.removeprefix("# ")).isupper() and mark.isalpha():
            parts[mark] = []
        else:
            parts[[*parts][-1]].append(line)
    return {mark: "\n".join(lines) for mark, lines in parts.items()}


def _files(actor: Tree) -> Iterator[str]:
    """Yield the lines that make what the scenario adds to a context."""
    for name, size in actor.get("files", {}).items():
        file = f"{CONTEXTS}/{actor['dockerfile']}/{name}"
        yield f"[ -s {file} ] || head -c {parse_size(str(size))} /dev/urandom >{file}"


def _awaits(actor: Tree) -> set[str]:
    """Return the names of the actors that an act comes after."""
    when = actor.get("when", {})
    return {str(name) for name in (when.get("of"), when.get("follows"), actor.get("of")) if name}


def _only(actor: Tree, known: Sequence[str] | set[str]) -> None:
    unknown = set(actor) - set(known) - {kind_of(actor)}
    if unknown:
        raise NoStraightLine(f"the script has no words for {', '.join(sorted(unknown))} of {name_of(actor)}")
