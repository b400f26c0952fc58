"""The JSON Schema: it is the one of the code, it takes what we ship, it refuses what the loader refuses by shape."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.cli.kinds import VOCABULARY
from harness.core.errors import ScenarioError
from harness.scenario import dump, json_schema, load
from harness.scenario.load import PROJECT
from harness.scenario.places import parse

SCENARIOS = PROJECT / "scenarios"
SHIPPED = sorted(SCENARIOS.glob("*.yaml"))
SCHEMA = json_schema(VOCABULARY)

BUILD = {"build": "ci", "dockerfile": "sleep"}
PRUNE = {"prune": "p", "when": {"interval": "1s"}}


def scenario(*actors: object, **parts: object) -> dict[str, Any]:
    """Return a scenario as YAML gives it, with these actors beside a build, and these parts."""
    return {"name": "x", "actors": [BUILD, *actors], "stop": {"iterations": 5}} | parts


def errors(document: object) -> list[str]:
    """Return what the schema says against a document."""
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(document)]


def test_it_is_a_schema() -> None:
    """What we export is valid as a schema of the draft that it names, and every reference in it leads somewhere."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    led_to = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(SCHEMA)))
    assert led_to == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


def test_the_file_is_not_stale() -> None:
    """The schema beside the scenarios is what the code gives: `repro schema` writes it anew."""
    assert json.loads((SCENARIOS / "schema.json").read_text()) == SCHEMA


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_scenarios(file: Path) -> None:
    """Every shipped scenario names the schema to editors, and is valid by it, as written and as kept by a run."""
    text = file.read_text()
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert errors(parse(text).data) == []
    assert errors(parse(dump(load(file, VOCABULARY))).data) == []


GOOD: dict[str, dict[str, Any]] = {
    "least": scenario(),
    "zero": scenario(detect={"stall": 0}),
    "phase": scenario({"prune": "p", "when": {"phase": "exited", "of": "ci", "after": {"uniform": ["0s", "1.5s"]}}}),
    "kill": scenario({**BUILD, "build": "b", "kill": {"every": 3, "after": {"exponential": "2h30m"}}}),
    "config": scenario(daemon={"kind": "buildkitd", "config": {"worker": {"oci": {"gc": True}}}}),
    "args": scenario({**BUILD, "build": "b", "args": {"N": 3, "M": "{iteration}"}}),
    "hunted": scenario(stop={"time": "1h", "on": ["hang", "stall"]}),
    "audited": scenario(audit={"every": 15}),
}
BAD: dict[str, object] = {
    "no-name": {key: value for key, value in scenario().items() if key != "name"},
    "no-stop": {key: value for key, value in scenario().items() if key != "stop"},
    "no-actors": scenario() | {"actors": []},
    "bad-name": scenario(name="A b"),
    "unknown-key": scenario(colour="red"),
    "unknown-daemon-key": scenario(daemon={"colour": "red"}),
    "unknown-daemon": scenario(daemon={"kind": "podman"}),
    "unknown-stop-key": scenario(stop={"iterations": 5, "hang": 1}),
    "unknown-detect-key": scenario(detect={"leak": "1m"}),
    "unknown-actor": scenario({"bild": "b"}),
    "unknown-actor-key": scenario({**PRUNE, "colour": "red"}),
    "unknown-kill-key": scenario({**BUILD, "build": "b", "kill": {"every": 3, "after": "1s", "sig": "SIGINT"}}),
    "unknown-when-key": scenario({"prune": "p", "when": {"interval": "1s", "colour": "red"}}),
    "unknown-phase": scenario({"prune": "p", "when": {"phase": "export", "of": "ci"}}),
    "unknown-delay": scenario({"prune": "p", "when": {"interval": {"gaussian": "1s"}}}),
    "one-bound": scenario({"prune": "p", "when": {"interval": {"uniform": ["1s"]}}}),
    "no-trigger": scenario({"prune": "p"}),
    "no-dockerfile": scenario({"build": "b"}),
    "bare-number": scenario(detect={"stall": 90}),
    "no-duration": scenario(detect={"stall": "5 minutes"}),
    "too-many": scenario({**BUILD, "build": "b", "parallel": 1000}),
    "no-chance": scenario({"prune": "p", "when": {"phase": "exited", "of": "ci", "chance": 0}}),
    "no-audit": scenario(audit={"every": 0}),
    "unknown-audit-key": scenario(audit={"often": 5}),
    "unknown-finding": scenario(stop={"iterations": 5, "on": ["weather"]}),
    "text": "name: x",
}


@pytest.mark.parametrize("name", GOOD)
def test_good_shapes(tmp_path: Path, name: str) -> None:
    """What the loader takes, the schema takes."""
    (tmp_path / "s.yaml").write_text(json.dumps(GOOD[name]))
    load(tmp_path / "s.yaml", VOCABULARY)
    assert errors(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_bad_shapes(tmp_path: Path, name: str) -> None:
    """What the loader refuses by its shape, the schema refuses too, unknown keys at every level among it."""
    (tmp_path / "s.yaml").write_text(json.dumps(BAD[name]))
    with pytest.raises(ScenarioError):
        load(tmp_path / "s.yaml", VOCABULARY)
    assert errors(BAD[name]) != []
