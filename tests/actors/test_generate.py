"""Dockerfiles made to measure."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.actors.context import stages, uses_base
from harness.actors.generate import Generate

GENERATES = st.builds(
    Generate,
    stages=st.integers(1, 12),
    steps=st.integers(1, 12),
    fan_in=st.integers(0, 12),
    layer=st.just(0),
    step=st.sampled_from(["run", "copy"]),
)


def test_text() -> None:
    """The text is as documented: stages that write and copy, and a last one that joins them and has the argument."""
    assert Generate.model_validate({"stages": 3, "steps": 2, "fan_in": 1, "layer": "2KiB"}).dockerfile.splitlines() == [
        "FROM base AS s0",
        "RUN head -c 2048 /dev/urandom > /s0-0",
        "RUN head -c 2048 /dev/urandom > /s0-1",
        "",
        "FROM base AS s1",
        "COPY --from=s0 /s0-1 /s0-1",
        "RUN head -c 2048 /dev/urandom > /s1-0",
        "RUN head -c 2048 /dev/urandom > /s1-1",
        "",
        "FROM base AS s2",
        "COPY --from=s1 /s1-1 /s1-1",
        "RUN head -c 2048 /dev/urandom > /s2-0",
        "RUN head -c 2048 /dev/urandom > /s2-1",
        "",
        "FROM base AS result",
        "COPY --from=s0 /s0-1 /s0-1",
        "COPY --from=s1 /s1-1 /s1-1",
        "COPY --from=s2 /s2-1 /s2-1",
        "ARG N",
        'RUN echo "${N}" > /n',
    ]


@given(GENERATES)
def test_stages_copy_from_those_before(generate: Generate) -> None:
    """Each stage copies from as many as wanted, all of them above it, and the last one from all."""
    text = generate.dockerfile
    names = stages(text)
    assert names == [*(f"s{number}" for number in range(generate.stages)), "result"]
    for number, part in enumerate(re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]):
        sources = re.findall(r"^COPY --from=(\S+)", part, re.MULTILINE)
        wanted = generate.stages if number == generate.stages else min(number, generate.fan_in)
        assert sources == names[number - wanted : number]
    assert text == generate.model_copy().dockerfile


@given(GENERATES)
def test_only_running_needs_a_base(generate: Generate) -> None:
    """Where nothing is run there is no base either."""
    assert uses_base(generate.dockerfile) is (generate.step == "run")


def test_most_layers() -> None:
    """At its largest no image has the 127 layers that are the most, the base's two included."""
    largest = Generate(stages=100, steps=100, fan_in=20).dockerfile
    longest = max(len(re.findall(r"^(?:RUN|COPY)", part, re.MULTILINE)) for part in largest.split("FROM base"))
    assert longest + 2 <= 127


@pytest.mark.parametrize("step", ["run", "copy"])
def test_context(tmp_path: Path, step: str) -> None:
    """Whatever the Dockerfile copies from the context is there, as large as wanted, the same each time."""
    generate = Generate.model_validate({"stages": 2, "steps": 3, "layer": "3KiB", "step": step})
    generate.write(tmp_path / "one")
    generate.write(tmp_path / "two")
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    copied = re.findall(r"^COPY ([^-\s]\S*)", files.pop("Dockerfile").decode(), re.MULTILINE)
    assert sorted(copied) == sorted(files)
    assert sum(len(content) for content in files.values()) == generate.context_bytes
    assert generate.context_bytes == (6 * 3072 if step == "copy" else 0)
