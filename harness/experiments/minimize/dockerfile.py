"""A Dockerfile as instructions in stages: what can be left out of it, joined, or held."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

_FROM: Final = re.compile(r"^FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<name>\S+))?\s*$", re.IGNORECASE)
_USED: Final = re.compile(r"\bfrom=([^\s,]+)", re.IGNORECASE)
_DIRECTIVE: Final = re.compile(r"^#\s*(syntax|escape|check)\s*=", re.IGNORECASE)
_JOINT: Final = " && "


@dataclass(frozen=True)
class Instruction:
    """One instruction, on as many lines as it has."""

    text: str
    stage: int
    """Which stage it belongs to, from 0; -1 before the first."""

    @property
    def word(self) -> str:
        """Its first word, in capitals."""
        return self.text.split(maxsplit=1)[0].upper()

    @property
    def image(self) -> str:
        """What a ``FROM`` begins with: an image, or a stage's name."""
        match = _FROM.match(self.text)
        return match["image"] if match else ""

    @property
    def name(self) -> str:
        """The name that a ``FROM`` gives its stage."""
        match = _FROM.match(self.text)
        return (match["name"] or "") if match else ""

    @property
    def shell(self) -> str:
        """The command of a ``RUN`` in its shell form without options; empty of any other instruction."""
        command = self.text.split(maxsplit=1)[1] if self.word == "RUN" and " " in self.text else ""
        return "" if command.startswith(("[", "--", "<<")) else command


@dataclass(frozen=True)
class Dockerfile:
    """Its instructions; comments and empty lines are left out."""

    instructions: tuple[Instruction, ...]

    @classmethod
    def parse(cls, text: str) -> "Dockerfile":
        """Read a Dockerfile; heredocs are not known, and stay with the instruction only if it is continued."""
        stage, found, open_ = -1, [], ""
        for line in text.splitlines():
            if not line.strip() or (line.lstrip().startswith("#") and not _DIRECTIVE.match(line)):
                continue
            open_ = f"{open_}\n{line}" if open_ else line
            if line.rstrip().endswith("\\"):
                continue
            stage += open_.split(maxsplit=1)[0].upper() == "FROM"
            found.append(Instruction(open_.strip(), stage))
            open_ = ""
        return cls((*found, *([Instruction(open_.strip(), stage)] if open_ else ())))

    def __str__(self) -> str:
        """Return its text, an empty line before each stage but the first."""
        lines = []
        for position, each in enumerate(self.instructions):
            lines += [""] * (each.word == "FROM" and position > 0 and each.stage > 0) + [each.text]
        return "\n".join(lines) + "\n"

    @property
    def stages(self) -> range:
        """The numbers of its stages."""
        return range(max((each.stage for each in self.instructions), default=-1) + 1)

    def without(self, removed: Iterable[int]) -> "Dockerfile":
        """Return it without the instructions at these positions."""
        gone = set(removed)
        return Dockerfile(tuple(each for position, each in enumerate(self.instructions) if position not in gone))

    def of_stage(self, stage: int) -> list[int]:
        """Return the positions of all that goes with a stage: its instructions, and what copies from it elsewhere."""
        name = next((each.name for each in self.instructions if each.stage == stage), "")
        return [
            position
            for position, each in enumerate(self.instructions)
            if each.stage == stage or (name and name.lower() in (used.lower() for used in _USED.findall(each.text)))
        ]

    def joined(self) -> Iterator["Dockerfile"]:
        """Yield it with a stage put into the only one that uses it, by its ``FROM``."""
        named = {each.name.lower(): each for each in self.instructions if each.word == "FROM" and each.name}
        for name, made in named.items():
            users = [each for each in self.instructions if each.image.lower() == name]
            copied = [each for each in self.instructions if name in map(str.lower, _USED.findall(each.text))]
            if len(users) == 1 and not copied:
                user = users[0]
                body = [each for each in self.instructions if each.stage == made.stage and each is not made]
                first = f"FROM {made.image}{f' AS {user.name}' if user.name else ''}"
                rest: list[Instruction] = []
                for each in self.instructions:
                    if each is user:
                        rest += [Instruction(first, user.stage), *(replace(one, stage=user.stage) for one in body)]
                    elif each.stage != made.stage:
                        rest.append(each)
                yield Dockerfile.parse("\n".join(each.text for each in rest))

    def shorter_runs(self) -> Iterator["Dockerfile"]:
        """Yield it with one part of one ``RUN a && b`` left out, the last part first."""
        for position, each in enumerate(self.instructions):
            parts = each.shell.split(_JOINT)
            for part in reversed(range(len(parts) if len(parts) > 1 else 0)):
                left = _JOINT.join(parts[:part] + parts[part + 1 :])
                yield self.replaced(position, f"RUN {left}")

    def replaced(self, position: int, text: str) -> "Dockerfile":
        """Return it with another text in an instruction's place."""
        new = replace(self.instructions[position], text=text)
        return Dockerfile((*self.instructions[:position], new, *self.instructions[position + 1 :]))

    def holdable(self) -> list[int]:
        """Return the positions of steps that can be held by a pause, the last one of the last stage first."""
        final = max(self.stages, default=-1)
        found = [
            position
            for position, each in enumerate(self.instructions)
            if each.shell and (each.stage == final or each.stage != 0)
        ]
        return found[::-1]

    def held(self, position: int, seconds: int) -> "Dockerfile":
        """Return it with a step that waits so long before it does what it did."""
        return self.replaced(position, f"RUN sleep {seconds}{_JOINT}{self.instructions[position].shell}")
