"""Trace ids: the field's own form, one for each build and act."""

import re

from harness.core.trace import environment_of, trace_of


def test_one_for_each() -> None:
    """Builds and acts of one actor or another have ids of their own, the same each time."""
    ids = {trace_of(actor, number) for actor in ("ci", "loop", "") for number in (1, 2, 10**9)}
    assert len(ids) == 9
    assert trace_of("ci", 7) == trace_of("ci", 7)


def test_form() -> None:
    """What a client is given is what W3C's Trace Context asks for: version, trace, parent, sampled."""
    [(name, value)] = environment_of("ci", 255).items()
    assert name == "TRACEPARENT"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", value)
    assert value.split("-")[1] == trace_of("ci", 255)
    assert int(value.split("-")[2], 16), "a parent of zeros is no parent"
