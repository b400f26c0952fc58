"""What a builder can do, by its version and by where its engine keeps images: the one place that says so.

Sources: buildx v0.13.1 to v0.29 (`build/opt.go`, `driver/docker/driver.go`: what the docker driver refuses while the
engine is not on containerd's image store); `builder/builder-next/controller.go` of moby (that store came with Engine
24.0); BuildKit's tags for `cache/remotecache`, `solver/pb/caps.go` and the frontend's capabilities; and "Minimum
Dockerfile version" of its reference for what stands in Dockerfiles, of which 1.4 came with v0.10, and each later one
with the next BuildKit, to 1.20 with v0.26.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from packaging.version import Version

from harness.buildkit.engines import buildkit_in, engine_with, parsed
from harness.buildkit.known import DaemonRelease

STORE_SINCE: Final = "24.0.0"
"""The first Engine whose own builder can work on containerd's image store."""
_OLDEST_ENGINES: Final = "v0.8.4"
"""What is inside Engine 20.10, which is before those that `engines` knows."""
_REFUSED: Final = re.compile(
    r"is not supported for the [\w-]+ driver|multiple outputs currently unsupported|"
    r"only single exports can be specified|exporter does not (?:currently )?support exporting manifest lists|"
    r"unsupported frontend capability|unknown cache (?:ex|im)porter|unknown exporter|exporter \S+ could not be found|"
    r"not supported by the current buildkit daemon|dockerfile parse error.*unknown flag",
    re.IGNORECASE,
)
"""How clients and daemons say that the one of them cannot do what it is asked for, now or ever."""


@dataclass(frozen=True)
class Ability:
    """Something that not every builder can."""

    what: str
    """What it is, for a sentence that says who can: ``export a cache``."""
    since: str = ""
    """The first BuildKit that can; empty where every one can that we know of."""
    store: bool = False
    """Whether an engine's own builder can only on containerd's image store."""

    @property
    def condition(self) -> str:
        """Who can, for a sentence; empty where every builder of today can."""
        later = self.since if Version(self.since or "0") > Version(_OLDEST_ENGINES) else ""
        store = "where dockerd builds by itself, containerd's image store" if self.store else ""
        return " and ".join(each for each in (later and f"BuildKit {later} or later", store) if each)


CACHE_EXPORT: Final = Ability("export a cache", store=True)
GHA: Final = Ability("keep a cache of type gha", since="v0.9.0", store=True)
S3: Final = Ability("keep a cache of type s3", since="v0.11.0")
ARCHIVE: Final = Ability("export an archive of type oci", store=True)
PLATFORMS: Final = Ability("build for several platforms at once", store=True)
SEVERAL: Final = Ability("export to several places at once", since="v0.13.0")
CONTEXTS: Final = Ability("take named contexts", since="v0.10.0")

_HEREDOC: Final = Ability("read a heredoc (<<)", since="v0.10.0")
_FLAGS: Final[Mapping[tuple[str, str], Ability]] = {
    (instruction, flag): Ability(f"read {instruction} --{flag}", since=since)
    for instruction, flag, since in (
        ("RUN", "mount", "v0.8.0"),
        ("RUN", "network", "v0.9.0"),
        ("RUN", "security", "v0.26.0"),
        ("COPY", "link", "v0.10.0"),
        ("ADD", "link", "v0.10.0"),
        ("ADD", "checksum", "v0.12.0"),
        ("ADD", "unpack", "v0.23.0"),
        ("COPY", "exclude", "v0.25.0"),
        ("ADD", "exclude", "v0.25.0"),
        ("COPY", "parents", "v0.26.0"),
    )
}
_SECRET_ENV: Final = Ability("give a step a secret as a variable (RUN --mount=type=secret,env=)", since="v0.16.0")
_FRONTEND: Final = re.compile(r"\A(?:\s*#[^\n]*\n)*?[ \t]*#[ \t]*syntax[ \t]*=", re.IGNORECASE)
_HEREDOC_WORD: Final = re.compile(r"(?<!<)\d*<<-?(['\"]?)([A-Za-z_]\w*)\1(?!<)")
_FLAG: Final = re.compile(r"\s+--([a-z-]+)(?:=(\S*))?")


@dataclass(frozen=True)
class Builder:
    """Who builds, as far as it is known."""

    release: DaemonRelease
    graph_driver: bool = False
    """Whether it is an engine's own, and the engine is not on containerd's image store."""

    @classmethod
    def of(cls, daemon: Mapping[str, Any]) -> "Builder":
        """Return it by a daemon's `kind`, `version` and `details`, as `run.json` has them."""
        details = daemon.get("details") or {}
        own = daemon.get("kind") == "dockerd" and not details.get("driver")
        if daemon.get("kind") not in {"dockerd", "buildkitd"}:
            return cls(DaemonRelease("", ""))
        return cls(DaemonRelease.of(daemon), own and details.get("image_store") == "graphdriver")

    @property
    def version(self) -> Version | None:
        """BuildKit's; None where it is not known."""
        inside = self.release.buildkit or buildkit_in(self.release.engine)
        engine = parsed(self.release.engine) if self.release.engine else None
        if not inside and engine is not None and engine < Version("23"):
            inside = _OLDEST_ENGINES
        return parsed(inside) if inside else None

    def needs(self, ability: Ability) -> str:
        """Return what it would have to be, to be able to; empty where it is able, or where nobody knows.

        The words are for a sentence: ``BuildKit v0.13.0 (Engine 26.0.0)``.
        """
        version = self.version
        if ability.since and version is not None and version < Version(ability.since):
            engine = engine_with(ability.since)
            return f"BuildKit {ability.since} or later" + (f" (Engine {engine})" if engine else "")
        if ability.store and self.graph_driver:
            return f"containerd's image store (Engine {STORE_SINCE} or later) where dockerd builds by itself"
        return ""


def in_dockerfile(text: str) -> Iterator[Ability]:
    """Yield what a Dockerfile asks of the builder's own frontend, each thing once; of one that names another, nothing.

    Args:
        text: the Dockerfile's; what of it is no instruction is passed over.
    """
    if _FRONTEND.match(text):
        return
    found: dict[Ability, None] = {}
    for instruction, rest in _instructions(text):
        if instruction in {"RUN", "COPY", "ADD"} and _HEREDOC_WORD.search(rest):
            found[_HEREDOC] = None
        at = 0
        while flag := _FLAG.match(rest, at):
            at = flag.end()
            if ability := _FLAGS.get((instruction, flag[1])):
                found[ability] = None
            if flag[1] == "mount" and "type=secret" in (flag[2] or "") and re.search(r"(^|,)env=", flag[2]):
                found[_SECRET_ENV] = None
    yield from found


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction in capitals, and what follows it, its lines joined; heredocs' lines are left out."""
    lines = iter(text.splitlines())
    for line in lines:
        whole = line
        while whole.rstrip().endswith("\\"):
            following = next((each for each in lines if not each.lstrip().startswith("#")), None)
            whole = whole.rstrip().removesuffix("\\") + (following or "")
            if following is None:
                break
        word, _, _ = whole.strip().partition(" ")
        instruction = word.upper()
        if instruction in {"RUN", "COPY", "ADD"}:
            for _, end in _HEREDOC_WORD.findall(whole):
                next((each for each in lines if each.strip() == end), None)
        if word and not word.startswith("#"):
            yield instruction, whole.strip()[len(word) :]


def is_refusal(error: str) -> bool:
    """Whether an error says that a daemon, or its client, cannot do such a thing at all: the next one fares alike."""
    return bool(_REFUSED.search(error))
