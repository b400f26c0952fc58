"""`repro cache`: whatever it is given, it tells a graph or says in a sentence why there is none."""

import json
import shutil
from pathlib import Path

import pytest

from harness.buildkit.cache_db import read_graph
from harness.cli.commands.cache import cache
from harness.cli.options import BadOption
from harness.core.errors import UsageError
from tests.buildkit.test_bbolt import REAL
from tests.buildkit.test_cache_db import B, both

__all__ = ["both"]


def test_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees first whether it is consistent, then its measures."""
    assert cache([str(REAL)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("not consistent: 1 of: cycle\n")
    assert "keys           60: 38 roots, 22 leaves" in said
    assert "records        no metadata_v2.db beside it" in said


def test_json(both: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine gets all measures, and every fault, of a daemon's root."""
    assert cache([str(both)], as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["shape"]["keys"] == 2
    assert said["consistent"] is True
    assert said["faults"] == []


def test_json_of_a_cycle(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault is there with its kind."""
    assert cache([str(REAL)], as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["consistent"], [fault["kind"] for fault in said["faults"]]) == (False, ["cycle"])


def test_difference(both: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two moments what came and went is told, for people and for machines."""
    assert cache([str(REAL), str(both)], diff=True) == 0
    assert capsys.readouterr().out.startswith("keys +2 -60, results +1 -46, links +1 -50\n")
    assert cache([str(REAL), str(both)], diff=True, as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["keys"]["went"]) == len(read_graph(REAL).keys)


def test_drawing(both: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record is drawn as text or for mermaid."""
    assert cache([str(both)], of=B[:5]) == 0
    assert "== bbbbbbbbbbbb  [1/2] COPY a /a" in capsys.readouterr().out
    assert cache([str(both)], of="rrrr", as_mermaid=True) == 0
    assert capsys.readouterr().out.startswith("flowchart LR")


def test_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run its first finding's is read; of one without, that is said."""
    run = tmp_path / "some" / "20260101T000000Z-abcd"
    (run / "findings" / "12").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"none of its findings has a cache\.db"):
        cache(["last"], results=tmp_path)
    shutil.copyfile(REAL, run / "findings" / "12" / "cache.db")
    assert cache(["abcd"], results=tmp_path) == 0
    assert "60: 38 roots" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no bbolt database: it is empty"),
        (b"text" * 1000, "is no bbolt database: neither of its meta pages"),
    ],
)
def test_no_database(tmp_path: Path, content: bytes, said: str) -> None:
    """What is no database is told, with what to give in its place."""
    (tmp_path / "cache.db").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        cache([str(tmp_path)])
    with pytest.raises(UsageError, match=r"give a cache\.db"):
        cache([str(tmp_path / "cache.db")])


def test_truncated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a truncated one, what can be read is told, and that it is damaged comes first."""
    (tmp_path / "cache.db").write_bytes(REAL.read_bytes()[:200_000])
    assert cache([str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("damaged: truncated: 262,144 bytes are in use")


def test_bad_words(both: Path) -> None:
    """One moment for a difference, two without one, and a word that names no one key, are said to be so."""
    with pytest.raises(BadOption, match="takes two moments, not 1"):
        cache([str(both)], diff=True)
    with pytest.raises(BadOption, match="takes one, not 2"):
        cache([str(both), str(both)])
    with pytest.raises(BadOption, match="none begins so"):
        cache([str(both)], of="zzz")
    with pytest.raises(BadOption, match="it begins 2 of them"):
        cache([str(both)], of="")
