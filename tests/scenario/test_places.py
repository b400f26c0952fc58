"""Scalars as people write them: text stays text, and numbers are decimal."""

from pathlib import Path

import pytest

from harness.cli.kinds import VOCABULARY
from harness.core.errors import ScenarioError
from harness.scenario import Scenario, dump, load

TEXTS = [
    *("3.10", "1:30", "017", "1_000", "0x1F", "1e3", "+5", "1.0", "2024-01-01", "-0", "5.", ".5", "0b11", "0o17"),
    *("1.10.0", "190:20:30.15", "yes", "no", "on", "true", "1_0.5", "00", "1.", "12345678901234567890", ".inf", "1E5"),
    *("=", "<<"),
]
"""What stands for a version, a time, a date, a mask; each is a number or a truth to some reader of YAML."""


def scenario(tmp_path: Path, args: str = "{}", iterations: str = "3", settings: tuple[str, ...] = ()) -> Scenario:
    """Load a scenario with these build arguments."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"name: mine\nactors:\n  - build: ci\n    dockerfile: trivial\n    args: {args}\n"
        f"stop: {{iterations: {iterations}}}\n"
    )
    return load(file, VOCABULARY, settings)


@pytest.mark.parametrize("text", TEXTS)
def test_text_stays_text(tmp_path: Path, text: str) -> None:
    """An unquoted argument is what is written, in the file, by ``--set``, and in the copy that a run keeps."""
    for loaded in (scenario(tmp_path, f"{{A: {text}}}"), scenario(tmp_path, settings=(f"actors.ci.args.A={text}",))):
        assert loaded.actors[0].model_dump()["args"] == {"A": text}
        copy = tmp_path / "copy.yaml"
        copy.write_text(dump(loaded))
        assert load(copy, VOCABULARY) == loaded


@pytest.mark.parametrize("number", ["017", "1_000", "0x1F", "0o17", "1:30", "'3'", "1.5", "0b11", "true"])
def test_numbers_are_plain(tmp_path: Path, number: str) -> None:
    """Where a number is wanted, one that readers differ about is refused."""
    with pytest.raises(ScenarioError, match=r"stop\.iterations"):
        scenario(tmp_path, iterations=number)
    with pytest.raises(ScenarioError, match=r"stop\.iterations"):
        scenario(tmp_path, settings=(f"stop.iterations={number}",))
