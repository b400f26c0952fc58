"""What a build is made from: one Dockerfile or several, named contexts, secrets, a repository."""

import subprocess
from collections import Counter
from pathlib import Path

import anyio
import pytest
from pydantic import ValidationError

from harness.actors.build import Build
from harness.scenario import Limits, Setting
from harness.scenario.load import PROJECT

SETTING = Setting(None, frozenset({"ci"}), (PROJECT / "dockerfiles",), (Limits(),))
COPIES = "FROM scratch\nCOPY a /a\n"


def build(**options: object) -> Build:
    """Return a build actor."""
    return Build.model_validate({"name": "ci", **options})


def faults(**options: object) -> list[tuple[str, str]]:
    """Return where options cannot work, and why."""
    return [(".".join(map(str, fault.path)), fault.message) for fault in build(**options).faults(SETTING)]


def test_several_dockerfiles_by_weight() -> None:
    """Each iteration takes one, the same every time, and as often as its weight says."""
    actor = build(dockerfiles={"trivial": 3, "diamond": 1}).placed(SETTING)
    drawn = [actor.chosen(iteration, seed=7) for iteration in range(1000)]
    assert 700 <= Counter(drawn)[0] <= 800
    assert drawn == [actor.chosen(iteration, seed=7) for iteration in range(1000)]
    assert [folder.name for folder in actor.folders] == ["trivial", "diamond"]
    request = actor.request(drawn.index(1), folder=Path("/staged"), seed=7, registry="")
    assert request.context == Path("/staged/ci.1")


WRONG = {
    "two": ({"dockerfile": "trivial", "dockerfile_inline": COPIES}, "dockerfile_inline", "leave out either"),
    "no such folder": ({"dockerfiles": {"trivial": 1, "nosuch": 1}}, "dockerfiles.nosuch", "there is no Dockerfile"),
    "no such stage": ({"dockerfile_inline": COPIES, "targets": ["a"]}, "targets.0", "no stage is named 'a'"),
    "no such context": ({"dockerfile": "trivial", "contexts": {"lib": "nosuch"}}, "contexts.lib", "no such folder"),
    "nothing to verify": ({"dockerfile": "trivial", "verify": True}, "verify", "say `verify: {FILE: TEXT}`"),
    "verify a bake": ({"dockerfile": "services", "targets": ["app"], "verify": True}, "verify", "leave out `targets`"),
}


@pytest.mark.parametrize(("options", "path", "message"), WRONG.values(), ids=[*WRONG])
def test_what_cannot_work(options: dict[str, object], path: str, message: str) -> None:
    """What is well-formed and cannot work is told at its place, with what to do."""
    [(where, why)] = faults(**options)
    assert where == path
    assert message in why


@pytest.mark.parametrize(
    "options",
    [
        {"export": []},
        {"export": ["load", "zip"]},
        {"platforms": ["arm"]},
        {"secrets": {"../a": "b"}},
        {"context": "ssh"},
    ],
)
def test_ill_formed(options: dict[str, object]) -> None:
    """What is no export, platform or name of a file is refused."""
    with pytest.raises(ValidationError):
        build(dockerfile="trivial", **options)


def test_laid_out(tmp_path: Path) -> None:
    """Files, named contexts, secrets and the repository are there before the first build; the key is its own."""
    actor = build(
        dockerfile_inline=COPIES,
        files={"a": "100B"},
        context="git",
        contexts={"lib": "1KiB", "other": "trivial", "alpine": "docker-image://alpine"},
        secrets={"token": "hush"},
    )
    anyio.run(actor.placed(SETTING).prepare, tmp_path)
    words = ("git", "-C", str(tmp_path / "ci"), "ls-tree", "--name-only", "HEAD")
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["Dockerfile", "a"]
    request = actor.placed(SETTING).request(1, folder=tmp_path, seed=1, registry="", git="git://127.0.0.1:1")
    assert request.git == "git://127.0.0.1:1/ci"
    assert request.secrets["token"].read_text() == "hush"
    assert (Path(request.contexts["lib"]) / "data").stat().st_size == 1024
    assert request.contexts["other"] == str(PROJECT / "dockerfiles/trivial")
    assert request.contexts["alpine"] == "docker-image://alpine"
