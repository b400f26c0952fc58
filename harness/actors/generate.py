"""``generate``: a Dockerfile made to measure, in place of one that somebody wrote."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from harness.core.model import StrictModel
from harness.core.quantities import Size

LAST = "result"
"""The stage that joins all others."""


_CHUNK = 2**20


def fill(file: Path, size: int) -> None:
    """Write a file of `size` bytes that no file system and no layer can compress; the same for the same name."""
    random = Random(file.name)  # noqa: S311 — only to fill a file
    with file.open("wb") as stream:
        for begin in range(0, size, _CHUNK):
            stream.write(random.randbytes(min(_CHUNK, size - begin)))


class Generate(StrictModel):
    """Stages that write files and copy from each other, joined by a last one: `s0`, `s1`, … and `result`.

    The most layers that an image may have, 127, are never reached.
    """

    stages: Annotated[int, Field(ge=1, le=100)] = 4
    """How many, beside the last one."""
    steps: Annotated[int, Field(ge=1, le=100)] = 5
    """How many files each stage writes, one a step."""
    fan_in: Annotated[int, Field(ge=0, le=20)] = 2
    """From how many stages before it each stage copies."""
    layer: Size = 4096
    """How large each file is; no file can be compressed."""
    step: Literal["run", "copy"] = "run"
    """`run`: a program writes the file. `copy`: it comes from the context, and nothing is run."""

    @property
    def dockerfile(self) -> str:
        """The text: the same for the same numbers. Its argument `N` changes the last stage."""
        return "\n".join(self._lines())

    @property
    def context_bytes(self) -> int:
        """How large the context is on disk."""
        return self.stages * self.steps * self.layer if self.step == "copy" else 0

    def write(self, folder: Path) -> None:
        """Make a context of it."""
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(self.dockerfile)
        if self.step == "copy":
            (folder / "n").touch()
            for name in (f"s{stage}-{step}" for stage in range(self.stages) for step in range(self.steps)):
                fill(folder / name, self.layer)

    def _lines(self) -> Iterator[str]:
        source = "base" if self.step == "run" else "scratch"
        for stage in range(self.stages):
            yield f"FROM {source} AS s{stage}"
            yield from (self._copy(other) for other in range(max(0, stage - self.fan_in), stage))
            for name in (f"s{stage}-{step}" for step in range(self.steps)):
                run = f"RUN head -c {self.layer} /dev/urandom > /{name}"
                yield run if self.step == "run" else f"COPY {name} /{name}"
            yield ""
        yield f"FROM {source} AS {LAST}"
        yield from (self._copy(stage) for stage in range(self.stages))
        yield "ARG N"
        yield 'RUN echo "${N}" > /n' if self.step == "run" else "COPY n /n-${N}"
        yield ""

    def _copy(self, stage: int) -> str:
        """Return the step that takes what a stage wrote last, and so needs all of its steps."""
        name = f"/s{stage}-{self.steps - 1}"
        return f"COPY --from=s{stage} {name} {name}"
