"""`repro signatures`, and a file of one's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data" / "goroutines" / "deadlocks"
OWN = """
- name: mine
  means: the prune and the release take two locks crosswise
  kind: deadlock
  stacks:
    - [github.com/moby/buildkit/cache.(*cacheManager).prune]
  affected: {BuildKit: [v0.1.0, null]}
  link: https://example.org/1
"""


def repro(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with a home of its own."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(home), "COLUMNS": "200"}
    argv = [sys.executable, "-m", "harness", *words]
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=environment)


def test_ones_own(tmp_path: Path) -> None:
    """A file in the user's configuration names what dumps show, is listed first, and is explained."""
    (tmp_path / "repro").mkdir()
    (tmp_path / "repro" / "signatures.yaml").write_text(OWN)
    dumps = [str(file) for file in sorted(DATA.glob("crossed-1-*.txt"))]
    assert repro(tmp_path, "diagnose", *dumps).stdout.startswith("deadlock in cache.(*cacheManager).prune (mine)")
    listed = json.loads(repro(tmp_path, "signatures", "list", "--json").stdout)
    assert [each["name"] for each in listed][:2] == ["mine", "export-livelock"]
    told = repro(tmp_path, "signatures", "explain", "mine").stdout
    for words in ("two locks crosswise", "cacheManager).prune", "since v0.1.0, no fix known", "https://example.org/1"):
        assert words in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN, ""),
        (OWN + OWN, "two signatures have one name: mine"),
        (OWN.replace("  link: https://example.org/1\n", ""), "1 (mine), link: Field required"),
        (OWN.replace("v0.1.0", "soon"), "1 (mine): BuildKit 'soon' is no version"),
        (OWN.replace("kind: deadlock", "kind: hang"), "1 (mine), kind: Input should be"),
        ("- {name: empty, means: none, link: x}", "1 (empty): needs `stacks` or a `creator`"),
        ("- [", "expected the node content"),
        (None, "No such file"),
    ],
    ids=["right", "twice", "no link", "no version", "no kind", "nothing to tell by", "no yaml", "missing"],
)
def test_check(tmp_path: Path, text: str | None, said: str) -> None:
    """What is wrong with a file is told with the number and the name of the signature; it is the user's error."""
    file = tmp_path / "own.yaml"
    if text is not None:
        file.write_text(text)
    ended = repro(tmp_path, "signatures", "check", str(file))
    assert ended.returncode == (129 if said else 0), ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_one_that_nobody_knows(tmp_path: Path) -> None:
    """What is not known is refused, with what is."""
    ended = repro(tmp_path, "signatures", "explain", "nothing")
    assert ended.returncode == 129
    assert "export-livelock" in ended.stderr
