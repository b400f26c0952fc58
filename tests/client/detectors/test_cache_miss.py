"""A step that ran again for no reason."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from harness.buildkit.progress import Vertex
from harness.client.detectors.base import Detection, Success
from harness.client.detectors.cache_miss import CacheMisses
from harness.core.outcome import Symptom

RUN, COPY = "[stage-1 2/2] RUN echo 1 > /n", "[stage-1 1/2] COPY a /a"
Weigh = Callable[..., Detection | None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A time of our own."""
    now = [0.0]
    monkeypatch.setattr("harness.client.detectors.cache_miss.anyio.current_time", lambda: now[0])
    return now


def build(began: float, /, *, args: Mapping[str, str] | None = None, cached: bool = False, **more: Any) -> Success:
    """Return a build of two steps and of what else a client names."""
    steps = [Vertex(name, name, completed="now", cached=cached) for name in (COPY, RUN)]
    steps += [Vertex("i", "[internal] load build definition from Dockerfile", completed="now")]
    steps += [Vertex("e", "exporting to image", completed="now")]
    fields = {"actor": "ci", "tail": 0.0, "steps": steps, "uses_cache": True, **more}
    return Success(args=args or {"N": "1"}, started=began, exited=began + 1, **fields)


def test_done_and_run_again(clock: list[float]) -> None:
    """It is a finding where the same build began after another had done the step; it names the step."""
    misses = CacheMisses()
    clock[0] = 1.0
    assert misses.weigh(build(0.0)) is None
    assert misses.weigh(build(2.0, cached=True)) is None
    found = misses.weigh(build(3.0))
    assert found is not None
    assert found.kind is Symptom.MISS
    assert f"{COPY}, and 1 more" in found.error


@pytest.mark.parametrize(
    "again",
    [
        build(0.5),
        build(2.0, args={"N": "2"}),
        build(2.0, actor="other"),
        build(2.0, uses_cache=False),
        build(2.0, cached=True),
        build(2.0, steps=[Vertex("1", RUN, completed="now"), Vertex("2", RUN, completed="now", cached=True)]),
        build(2.0, steps=[Vertex("1", RUN, completed="now", error="failed")]),
        build(2.0, steps=[Vertex("1", RUN)]),
    ],
    ids=["beside it", "other arguments", "another", "without cache", "cached", "merged", "failed", "not done"],
)
def test_no_miss(clock: list[float], again: Success) -> None:
    """What had a reason to run, or did not, is none."""
    misses = CacheMisses()
    clock[0] = 1.0
    misses.weigh(build(0.0))
    assert misses.weigh(again) is None


def test_what_removes_is_no_miss(clock: list[float]) -> None:
    """While something goes on that may remove from the cache, and of what was done before, nothing is said."""
    misses = CacheMisses()
    clock[0] = 1.0
    misses.weigh(build(0.0))
    with misses.disturbed():
        assert misses.weigh(build(2.0)) is None
    clock[0] = 4.0
    assert misses.weigh(build(3.0)) is None
    assert misses.weigh(build(5.0)) is not None
