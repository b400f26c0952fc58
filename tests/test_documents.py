"""The documents' tables, against the code: what there is stands in its table, and nothing else does."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel, RootModel

from harness.actors.context import stages
from harness.actors.table import ACTORS
from harness.cli.kinds import VOCABULARY
from harness.cli.table import COMMANDS
from harness.core.outcome import ExitCode, Outcome, Verdict
from harness.core.records import Summary
from harness.scenario import load
from harness.scenario.load import _models
from harness.scenario.model import _DRIVER_KINDS, ActorSpec, Scenario
from harness.scenario.triggers import _KEYS as TRIGGERS
from harness.scenario.triggers import Trigger
from harness.store.database import _TABLES
from harness.toolchain.table import SOURCES

_CHECKOUT: Final = Path(__file__).resolve().parents[1]
_MOST_LINES: Final = 250
"""Of the top-level README: a reader goes through it once."""
_PLACES: Final = ("*.md", "*/README.md", ".github/**/*.md", "harness/*/README.md", "tests/**/*.md")
DOCUMENTS: Final = sorted(file for pattern in _PLACES for file in _CHECKOUT.glob(pattern))

Rows = list[list[str]]


def sections(document: str) -> Mapping[str, str]:
    """Return the text below each heading of a document, by the heading."""
    text = "\n" + (_CHECKOUT / document).read_text()
    _, *parts = re.split(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def table(document: str, heading: str, column: str) -> Rows:
    """Return the cells of the one table of a section whose first column has that title, without its head."""
    found: list[Rows] = []
    for block in re.findall(r"(?:^\|.*\n?)+", sections(document)[heading], flags=re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.strip().splitlines()]
        if rows[0][0] == column:
            found.append(rows[2:])
    assert len(found) == 1, f"{document}, {heading}: {len(found)} tables whose first column is {column!r}"
    assert len({len(row) for row in found[0]}) == 1, f"{document}, {heading}: rows of different lengths"
    return found[0]


def words(cell: str) -> list[str]:
    """Return what a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def first(rows: Rows) -> list[str]:
    """Return what the first column has in backticks, in order."""
    return [word for row in rows for word in words(row[0])]


def same(told: Collection[str], there: Collection[str]) -> None:
    """Hold that each of what there is, is told once, and that nothing else is."""
    assert sorted(told) == sorted(there)


def options(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the key paths of what a model takes, but for the name and the trigger of an actor."""
    for name, field in model.model_fields.items():
        if issubclass(model, ActorSpec) and name in {"name", "when"}:
            continue
        below = {*_models(field.annotation)}
        inner = below.pop() if len(below) == 1 else RootModel
        if issubclass(inner, RootModel) or name in {"actors", "daemons"}:
            yield f"{prefix}{name}"
        else:
            yield from options(inner, f"{prefix}{name}.")


def literals(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the key paths of what a model takes, each with the words that its type lists."""
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            yield from literals(inner, f"{prefix}{name}.")
        yield f"{prefix}{name}", [*_words_of(field.annotation)]


def _words_of(annotation: Any) -> Iterator[str]:
    for inner in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield str(inner)
        else:
            yield from _words_of(inner)


def keys(record: type[Any], prefix: str = "") -> Iterator[str]:
    """Yield the keys of a record as JSON, also those of the records in it."""
    hints = get_type_hints(record)
    for field in fields(record):
        yield f"{prefix}{field.name}"
        inner = [part for part in (hints[field.name], *get_args(hints[field.name])) if is_dataclass(part)]
        if inner and isinstance(inner[0], type) and get_args(hints[field.name])[:1] != (str,):
            yield from keys(inner[0], f"{prefix}{field.name}.")


@pytest.mark.parametrize("kind", ACTORS)
def test_options_of_an_actor(kind: str) -> None:
    """Each actor has a section, with every option of its own."""
    there = [*options(ACTORS[kind])]
    same(first(table("scenarios/README.md", kind, "option")) if there else [], there)


def test_actors() -> None:
    """The sections below "Actors" are the kinds of actors."""
    told = re.findall(r"^### (\S+)$", (_CHECKOUT / "scenarios/README.md").read_text(), flags=re.MULTILINE)
    same(told, ACTORS)


def test_options_of_a_scenario() -> None:
    """Every key of a scenario outside of its actors."""
    same(first(table("scenarios/README.md", "The scenario", "option")), [*options(Scenario)])


@pytest.mark.parametrize("heading", ["The scenario", *ACTORS])
def test_values_of_options(heading: str) -> None:
    """Each of a few words that an option takes is named beside it, but where a row says that it is as in a build."""
    model: type[BaseModel] = ACTORS.get(heading, Scenario)
    values = dict(literals(model))
    for option, *cells in table("scenarios/README.md", heading, "option") if [*options(model)] else ():
        for key in () if "in a build" in cells[-1] or "see below" in cells[-1] else words(option):
            assert {*values.get(key, ())} <= {*words(" ".join(cells))}, key


def test_drivers() -> None:
    """Every way that builds go."""
    same(first(table("scenarios/README.md", "The scenario", "driver")), _DRIVER_KINDS)


def test_triggers() -> None:
    """Every trigger, each with what it takes beside its own key and `lasting`, which all take."""
    rows = table("scenarios/README.md", "Triggers", "trigger")
    told = {words(key)[0]: sorted(words(taken)) for key, taken, _ in rows}
    there = {key: sorted({*kind.model_fields} - {*Trigger.model_fields, key}) for key, kind in TRIGGERS.items()}
    assert told == there


def test_shipped_scenarios() -> None:
    """Every shipped scenario."""
    told = first(table("scenarios/README.md", "The shipped scenarios", "scenario"))
    same(told, [file.stem for file in (_CHECKOUT / "scenarios").glob("*.yaml")])


@pytest.mark.parametrize("file", sorted((_CHECKOUT / "scenarios").glob("*.yaml")), ids=lambda file: file.stem)
def test_what_scenarios_are_about(file: Path) -> None:
    """Each says it to its full stop: YAML takes what is behind ` #`, as before an issue's number, for a comment."""
    about = load(file, VOCABULARY).about.strip()
    assert about.endswith(".")
    assert about.count("(") == about.count(")")


def test_dockerfiles() -> None:
    """Every shipped Dockerfile, with the stages that have a name and the arguments it takes."""
    rows = table("dockerfiles/README.md", "Dockerfiles", "folder")
    files = [*(_CHECKOUT / "dockerfiles").glob("*/Dockerfile")]
    same(first(rows), [file.parent.name for file in files])
    for folder, named, arguments, _ in rows:
        text = (_CHECKOUT / "dockerfiles" / words(folder)[0] / "Dockerfile").read_text()
        same(words(named), [stage for stage in stages(text) if re.search(rf"AS {stage}$", text, flags=re.MULTILINE)])
        same(words(arguments), {*re.findall(r"^ARG (\w+)", text, flags=re.MULTILINE)})


def test_commands() -> None:
    """Every command of `repro`."""
    same(first(table("README.md", "Commands", "command")), [f"repro {name}" for name in COMMANDS])


def test_toolchains() -> None:
    """Every kind of toolchain."""
    same([word.partition(":")[0] for word in first(table("README.md", "Commands", "`--daemon`"))], SOURCES)


def test_exit_codes_and_verdicts() -> None:
    """Every exit code, and every verdict."""
    rows = table("README.md", "How to read a verdict", "verdict")
    same([code for _, code, _ in rows], [str(code.value) for code in ExitCode])
    same(first(rows), list(Verdict))


def test_outcomes() -> None:
    """Every outcome of an iteration."""
    same(first(table("README.md", "How to read a verdict", "outcome of an iteration")), list(Outcome))


def test_keys_of_the_summary() -> None:
    """Every key of `summary.json`; of a stall those of a hang, of a rate and a diagnosis those below them."""
    told = set(first(table("results/README.md", "summary.json", "key")))
    there = {key for key in keys(Summary) if not key.startswith(("first_stall.", "first_finding.", "failures.rate."))}
    assert told | {"rate"} == there


def test_columns_of_the_database() -> None:
    """Every table and column of `run.db`."""
    told: dict[str, list[str]] = {}
    current = ""
    for name, columns, _ in table("results/README.md", "run.db", "table"):
        current = words(name)[0] if name else current
        told.setdefault(current, []).extend(words(columns))
    there = {name: [field.name for field in fields(kind)] for kind, name in _TABLES.items()}
    assert {name: sorted(columns) for name, columns in told.items()} == {
        name: sorted(columns) for name, columns in there.items()
    }


def test_rooms() -> None:
    """Every room of the code."""
    folders = [path.name for path in (_CHECKOUT / "harness").iterdir() if path.is_dir() and path.name != "__pycache__"]
    same(first(table("harness/README.md", "Rooms", "room")), folders)


def test_benchmarks() -> None:
    """Every benchmark is in the table of what they measured, or said to serve others."""
    text = (_CHECKOUT / "tests/benchmarks/README.md").read_text()
    for file in (_CHECKOUT / "tests/benchmarks").glob("*.py"):
        assert f"`{file.name}" in text


def test_the_first_document_is_short() -> None:
    """The top-level README is read in one go."""
    assert len((_CHECKOUT / "README.md").read_text().splitlines()) <= _MOST_LINES


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(_CHECKOUT)))
def test_links(document: Path) -> None:
    """What a document links to in this checkout is there, down to the heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if heading:
            there = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in there}, target
