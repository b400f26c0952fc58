"""The context on disk: where a Dockerfile is found, when it needs a base, and what is put in front of it."""

import re
import shutil
from pathlib import Path

import pytest

from harness.actors.context import OFFLINE, find_dockerfile, lay_base, stages, uses_base, with_base
from harness.scenario.load import PROJECT

PLAIN = "FROM base\nRUN true\n"


@pytest.mark.parametrize(
    ("dockerfile", "used"),
    [
        (PLAIN, True),
        ("from BASE\n", True),
        ("  FROM   base   AS a\n", True),
        ("FROM --platform=linux/amd64 base AS a\n", True),
        ("# syntax=docker/dockerfile:1\nARG N\nFROM base\n", True),
        ("FROM scratch\nCOPY --from=base /a /a\n", True),
        ("FROM scratch\nCOPY --link --from=base /a /a\n", True),
        ("FROM scratch AS a\nFROM base\n", True),
        ("FROM scratch\nRUN --mount=from=base,target=/b true\n", True),
        ("FROM scratch\nRUN --mount=type=bind,target=/b,from=base true\n", True),
        ("FROM scratch\nCOPY --from=base\t/a /a\n", True),
        ("FROM alpine\n", False),
        ("FROM base-image\n", False),
        ("FROM scratch\nCOPY --from=base-image /a /a\n", False),
        ("FROM scratch\nCOPY --from=base.old /a /a\n", False),
        ("FROM scratch\nCOPY --from=base:1.2 /a /a\n", False),
        ("FROM scratch\nCOPY --from=base/image /a /a\n", False),
        ("FROM scratch\nCOPY --from=base@sha256:00 /a /a\n", False),
        ("FROM scratch\nRUN --mount=from=base-image,target=/b true\n", False),
        ("FROM my/base\n", False),
        ("FROM base:1.2\n", False),
        ("# FROM base\nFROM scratch\n", False),
        ("FROM scratch\nRUN echo FROM base\n", False),
        ("FROM alpine AS base\nFROM base\n", False),
        ("FROM alpine as BASE\nFROM scratch\nCOPY --from=base /a /a\n", False),
        ("", False),
    ],
)
def test_who_uses_the_base(dockerfile: str, used: bool) -> None:
    """A Dockerfile needs our base where a stage, a copy or a mount names it, and it does not make that stage itself."""
    assert uses_base(dockerfile) is used


@pytest.mark.parametrize(
    ("dockerfile", "before", "after"),
    [
        (PLAIN, "", PLAIN),
        ("# syntax=x\nARG N\n  from base\nFROM base\n", "# syntax=x\nARG N\n", "  from base\nFROM base\n"),
        ("# FROM here\n\nFROM base AS a\nFROM base\n", "# FROM here\n\n", "FROM base AS a\nFROM base\n"),
    ],
    ids=["plain", "directives", "comment"],
)
def test_in_front_of_the_first_stage(dockerfile: str, before: str, after: str) -> None:
    """The base comes before the first stage and after directives and global arguments; the rest is as it was."""
    assert with_base(dockerfile, "alpine:3.22") == f"{before}FROM alpine:3.22 AS base\n{after}"
    offline = with_base(dockerfile, OFFLINE)
    assert offline.startswith(f"{before}FROM scratch AS base\nCOPY busybox ")
    assert offline.endswith(after)


def test_names_of_stages() -> None:
    """Stages are found by name, however `AS` is written; those without one, and comments, are not."""
    named = "FROM base AS one\nFROM --platform=$P base as Two \n  from scratch As 3\n"
    text = f"{named}# FROM x AS no\nFROM one\nRUN echo AS x\n"
    assert stages(text) == ["one", "Two", "3"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A Dockerfile's folder."""
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text(PLAIN)
    (folder / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "sub" / "run.sh").chmod(0o755)
    return folder


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    """A busybox."""
    path = tmp_path / "busybox-static"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    return path


def test_staged_offline(tmp_path: Path, source: Path, busybox: Path) -> None:
    """The context is a copy with the base and its busybox, executable; the source stays as it is."""
    shutil.copytree(source, tmp_path / "staged")
    lay_base(tmp_path / "staged", OFFLINE, busybox)
    assert (tmp_path / "staged" / "Dockerfile").read_text() == with_base(PLAIN, OFFLINE)
    for name in ("busybox", "sub/run.sh"):
        assert (tmp_path / "staged" / name).stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "staged" / "busybox").read_bytes() == b"\x7fELF"
    assert (source / "Dockerfile").read_text() == PLAIN
    assert sorted(path.name for path in source.iterdir()) == ["Dockerfile", "sub"]


def test_staged_on_an_image(tmp_path: Path, source: Path) -> None:
    """On an image of a registry there is no busybox in the context."""
    shutil.copytree(source, tmp_path / "staged")
    lay_base(tmp_path / "staged", "alpine:3.22", None)
    assert (tmp_path / "staged" / "Dockerfile").read_text() == f"FROM alpine:3.22 AS base\n{PLAIN}"
    assert not (tmp_path / "staged" / "busybox").exists()


def test_staged_as_it_is(tmp_path: Path, source: Path, busybox: Path) -> None:
    """A Dockerfile without our base is copied as it is, and nothing is put beside it."""
    (source / "Dockerfile").write_text("FROM alpine\n")
    shutil.copytree(source, tmp_path / "staged")
    lay_base(tmp_path / "staged", OFFLINE, busybox)
    assert (tmp_path / "staged" / "Dockerfile").read_text() == "FROM alpine\n"
    assert not (tmp_path / "staged" / "busybox").exists()


def test_where_it_is_found(tmp_path: Path) -> None:
    """The first folder that has the Dockerfile counts, and an absolute path is itself."""
    for name in ("one/a", "two/a", "three/a"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("two/a", "three/a"):
        (tmp_path / name / "Dockerfile").touch()
    folders = [tmp_path / name for name in ("none", "one", "two", "three")]
    assert find_dockerfile("a", folders) == tmp_path / "two" / "a"
    assert find_dockerfile("../three/a", folders[2:]) == tmp_path / "two" / ".." / "three" / "a"
    assert find_dockerfile(str(tmp_path / "three" / "a"), folders) == tmp_path / "three" / "a"
    assert find_dockerfile("b", folders) is None


@pytest.mark.parametrize("name", ["d" * 300, "d/" * 3000, "a\0b"], ids=["long", "deep", "null"])
def test_a_name_that_no_file_system_takes(tmp_path: Path, name: str) -> None:
    """A name that cannot be looked for is not found, and no error of the operating system."""
    assert find_dockerfile(name, [tmp_path]) is None


@pytest.mark.parametrize("file", sorted(PROJECT.glob("dockerfiles/*/Dockerfile")), ids=lambda file: file.parent.name)
def test_shipped_dockerfiles(file: Path) -> None:
    """Every Dockerfile that we ship builds on our base, on nothing or on its own stages: so it needs no registry."""
    text = file.read_text()
    for name, value in re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE):
        text = text.replace(f"FROM ${name}\n", f"FROM {value}\n")
    sources = re.findall(r"^FROM (\S+)|\bfrom=([^\s,]+)", text, re.MULTILINE)
    assert sources
    assert {stage or copied for stage, copied in sources} <= {
        "base",
        "scratch",
        *re.findall(r" AS (\S+)$", text, re.MULTILINE),
    }
