"""What builders can do: by version, by the engine's store of images; what Dockerfiles ask; what a refusal says."""

from typing import Any

import pytest

from harness.buildkit.abilities import (
    ARCHIVE,
    CACHE_EXPORT,
    CONTEXTS,
    GHA,
    PLATFORMS,
    S3,
    SEVERAL,
    Ability,
    Builder,
    in_dockerfile,
    is_refusal,
)

GRAPH = {"image_store": "graphdriver"}
STORE = {"image_store": "containerd"}
OLD = {"kind": "dockerd", "version": "20.10.24+dfsg1", "details": GRAPH}
BUILDERS: dict[str, tuple[dict[str, Any], set[Ability]]] = {
    "Engine 20.10": (OLD, {CACHE_EXPORT, GHA, ARCHIVE, PLATFORMS, SEVERAL, CONTEXTS, S3}),
    "graph driver": (
        {"kind": "dockerd", "version": "28.3.3", "details": GRAPH},
        {CACHE_EXPORT, GHA, ARCHIVE, PLATFORMS},
    ),
    "containerd's store": ({"kind": "dockerd", "version": "28.3.3", "details": STORE}, set()),
    "Engine 24": ({"kind": "dockerd", "version": "24.0.9", "details": STORE}, {SEVERAL}),
    "a container of a graph driver's engine": (
        {
            "kind": "dockerd",
            "version": "20.10.24 with BuildKit v0.25.1",
            "details": GRAPH | {"driver": "docker-container", "buildkit": "v0.25.1"},
        },
        set(),
    ),
    "buildkitd v0.8": ({"kind": "buildkitd", "version": "v0.8.3"}, {GHA, S3, SEVERAL, CONTEXTS}),
    "buildkitd v0.25": ({"kind": "buildkitd", "version": "v0.25.1"}, set()),
    "a build of one's own": ({"kind": "buildkitd", "version": "v0.0.0+unknown"}, set()),
    "an engine that tells nothing": ({"kind": "dockerd", "version": ""}, set()),
    "the stub": ({"kind": "stub", "version": "0.1"}, set()),
}


@pytest.mark.parametrize(("daemon", "lacks"), BUILDERS.values(), ids=[*BUILDERS])
def test_what_a_builder_lacks(daemon: dict[str, Any], lacks: set[Ability]) -> None:
    """What it cannot is exactly what buildx, moby or BuildKit refuse there; who is not known is refused nothing."""
    builder = Builder.of(daemon)
    assert {each for each in (CACHE_EXPORT, GHA, S3, ARCHIVE, PLATFORMS, SEVERAL, CONTEXTS) if builder.needs(each)} == (
        lacks
    )


def test_what_it_would_have_to_be() -> None:
    """The version that can, with the Engine that has it, or the store."""
    assert Builder.of(OLD).needs(SEVERAL) == "BuildKit v0.13.0 or later (Engine 26.0.0)"
    assert "containerd's image store" in Builder.of(OLD).needs(CACHE_EXPORT)


TEXTS = {
    "nothing": ("FROM base\nARG N\nRUN echo ${N} << 1\nCOPY --from=base --chown=1 a b\n", []),
    "a mount": ("FROM base\nRUN --mount=type=cache,target=/c true\n", ["RUN --mount"]),
    "flags one after the other": (
        "FROM base\nrun --network=none --mount=type=secret,id=a,env=A true\n",
        ["RUN --network", "RUN --mount", "env="],
    ),
    "continued": ("FROM base\nCOPY \\\n  --link \\\n  # a comment\n  a b\n", ["COPY --link"]),
    "a heredoc, whose lines are none of ours": ("FROM base\nRUN <<EOF\nCOPY --link a b\nEOF\nRUN true\n", ["heredoc"]),
    "a flag of the step's own program": ('FROM base\nRUN install --link a\nCMD ["x", "--mount"]\n', []),
    "another frontend": ("# syntax=docker/dockerfile:1\nFROM base\nCOPY --link a b\n", []),
    "another frontend, below a comment": ("# ours\n# syntax = docker/dockerfile:1\nFROM base\nCOPY --link a b\n", []),
    "a here-string": ('FROM base\nRUN cat <<< "a"\n', []),
}


@pytest.mark.parametrize(("text", "asked"), TEXTS.values(), ids=[*TEXTS])
def test_what_a_dockerfile_asks(text: str, asked: list[str]) -> None:
    """Flags and heredocs of instructions are asked of the frontend, where that is the builder's own."""
    found = [each.what for each in in_dockerfile(text)]
    assert len(found) == len(asked), found
    assert all(part in what for part, what in zip(asked, found, strict=True)), found


REFUSALS = (
    "ERROR: Cache export is not supported for the docker driver.",
    "ERROR: Multi-platform build is not supported for the docker driver.",
    "ERROR: failed to build: OCI exporter is not supported for the docker driver.",
    "ERROR: multiple outputs currently unsupported by the current BuildKit daemon, please upgrade to version v0.13+",
    "error: currently only single Exports can be specified",
    'ERROR: failed to solve: unknown cache exporter: "gha"',
    'error: failed to solve: exporter "oci" could not be found',
    "ERROR: failed to solve: dockerfile parse error line 3: Unknown flag: link",
)
FAILURES = (
    "ERROR: failed to solve: process did not complete successfully: exit code: 1",
    "ERROR: failed to do request: 413 Request Entity Too Large",
    "ERROR: connection refused",
    "ERROR: failed to solve: parent snapshot sha256:1 does not exist: not found",
    "",
)


def test_refusals_are_told_from_failures() -> None:
    """What a daemon or its client cannot do at all is a refusal; what went wrong is none."""
    assert [text for text in REFUSALS if not is_refusal(text)] == []
    assert [text for text in FAILURES if is_refusal(text)] == []
