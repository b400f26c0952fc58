"""What each client is told of a build."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from harness.core.manifest import DaemonFacts
from harness.daemons.base import BuildRequest, Cache, of_target
from harness.daemons.buildkitd import Buildkitd
from harness.daemons.buildx import Buildx
from harness.daemons.parts import PrivateDaemon
from harness.daemons.private import DaemonDirs
from harness.host.cgroup import Cgroup
from harness.scenario import Limits

REQUEST = BuildRequest(7, Path("/c/ci"), {"N": "3", "M": "a, b=c"}, "127.0.0.1:5000/ci-0:latest", ("push",))
FULL = replace(
    REQUEST,
    no_cache=True,
    pull=True,
    cache_to=Cache("registry", "127.0.0.1:5000/cache/ci", "max"),
    cache_from=(
        Cache("registry", "127.0.0.1:5000/cache/main"),
        Cache("local", "/c/ci-0.cache"),
        Cache("inline", "127.0.0.1:5000/ci-0:latest"),
    ),
)
BAKE = replace(FULL, targets=("app", "web"), definition=Path("/c/ci.yaml"))
TO = "type=registry,ref=127.0.0.1:5000/cache/ci,mode=max"
FROM = [
    "type=registry,ref=127.0.0.1:5000/cache/main",
    "type=local,src=/c/ci-0.cache",
    "type=registry,ref=127.0.0.1:5000/ci-0:latest",
]


def behind(argv: Sequence[str], option: str) -> list[str]:
    """Return the word behind each place where an option stands."""
    return [argv[index + 1] for index, word in enumerate(argv) if word == option]


def buildx(request: BuildRequest, load: tuple[str, ...] = ("--load",)) -> tuple[str, ...]:
    """Return the words of buildx."""
    return Buildx(("docker", "buildx"), load=load).build(request).argv


def buildctl(request: BuildRequest) -> tuple[str, ...]:
    """Return the words of buildctl."""
    home = DaemonDirs(Path("/data"), Path("/run/x"), Path("/bin-x"), Path("/records"), Cgroup("repro-x"), Limits())
    facts = DaemonFacts("buildkitd", "v1", "path:/x", "unix:///s", private=True)
    return Buildkitd(PrivateDaemon(facts, Mock(), home, Mock(), Mock())).build(request).argv


def test_buildx_build() -> None:
    """One result: the arguments, the caches, the tag and the context are plain options."""
    argv = buildx(FULL)
    assert argv[:5] == ("docker", "buildx", "build", "--builder", "default")
    assert {"--no-cache", "--pull", "--push"} < {*argv}
    assert behind(argv, "--build-arg") == ["N=3", "M=a, b=c", "REPRO_ITERATION=7"]
    assert (behind(argv, "--cache-to"), behind(argv, "--cache-from")) == ([TO], FROM)
    assert (behind(argv, "--tag"), behind(argv, "--progress")) == (["127.0.0.1:5000/ci-0:latest"], ["rawjson"])
    assert argv[-1] == "/c/ci"


def test_buildx_without_more() -> None:
    """What was not asked for is not said."""
    assert not {"--no-cache", "--pull", "--cache-to", "--cache-from", "--set"} & {*buildx(REQUEST)}


def test_buildx_bake() -> None:
    """Several results: every target has a tag and caches of its own, and all share arguments and switches."""
    argv = buildx(BAKE)
    assert argv[:5] == ("docker", "buildx", "bake", "--builder", "default")
    assert {"--no-cache", "--pull", "--push"} < {*argv}
    assert behind(argv, "--file") == ["/c/ci.yaml"]
    assert argv[-2:] == ("app", "web")
    settings = behind(argv, "--set")
    assert settings[:3] == ["*.args.N=3", "*.args.M=a, b=c", "*.args.REPRO_ITERATION=7"]
    assert [each for each in settings if each.startswith("web.")] == [
        "web.tags=127.0.0.1:5000/ci-0:latest-web",
        "web.cache-to=type=registry,ref=127.0.0.1:5000/cache/ci-web,mode=max",
        "web.cache-from=type=registry,ref=127.0.0.1:5000/cache/main-web",
        "web.cache-from=type=local,src=/c/ci-0.cache-web",
        "web.cache-from=type=registry,ref=127.0.0.1:5000/ci-0:latest-web",
    ]


@pytest.mark.parametrize(
    ("export", "built", "baked"),
    [
        ("load", ["--output", "type=docker,dest=/dev/null"], ["--set", "*.output=type=docker,dest=/dev/null"]),
        ("image", [], []),
        ("oci", ["--output", "type=oci,dest=/dev/null"], ["--set", "*.output=type=oci,dest=/dev/null"]),
        ("push", ["--push"], ["--push"]),
    ],
)
def test_buildx_exports(export: str, built: list[str], baked: list[str]) -> None:
    """bake has no `--output` of its own; what stands for one is said of all targets."""
    argv = buildx(replace(REQUEST, exports=(export,)), load=())
    assert [*argv[argv.index(REQUEST.tag) + 1 : -1]] == built
    bake = replace(REQUEST, exports=(export,), args={}, targets=("app",), definition=Path("/c/ci.yaml"))
    argv = buildx(bake, load=())
    assert [*argv[argv.index("/c/ci.yaml") + 1 : -5]] == baked


def test_buildctl_build() -> None:
    """buildctl has the same under its own names."""
    argv = buildctl(FULL)
    assert "--no-cache" in argv
    assert {
        *("build-arg:N=3", "build-arg:M=a, b=c", "build-arg:REPRO_ITERATION=7"),
        *("image-resolve-mode=pull", "force-network-mode=none"),
    } == {*behind(argv, "--opt")}
    assert (behind(argv, "--export-cache"), behind(argv, "--import-cache")) == ([TO], FROM)
    assert behind(argv, "--output") == ["type=image,name=127.0.0.1:5000/ci-0:latest,push=true"]


def test_buildctl_without_more() -> None:
    """What was not asked for is not said."""
    argv = buildctl(replace(REQUEST, exports=("image",)))
    assert not {"--no-cache", "--export-cache", "--import-cache", "image-resolve-mode=pull"} & {*argv}
    assert behind(argv, "--output") == ["type=image,name=127.0.0.1:5000/ci-0:latest"]


@pytest.mark.parametrize(
    ("cache", "exported", "imported"),
    [
        (Cache("inline", "r/i:latest"), "type=inline", "type=registry,ref=r/i:latest"),
        (Cache("local", "/c/x.cache", "max"), "type=local,dest=/c/x.cache,mode=max", "type=local,src=/c/x.cache"),
        (Cache("registry", "r/cache/x"), "type=registry,ref=r/cache/x", "type=registry,ref=r/cache/x"),
    ],
    ids=["inline", "local", "registry"],
)
def test_caches(cache: Cache, exported: str, imported: str) -> None:
    """What is exported to a place is imported from that place; an inline cache is the image."""
    assert (cache.exported(), cache.imported()) == (exported, imported)


OFFERED = replace(
    REQUEST,
    exports=("image", "local"),
    places={"local": Path("/c/out")},
    git="git://127.0.0.1:9/ci",
    contexts={"lib": "/c/lib", "alpine": "docker-image://alpine"},
    secrets={"token": Path("/c/token")},
    ssh_key=Path("/c/key"),
    platforms=("linux/amd64", "linux/arm64"),
)


def test_what_is_offered_beside_the_context() -> None:
    """Each client has its own words for named contexts, secrets, keys, platforms, repositories and several exports."""
    argv = buildctl(OFFERED)
    assert {
        *("context=git://127.0.0.1:9/ci", "platform=linux/amd64,linux/arm64"),
        *("context:lib=local:lib", "context:alpine=docker-image://alpine"),
    } <= {*behind(argv, "--opt")}
    assert behind(argv, "--local") == ["lib=/c/lib"]
    assert (behind(argv, "--secret"), behind(argv, "--ssh")) == (["id=token,src=/c/token"], ["default=/c/key"])
    assert behind(argv, "--output") == [f"type=image,name={REQUEST.tag}", "type=local,dest=/c/out"]
    argv = buildx(OFFERED)
    assert argv[-1] == "git://127.0.0.1:9/ci"
    assert behind(argv, "--build-context") == ["lib=/c/lib", "alpine=docker-image://alpine"]
    assert (behind(argv, "--secret"), behind(argv, "--ssh")) == (["id=token,src=/c/token"], ["default=/c/key"])
    assert behind(argv, "--platform") == ["linux/amd64,linux/arm64"]
    assert behind(argv, "--output") == ["type=image", "type=local,dest=/c/out"]


def test_how_many_results() -> None:
    """A build has one result, and a bake one for each target, with a name of its own."""
    assert (REQUEST.results, BAKE.results) == (1, 2)
    assert (of_target("ci:latest", ""), of_target("ci:latest", "app")) == ("ci:latest", "ci:latest-app")
