"""A case as a shell script: its acts in their order, and a refusal where there is no such form."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.experiments.minimize.case import Case
from harness.experiments.minimize.orders import orders
from harness.experiments.minimize.script import MOST_LINES, NoStraightLine, script_of
from tests.experiments.minimize.worlds import mix


def in_order(**of_second: Any) -> Case:
    """Return two builds, one kill, one prune, in order; with some options of the second build."""
    case = next(change.case for change in orders(mix(), []) if "second killed, then loop" in change.what)
    tree = case.tree()
    tree["actors"][1].update(of_second)
    return case.with_scenario(tree)


def test_acts_stand_in_their_order() -> None:
    """Builds, the kill and the prune come as their triggers say, each with its own argument."""
    text = script_of(in_order(files={"big": "2MB"}), "About it.")
    lines = text.splitlines()
    words = ("build ", "await", "end ", "sleep", "prune ")
    acts = [line for line in lines if line.startswith(words) and "()" not in line]
    assert [" ".join(line.split()[:4]) for line in (acts[0], acts[2], acts[4])] == [
        "build first dockerfiles/ci --output=type=image,name=first",
        "sleep 1; build second",
        "sleep 1; end second",
    ]
    assert (acts[1], acts[3]) == ("await_step first 'RUN sleep 8'", "await_step second 'RUN sleep 8'")
    assert acts[5:] == ["sleep 1; prune --all"]
    assert acts[0].endswith("--opt=build-arg:N=1")
    assert acts[2].endswith("--opt=build-arg:N=2")
    assert "[ -s dockerfiles/ci/big ] || head -c 2000000" in text
    assert len(lines) <= MOST_LINES
    assert "@" not in text.replace("$@", "").replace("{@", "").replace("[@", "")


DAEMONS: dict[str, tuple[dict[str, Any], str]] = {
    "any": ({}, "buildctl build"),
    "buildkitd": ({"kind": "buildkitd", "renew": {"every": 2}}, "buildctl build"),
    "remote": ({"driver": "remote"}, "docker buildx build"),
    "dockerd": ({"kind": "dockerd"}, "docker buildx build"),
    "container": ({"driver": "docker-container", "image": "moby/buildkit:v0.23.2"}, "docker buildx build"),
}


@pytest.mark.parametrize(("daemon", "client"), DAEMONS.values(), ids=[*DAEMONS])
def test_it_is_bash(daemon: dict[str, Any], client: str) -> None:
    """Bash, and shellcheck where there is one, read it without complaint; builds go the way that the daemon's do."""
    case = in_order()
    text = script_of(Case({**case.tree(), "daemon": daemon}, case.contexts), "x")
    assert f"exec setsid {client}" in text
    assert ("--build-arg=N=1" in text) == (client == "docker buildx build")
    assert len(text.splitlines()) <= MOST_LINES
    shellcheck = [["shellcheck", "--exclude=SC2329", "-"]]  # a trap calls what nobody else does
    for checker in (["/bin/bash", "-n"], *(shellcheck if shutil.which("shellcheck") else [])):
        done = subprocess.run(checker, input=text, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


GONE = "parent snapshot abc does not exist: not found"
FAILURES: dict[str, tuple[str, str, int, str]] = {
    "as looked for": (GONE, "", 1, f"FAILURE: build second: error: failed to solve: {GONE}"),
    "otherwise, beside one that returns": ("mkdir /a: not a directory", "", 0, "build second fails otherwise"),
    "all otherwise": ("no space left on device", "no space left on device", 2, "broke: no build came through"),
}


@pytest.mark.parametrize(("of_second", "of_first", "code", "told"), FAILURES.values(), ids=[*FAILURES])
def test_script_of_a_failure(tmp_path: Path, of_second: str, of_first: str, code: int, told: str) -> None:
    """An error that is looked for is 1, another one beside a build that returns 0, and nothing but others broken."""
    case = in_order()
    [first, second, _, prune] = case.actors
    tree = {**case.tree(), "actors": [first, second, {**prune, "when": {"phase": "exited", "of": "second"}}]}
    tree["detect"] = {"failure": ["parent snapshot .* does not exist", "no such file"]}
    script = tmp_path / "reproduce.sh"
    script.write_text(script_of(case.with_scenario(tree), "A test.", "failure"))
    assert len(script.read_text().splitlines()) <= MOST_LINES

    def fails(error: str) -> str:
        return f"echo 'error: failed to solve: {error}'; exit 1" if error else "exit 0"

    of_builds = (
        f"*name=first*) echo '#1 RUN sleep 8'; sleep 0.4; {fails(of_first)};; *name=second*) {fails(of_second)};;"
    )
    for name, text in {"buildkitd": "exec sleep 60", "buildctl": f'case "$*" in {of_builds} esac'}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n[ "$1" = --version ] || {{ {text}\n}}\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", str(script)], env={**os.environ, "BUILDKIT_BIN": str(tmp_path)}, capture_output=True, text=True,
        check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stdout


def test_script_of_another_finding() -> None:
    """What plain progress does not show has no script."""
    with pytest.raises(NoStraightLine, match="a hang or a failure, not: growth"):
        script_of(in_order(), "x", "growth")


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (mix(), "again and again"),
        (in_order(parallel=2), "several lines"),
        (in_order(export="push"), "registry"),
        (in_order(network="host"), "no words for network"),
        (in_order(no_cache=0.5), "left to chance"),
        (Case({**in_order().tree(), "daemon": {"gc": "tiny"}}, in_order().contexts), "not a plain one: gc"),
        (in_order(cache_to={"type": "inline"}), "no words for cache_to"),
        (in_order(when={"step": "x", "state": "merged", "of": "first"}), "merged"),
        (in_order(when={"at": "1s"}), "by chance, or at a time of its own"),
        (in_order(when={"step": "x", "of": "second"}), "wait for each other"),
    ],
)
def test_what_has_no_such_form(case: Case, why: str) -> None:
    """What is left to chance, repeats, or needs what plain progress does not show is refused, and said."""
    with pytest.raises(NoStraightLine, match=why):
        script_of(case, "x")
