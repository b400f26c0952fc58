"""What a scenario asks that its daemon cannot do: asked of the daemon as it comes up, before the first build."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Final

from packaging.version import Version

from harness.actors.base import Actor, Ask
from harness.buildkit.abilities import STORE_SINCE, Builder
from harness.buildkit.engines import engine_with, parsed
from harness.core.errors import SubjectError
from harness.core.manifest import DaemonFacts

_IN_DEBIAN: Final = (("26.1.5", "trixie"), ("28.5.2", "forky"))
"""Debian's Engines, and the suites that have them."""


class DaemonCannot(SubjectError):
    """A daemon that cannot do what the scenario asks; the message's last line says what to do."""

    def __init__(self, facts: DaemonFacts, lacking: Sequence[tuple[Actor, Ask, str]], advice: str) -> None:
        grouped: dict[str, dict[str, list[str]]] = {}
        for actor, ask, needs in lacking:
            grouped.setdefault(needs, {}).setdefault(ask.ability.what, []).append(f"`{ask.key}` of {actor.name}")
        asked = []
        for needs, wanted in grouped.items():
            what = " or ".join(f"{name} ({', '.join(places)})" for name, places in wanted.items())
            asked.append(f"{what}, which takes {needs}")
        super().__init__(f"{facts.kind} {facts.version} cannot {'; nor '.join(asked)}\n{advice}")


def require_able(facts: DaemonFacts, actors: Iterable[Actor]) -> None:
    """Make sure that a daemon can do what actors ask, as far as its version and its store of images say.

    Raises:
        DaemonCannot: it cannot.
    """
    builder = Builder.of(asdict(facts))
    lacking = [(actor, ask, needs) for actor in actors for ask in actor.asks() if (needs := builder.needs(ask.ability))]
    if lacking:
        raise DaemonCannot(facts, lacking, advice_for(facts, [ask for _, ask, _ in lacking]))


def advice_for(facts: DaemonFacts, asks: Iterable[Ask] = ()) -> str:
    """Return what to do where a daemon cannot do what it is asked for, in a line.

    Args:
        facts: the daemon's.
        asks: what it cannot, where that is known.
    """
    asked = [ask.ability for ask in asks]
    since = _latest(each.since for each in asked)
    if facts.details.get("driver") == "docker-container":
        return f"give --set daemon.image=moby/buildkit:{since or 'latest'}, or a later one"
    if facts.kind == "buildkitd":
        return f"give a later BuildKit{f', such as --daemon buildkit:{since}' if since else ''}"
    by_store = not asked or any(each.store for each in asked)
    if not facts.private and by_store:
        return f"turn on containerd's image store of it (Engine {STORE_SINCE} or later), or leave out --daemon host"
    wanted = _latest([engine_with(since) if since else "", STORE_SINCE if by_store else ""])
    if asked and _number(facts.version) >= _number(wanted):
        return "say --set daemon.image_store=containerd"
    debian = next(
        (f" (debian:{suite} has {engine})" for engine, suite in _IN_DEBIAN if _latest([engine, wanted]) == engine), ""
    )
    return (
        f"give --daemon docker:{wanted} or later{debian}, or a BuildKit by itself, such as "
        f"--daemon buildkit:{_latest([since, 'v0.13.0'])}"
    )


def _latest(versions: Iterable[str]) -> str:
    """Return the latest of some versions; empty where there is none."""
    return max(versions, key=_number, default="")


def _number(version: str) -> Version:
    return parsed(version) or Version("0")
