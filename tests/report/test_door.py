"""What a run knows to be secret is known wherever it says so; what of a file may leave depends on what it is."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core.errors import StoreError
from harness.report.door import Withheld, content_of, dockerfile_folders, redactor_of, scenario_of, with_folders
from harness.report.redact import REDACTED, Redactor
from harness.store.folder import RunFolder
from tests.web.runs import MANIFEST, ended

WORD = "hunter2Zq"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that hung."""
    return ended(tmp_path)


def knows(run: RunFolder, value: str, **environment: str) -> bool:
    """Whether a value is taken out where nothing around it says what it is."""
    return redactor_of(run.path, environment).clean(f"step said {value} once") == f"step said {REDACTED} once"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"args": {"NPM_TOKEN": f"{WORD}-1"}}, f"{WORD}-1"),
        ({"args": {"NPM_TOKEN": "tok_{iteration}_" + WORD}}, f"tok_42_{WORD}"),
        ({"args": {"DB_PASS": "two words of it"}}, "two words of it"),
        ({"args": {"DATABASE": f"postgres://me:{WORD}@db/x"}}, WORD),
        ({"config": {"registry": {"r": {"mirrors": [f"me:{WORD}@mirror.example"]}}}}, WORD),
        ({"config": {"labels": {"pass": WORD}}}, WORD),
        ({"on_finding": f"curl -u bot:{WORD} https://h"}, WORD),
        ({"on_finding": f"curl https://hooks.slack.com/services/{WORD}/{WORD}"}, f"services/{WORD}/{WORD}"),
    ],
)
def test_a_scenario_tells(run: RunFolder, part: dict[str, object], value: str) -> None:
    """Arguments, mirrors, labels and commands of the scenario: what is secret in them is known."""
    (run.path / "scenario.yaml").write_text(yaml.safe_dump({"actors": [{"build": "ci", **part}]}))
    assert knows(run, value)


@pytest.mark.parametrize("word", ["actors.ci.args.NPM_TOKEN=two words", "daemon.config.x=https://me:two words@h"])
def test_a_command_line_tells(run: RunFolder, word: str) -> None:
    """What was set on the command line is known."""
    run.write_manifest(replace(MANIFEST, argv=("repro", "run", "s.yaml", "--set", word)))
    assert knows(run, "two words") is ("=two" in word)


def test_a_dockerfile_tells(run: RunFolder) -> None:
    """Defaults of arguments and variables in the run's copy of a Dockerfile are known."""
    (run.path / "scenario.yaml").write_text(yaml.safe_dump({"actors": [{"build": "ci", "dockerfile": "/opt/d/one"}]}))
    kept = run.path / "dockerfiles" / "one"
    kept.mkdir(parents=True)
    (kept / "Dockerfile").write_text(f"FROM base\nARG REGISTRY_CRED={WORD}1\nENV SIGNING_KEY {WORD}2\n")
    assert knows(run, f"{WORD}1")
    assert knows(run, f"{WORD}2")


def test_the_environment_tells(run: RunFolder) -> None:
    """What daemons inherit, and might print, is known."""
    assert knows(run, WORD, GITHUB_TOKEN=WORD)
    assert not knows(run, WORD, HOME=WORD)


def test_a_damaged_scenario(run: RunFolder) -> None:
    """A scenario that cannot be read is named: nobody knows what it would have said."""
    (run.path / "scenario.yaml").write_text("a: [")
    with pytest.raises(StoreError, match=r"scenario\.yaml"):
        redactor_of(run.path)


def test_aliases_upon_aliases(run: RunFolder) -> None:
    """A received scenario of a few lines that stands for a billion values is gone through as it is written."""
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    (run.path / "scenario.yaml").write_text("\n".join([f"l0: &l0 [{{API_TOKEN: {WORD}}}]", *levels, ""]))
    assert knows(run, WORD)
    cleaned = redactor_of(run.path).tree(scenario_of(run.path))
    assert cleaned["l9"][9][9][9][9][9][9][9][9][9] == [{"API_TOKEN": REDACTED}]


def test_compressed_files(tmp_path: Path) -> None:
    """A compressed file is looked into; where it has nothing it stays as it is."""
    file = tmp_path / "cpu.pprof"
    file.write_bytes(gzip.compress(f"\0label {WORD} end".encode()))
    cleaned = content_of(file, Redactor([WORD]))
    assert isinstance(cleaned, bytes)
    assert gzip.decompress(cleaned) == b"\0label ********* end"
    assert content_of(file, Redactor()) == file.read_bytes()


def test_a_long_log_begins_with_a_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long log the end is taken, and not from the middle of a secret on."""
    monkeypatch.setattr("harness.report.door.LOG_BYTES", 60)
    file = tmp_path / "daemon.log"
    file.write_text(f"first\nNPM_TOKEN={WORD * 6}\nlast line\n")
    assert content_of(file, Redactor()) == b"last line\n"


@pytest.mark.parametrize("name", ["history.db", "history_c8d.db", "metadata_v2.db"])
def test_databases_that_tell(tmp_path: Path, name: str) -> None:
    """A database that holds arguments and commands leaves only on demand."""
    (tmp_path / name).write_bytes(b"\0x")
    assert isinstance(content_of(tmp_path / name, Redactor()), Withheld)
    assert content_of(tmp_path / name, Redactor(), databases=True) == b"\0x"


def test_folders_by_other_names() -> None:
    """Every folder with a Dockerfile that an actor names is found, and gets its new name; what is odd is left."""
    actors: list[dict[str, Any]] = [
        {"build": "a", "dockerfile": "/x/one"},
        {"build": "b", "dockerfiles": {"/x/one": 1, "/x/two": 3}},
        {"build": "c", "dockerfiles": "odd", "dockerfile": 5},
    ]
    assert dockerfile_folders({"actors": actors}) == [Path("/x/one"), Path("/x/two")]
    for actor in actors:
        with_folders(actor, {"/x/one": "one", "/x/two": "two"})
    assert actors[0]["dockerfile"] == "one"
    assert actors[1]["dockerfiles"] == {"one": 1, "two": 3}
    assert actors[2] == {"build": "c", "dockerfiles": "odd", "dockerfile": 5}
